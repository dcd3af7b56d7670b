"""The pending table as a work queue.

One row per (destination, tenancy, mapping), pending while `wanted > reached`, so that a change that arrives while a
worker runs simply leaves the row pending (I2), and a mapping that fails for one tenancy backs off alone (I8). A claim
is a lease, which its worker renews while it is at it: it ends when the work is completed or has failed, when its time
is up, or at once when its worker's session is gone, which the advisory lock every worker holds tells. Two workers at
the same row are harmless (I6), they only waste work. What the copies do depend on is `claims`: a load that was claimed
only once may leave tombstones out.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import LiteralString, Self, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dbsync_pipeline.errors import redact
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import DestinationKind, TenancyId
from dbsync_pipeline.pending.again import retry_now
from dbsync_pipeline.pending.due import ALIVE, DUE, IS_FREE, WORKER_LOCK_CLASS, listen, unlisten, wait_for_work
from dbsync_pipeline.pending.tally import COUNTED, Outcome, counted

_LONGEST_ERROR_CHARACTERS = 2_000

Key = tuple[str, TenancyId, str]
"""Destination, tenancy and mapping of a row."""

_Item = TypeVar("_Item", bound="PendingItem")
_Value = TypeVar("_Value", int, str)

_NEW_WORKER = "select pg_backend_pid(), pg_advisory_lock(%s, pg_backend_pid())"

_CLAIM_ORDERED = """
    order by p.pending_since
    limit %(limit)s
    for update skip locked
)
update dbsync.pending p set
    lease_worker = %(worker)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
    attempts = p.attempts + 1,
    claims = p.claims + 1
from due
where (p.destination_id, p.tenancy_id, p.mapping_id) = (due.destination_id, due.tenancy_id, due.mapping_id)
returning p.tenancy_id, p.mapping_id, p.wanted, p.epoch, p.attempts,
    extract(epoch from clock_timestamp() - p.pending_since)::double precision as waited_seconds
"""

_CLAIM = (
    DUE
    + """
        and (%(tenancies)s::text[] is null or p.tenancy_id::text = any(%(tenancies)s))
        and (%(mappings)s::text[] is null or p.mapping_id = any(%(mappings)s))
"""
    + _CLAIM_ORDERED
)

_CLAIM_OF_MANY = (
    ALIVE  # noqa: S608 -- made of constants
    + """
, due as (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = any(%(destinations)s) and
"""
    + IS_FREE
    + _CLAIM_ORDERED
    + ", p.destination_id, p.reached"
)

# Rows are locked in the order in which the sequencer takes them; the update itself promises none.
_ORDERED = """
with mine as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id, done.reached, done.last_error
    from dbsync.pending p
    join jsonb_populate_recordset(null::dbsync.pending, %(rows)s) as done
        using (destination_id, tenancy_id, mapping_id)
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update of p
)
"""
_SET = """
update dbsync.pending p set
"""
_MINE = """
from mine
where (p.destination_id, p.tenancy_id, p.mapping_id) = (mine.destination_id, mine.tenancy_id, mine.mapping_id)
    -- Whoever lost the lease has nothing to say: another worker has the row by now, or a resync has begun.
    and p.lease_worker = %(worker)s
"""

_ENDED = (
    """
    returning p.mapping_id
)
"""
    + COUNTED
)

_COMPLETE = (
    _ORDERED
    + ", ended as ("
    + _SET
    + """
    reached = greatest(p.reached, mine.reached),
    -- What arrived meanwhile has waited since about now; what is left of a larger load, since before.
    pending_since = case when p.wanted > mine.reached and mine.reached < %(complete_up_to)s then p.pending_since
        else clock_timestamp() end,
    lease_worker = null, lease_until = null, attempts = 0, last_error = null, next_attempt_at = '-infinity'
"""
    + _MINE
    + _ENDED
)

_BACK_OFF = (
    _ORDERED  # noqa: S608 -- made of constants
    + ", ended as ("
    + _SET
    + """
    lease_worker = null, lease_until = null, last_error = mine.last_error,
    -- Exponential, capped, and spread over half its length, so that a thousand rows do not come back as one; after an
    -- outage they do, as there is one question to ask, and then with those that rest already.
    next_attempt_at = least(clock_timestamp() + make_interval(secs =>
        least(%(retry_max)s, %(retry_base)s * power(2, least(p.attempts - 1, 30)))
        * (0.5 + coalesce(%(spread)s::double precision, random()) / 2)),
        (select min(q.next_attempt_at) from dbsync.pending q where %(spread)s::double precision is not null
            and q.destination_id = %(destination)s and q.wanted > q.reached and not q.paused
            and q.next_attempt_at > clock_timestamp()))
"""
    + _MINE
    + _ENDED
)

_GIVE_BACK = (
    _ORDERED
    + _SET
    + """
    lease_worker = null, lease_until = null, attempts = greatest(p.attempts - 1, 0),
    -- A first load is told by this: nobody has sent anything of it yet.
    claims = greatest(p.claims - 1, 0)
