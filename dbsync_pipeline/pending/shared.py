"""The queue of whoever goes round many destinations, with few rows of each: claims are taken, and end, together."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

import psycopg

from dbsync_pipeline.pending.claims import CLAIM_ORDERED, COMPLETE, GIVE_BACK, Claims, Key, PendingItem
from dbsync_pipeline.pending.due import ALIVE, IS_FREE
from dbsync_pipeline.pending.tally import Outcome, counted

_CLAIM_OF_MANY = (
    ALIVE  # noqa: S608 -- made of constants
    + """
, due as (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = any(%(destinations)s) and
"""
    + IS_FREE
    + CLAIM_ORDERED
    + ", p.destination_id, p.reached"
)


@dataclass(frozen=True)
class SharedItem(PendingItem):
    """A row that was claimed together with rows of other destinations.

    Attributes:
        reached: sequence id up to which the destination has said that it has everything.
    """

    destination_id: str
    reached: int


class SharedQueue(Claims):
    """One worker's view of the pending rows of several destinations, which it claims, and ends, together.

    Whatever fails is given back, for a worker of its destination alone to find out why, and to note it.
    """

    def __init__(
        self, connection: psycopg.Connection, *, lease_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(connection, lease_seconds=lease_seconds, clock=clock)
        self._open = Counter[str]()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._connection.closed:
            self._leave(self._open)

    def claim(self, destinations: list[str], limit: int) -> list[SharedItem]:
        """Take the rows of some destinations that have waited longest and are due, in that order."""
        if not self._open:
            self._claimed = self._clock()
        items = self._claim(_CLAIM_OF_MANY, SharedItem, destinations=destinations, limit=limit)
        self._open.update(item.destination_id for item in items)
        return sorted(items, key=lambda item: -item.waited_seconds)

    def renew(self) -> None:
        """Keep what is claimed; to be called often."""
        self._renew(self._open)

    def complete(self, reached: Mapping[Key, int], *, complete_up_to: int, outcomes: Iterable[Outcome]) -> None:
        """Record how far rows are durable in their destinations and give them back, as `PendingQueue.complete` does."""
        self._update(
            COMPLETE,
            "reached",
            reached,
            complete_up_to=complete_up_to,
            **counted("postgres", self._worker, outcomes),
        )
        self._ended(reached)

    def give_back(self, keys: Collection[Key]) -> None:
        """Give back rows of which nothing was sent, as if they had not been claimed."""
        self._update(GIVE_BACK, "reached", dict.fromkeys(keys, 0))
        self._ended(keys)

    def _ended(self, keys: Iterable[Key]) -> None:
        self._open -= Counter(destination_id for destination_id, _, _ in keys)
