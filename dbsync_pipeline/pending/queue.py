"""The queue of whoever works at one destination: claims are taken, kept, and ended by what became of each row."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import psycopg

from dbsync_pipeline.errors import redact
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import DestinationKind, TenancyId
from dbsync_pipeline.pending.again import retry_now
from dbsync_pipeline.pending.claims import (
    BACK_OFF,
    CLAIM_ORDERED,
    COMPLETE,
    GIVE_BACK,
    RELEASE,
    Claims,
    Key,
    PendingItem,
)
from dbsync_pipeline.pending.due import DUE, listen, unlisten, wait_for_work
from dbsync_pipeline.pending.tally import Outcome, counted

_LONGEST_ERROR_CHARACTERS = 2_000

_Value = TypeVar("_Value", int, str)

_CLAIM = (
    DUE
    + """
        and (%(tenancies)s::text[] is null or p.tenancy_id::text = any(%(tenancies)s))
        and (%(mappings)s::text[] is null or p.mapping_id = any(%(mappings)s))
"""
    + CLAIM_ORDERED
)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a failed row rests: base seconds, doubling up to the maximum."""

    base_seconds: float
    max_seconds: float


class PendingQueue(Claims):
    """One worker's view of the pending rows of one destination."""

    def __init__(
        self,
        connection: psycopg.Connection,
        destination_id: str,
        *,
        lease_seconds: float,
        retry: RetryPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(connection, lease_seconds=lease_seconds, clock=clock)
        self._destination_id = destination_id
        self._kind: DestinationKind = "clickhouse" if destination_id == CLICKHOUSE else "postgres"
        self._retry = retry
        self._listens = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._connection.closed:
            if self._listens:
                unlisten(self._connection)
            self._leave([self._destination_id])

    def claim(
        self, limit: int, *, tenancies: list[str] | None = None, mappings: list[str] | None = None
    ) -> list[PendingItem]:
        """Take the rows that have waited longest and are due; nobody else gets them until they are given back."""
        if self._listens:
            # What was notified until now is seen by this claim; kept, it would pile up while there is work.
            self.wait(0)
        self._claimed = self._clock()
        return self._claim(
            _CLAIM,
            PendingItem,
            destination=self._destination_id,
            tenancies=tenancies,
            mappings=mappings,
            limit=limit,
        )

    def listen(self) -> None:
        """Have the sequencer wake this worker from now on when it waits."""
        listen(self._connection)
        self._listens = True

    def renew(self) -> None:
        """Keep what is claimed; to be called often while at it."""
        self._renew([self._destination_id])

    def wait(self, seconds: float) -> bool:
        """Wait until something may have become pending since the last claim, at most so long; return whether it has.

        Behind a pooler that shares sessions, it always takes the time.
        """
        return wait_for_work(self._connection, seconds)

    def complete(
        self, reached: dict[tuple[TenancyId, str], int], *, complete_up_to: int, outcomes: Iterable[Outcome] = ()
    ) -> None:
        """Record how far rows are durable in the destination and give them back; count what was delivered.

        Args:
            reached: (tenancy, mapping) -> sequence id.
            complete_up_to: how far the source's order was complete when it was read; less than that was reached only
                where a load was cut into chunks.
            outcomes: what was delivered of them, counted whether or not the lease was lost meanwhile.
        """
        added = counted(self._kind, self._worker, outcomes)
        self._update(COMPLETE, "reached", self._keys(reached), complete_up_to=complete_up_to, **added)

    def back_off(self, errors: dict[tuple[TenancyId, str], str], *, outage_seconds: float | None = None) -> None:
        """Give rows back that failed; each rests for longer than the last time, up to the policy's maximum.

        Args:
            errors: (tenancy, mapping) -> why it was not delivered.
            outage_seconds: given when the destination is at fault: what rests comes back together, after so long at
                most.
        """
        messages = {key: _storable(redact(message))[:_LONGEST_ERROR_CHARACTERS] for key, message in errors.items()}
        longest = self._retry.max_seconds if outage_seconds is None else min(outage_seconds, self._retry.max_seconds)
        spread = None if outage_seconds is None else random.random()  # noqa: S311 -- not a secret
        failures = (Outcome(mapping_id, failed=1) for _, mapping_id in errors)
        self._update(
            BACK_OFF,
            "last_error",
            self._keys(messages),
            destination=self._destination_id,
            retry_base=self._retry.base_seconds,
            retry_max=longest,
            spread=spread,
            **counted(self._kind, self._worker, failures),
        )

    def give_back(self, keys: Collection[tuple[TenancyId, str]]) -> None:
        """Give back rows of which nothing was sent, as if they had not been claimed."""
        self._update(GIVE_BACK, "reached", self._keys(dict.fromkeys(keys, 0)))

    def release(self) -> None:
        """Give back everything this worker still has claimed, as if it had not been tried."""
        self._connection.execute(RELEASE, {"destinations": [self._destination_id], "worker": self._worker})

    def retry_now(self, *, tenancies: list[str] | None = None, mappings: list[str] | None = None) -> None:
        """Make what rests after a failure due at once."""
        retry_now(self._connection, destination_id=self._destination_id, tenancies=tenancies, mappings=mappings)

    def _keys(self, values: Mapping[tuple[TenancyId, str], _Value]) -> dict[Key, _Value]:
        return {(self._destination_id, *pair): value for pair, value in values.items()}


def _storable(text: str) -> str:
    """Leave out what a driver may quote and Postgres's text cannot hold."""
    return text.encode(errors="replace").decode().replace("\0", "")