"""
    + _MINE
)

# Only what others could claim is looked through, by its index; what a resync or an erasure has ended stays ended.
_RENEW = """
with mine as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = any(%(destinations)s) and p.lease_worker = %(worker)s
        and p.wanted > p.reached and not p.paused
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update
)
update dbsync.pending p set lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
from mine
where (p.destination_id, p.tenancy_id, p.mapping_id) = (mine.destination_id, mine.tenancy_id, mine.mapping_id)
"""

_RELEASE = """
with mine as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = any(%(destinations)s) and p.lease_worker = %(worker)s
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update
)
update dbsync.pending p set lease_worker = null, lease_until = null, attempts = greatest(p.attempts - 1, 0)
from mine
where (p.destination_id, p.tenancy_id, p.mapping_id) = (mine.destination_id, mine.tenancy_id, mine.mapping_id)
"""
_LEAVE = f"with released as ({_RELEASE}) select pg_advisory_unlock(%(lock_class)s, %(worker)s)"


@dataclass(frozen=True)
class PendingItem:
    """A claimed row.

    Attributes:
        wanted: sequence id to reach.
        epoch: how often a resync was asked; checkpoints of an earlier epoch do not count.
        attempts: this one included.
        waited_seconds: age of the oldest undelivered change when it was claimed.
    """

    tenancy_id: TenancyId
    mapping_id: str
    wanted: int
    epoch: int
    attempts: int
    waited_seconds: float


@dataclass(frozen=True)
class SharedItem(PendingItem):
    """A row that was claimed together with rows of other destinations.

    Attributes:
        reached: sequence id up to which the destination has said that it has everything.
    """

    destination_id: str
    reached: int


@dataclass(frozen=True)
class RetryPolicy:
    """How long a failed row rests: base seconds, doubling up to the maximum."""

    base_seconds: float
    max_seconds: float


class _Claims:
    """What one worker has claimed.

    It needs a session of its own for as long as the worker lives: the session's advisory lock is what tells others
    that the worker is alive. Behind a pooler that shares sessions, leases still end by time.
    """

    def __init__(self, connection: psycopg.Connection, *, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._claimed = clock()
        row = connection.execute(_NEW_WORKER, [WORKER_LOCK_CLASS]).fetchone()
        assert row is not None
        self._worker: int = row[0]

    def __enter__(self) -> Self:
        return self

    def _leave(self, destinations: Collection[str]) -> None:
        # The lock may be gone a moment before the claims; they are free then, too.
        self._connection.execute(
            _LEAVE, {"destinations": list(destinations), "worker": self._worker, "lock_class": WORKER_LOCK_CLASS}
        )

    def _claim(self, statement: LiteralString, rows: type[_Item], **what: object) -> list[_Item]:
        with self._connection.cursor(row_factory=class_row(rows)) as cursor:
            cursor.execute(
                statement,
                {
                    "lock_class": WORKER_LOCK_CLASS,
                    "worker": self._worker,
                    "lease_seconds": self._lease_seconds,
                    **what,
                },
            )
            return cursor.fetchall()

    def _renew(self, destinations: Collection[str]) -> None:
        """Keep what is claimed for as long again, once a third of its time is over."""
        if self._clock() - self._claimed < self._lease_seconds / 3:
            return
        self._claimed = self._clock()
        # What ails the session is said when the turn is completed; until then the lease ends by time.
        with suppress(psycopg.Error):
            self._connection.execute(
                _RENEW,
                {"destinations": list(destinations), "worker": self._worker, "lease_seconds": self._lease_seconds},
            )

    def _update(
        self,
        statement: LiteralString,
        column: str,
        values: Mapping[Key, int] | Mapping[Key, str],
        **more: object,
    ) -> None:
        if not values:
            return
        self._connection.execute(
            statement,
            {
                "worker": self._worker,
                "rows": Jsonb(
                    [
                        {
                            "destination_id": destination_id,
                            "tenancy_id": str(tenancy_id),
                            "mapping_id": mapping_id,
                            column: value,
                        }
                        for (destination_id, tenancy_id, mapping_id), value in values.items()
                    ]
                ),
                **more,
            },
        )


class SharedQueue(_Claims):
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
            _COMPLETE,
            "reached",
            reached,
            complete_up_to=complete_up_to,
            **counted("postgres", self._worker, outcomes),
        )
        self._ended(reached)

    def give_back(self, keys: Collection[Key]) -> None:
        """Give back rows of which nothing was sent, as if they had not been claimed."""
        self._update(_GIVE_BACK, "reached", dict.fromkeys(keys, 0))
        self._ended(keys)

    def _ended(self, keys: Iterable[Key]) -> None:
        self._open -= Counter(destination_id for destination_id, _, _ in keys)


class PendingQueue(_Claims):
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
        self._update(_COMPLETE, "reached", self._keys(reached), complete_up_to=complete_up_to, **added)

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
            _BACK_OFF,
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
        self._update(_GIVE_BACK, "reached", self._keys(dict.fromkeys(keys, 0)))

    def release(self) -> None:
        """Give back everything this worker still has claimed, as if it had not been tried."""
        self._connection.execute(_RELEASE, {"destinations": [self._destination_id], "worker": self._worker})

    def retry_now(self, *, tenancies: list[str] | None = None, mappings: list[str] | None = None) -> None:
        """Make what rests after a failure due at once."""
        retry_now(self._connection, destination_id=self._destination_id, tenancies=tenancies, mappings=mappings)

    def _keys(self, values: Mapping[tuple[TenancyId, str], _Value]) -> dict[Key, _Value]:
        return {(self._destination_id, *pair): value for pair, value in values.items()}


def _storable(text: str) -> str:
    """Leave out what a driver may quote and Postgres's text cannot hold."""
    return text.encode(errors="replace").decode().replace("\0", "")
