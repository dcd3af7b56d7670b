"""What a worker has claimed of the pending table, and how a claim ends.

One row per (destination, tenancy, mapping), pending while `wanted > reached`, so that a change that arrives while a
worker runs simply leaves the row pending (I2), and a mapping that fails for one tenancy backs off alone (I8). A claim
is a lease, which its worker renews while it is at it: it ends when the work is completed or has failed, when its time
is up, or at once when its worker's session is gone, which the advisory lock every worker holds tells. Two workers at
the same row are harmless (I6), they only waste work. What the copies do depend on is `claims`: a load that was claimed
only once may leave tombstones out.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString, Self, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dbsync_pipeline.mappings.spec import TenancyId
from dbsync_pipeline.pending.due import WORKER_LOCK_CLASS
from dbsync_pipeline.pending.tally import COUNTED

Key = tuple[str, TenancyId, str]
"""Destination, tenancy and mapping of a row."""

_Item = TypeVar("_Item", bound="PendingItem")

# Not the session's number: a server that was restarted, or has taken over for another, gives the same ones again, and
# claims of the dead would seem alive.
_NEW_WORKER = """
select number, pg_advisory_lock(%s, number) from (select (random() * 2147483647)::integer as number) as drawn
"""

CLAIM_ORDERED: LiteralString = """
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
    greatest(extract(epoch from clock_timestamp() - p.pending_since), 0)::double precision as waited_seconds
"""
"""SQL of the rest of a statement that claims, whose rows are `due`; with the parameter `limit` and those of a claim."""

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

COMPLETE: LiteralString = (
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
"""SQL that ends claims of what is durable; with `complete_up_to`, and the parameters of `counted`."""

BACK_OFF: LiteralString = (
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
"""SQL that ends claims of what failed; with the policy, `destination`, `spread`, and the parameters of `counted`."""

GIVE_BACK: LiteralString = (
    _ORDERED
    + _SET
    + """
    lease_worker = null, lease_until = null, attempts = greatest(p.attempts - 1, 0),
    -- A first load is told by this: nobody has sent anything of it yet.
    claims = greatest(p.claims - 1, 0)
"""
    + _MINE
)
"""SQL that ends claims of which nothing was sent, as if they had not been made."""

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

RELEASE: LiteralString = """
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
"""SQL that ends all claims of a worker, on some destinations."""

_LEAVE = f"with released as ({RELEASE}) select pg_advisory_unlock(%(lock_class)s, %(worker)s)"


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


class Claims:
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
