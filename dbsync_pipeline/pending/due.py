"""What there is to claim, for who looks without claiming, and how a session is told that there is more."""

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from dbsync_pipeline.mappings.relation import PENDING_CHANNEL

WORKER_LOCK_CLASS = 0x6462_7379  # "dbsy".
"""Workers are told apart by the second half of the advisory lock's key."""

ALIVE: LiteralString = """
with alive as materialized (
    select objid::bigint as worker from pg_locks
    where locktype = 'advisory' and classid = %(lock_class)s and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database())
)
"""
"""SQL of the workers that live, `alive`, before a statement; with the parameter `lock_class`."""

IS_FREE: LiteralString = """
p.wanted > p.reached and not p.paused and p.next_attempt_at <= clock_timestamp()
    and (p.lease_until is null or p.lease_until <= clock_timestamp()
        or not exists (select from alive where alive.worker = p.lease_worker))
"""
"""SQL of whether a row `p` may be claimed now; after `ALIVE`."""

DUE: LiteralString = (
    ALIVE  # noqa: S608 -- made of constants
    + """
, due as (
    select p.destination_id, p.tenancy_id, p.mapping_id from dbsync.pending p
    where p.destination_id = %(destination)s and
"""
    + IS_FREE
)
"""SQL of the rows of a destination that may be claimed now, `due`, up to further conditions."""

_DESTINATIONS_DUE = (
    ALIVE
    + """
select p.destination_id, count(p.last_error) > 0 as failing
from dbsync.pending p join dbsync.destination d using (destination_id)
-- Their ids begin so, and the index of what is pending with them.
where p.destination_id >= 'postgres:' and d.enabled and
"""
    + IS_FREE
    + """
group by p.destination_id
-- Those that fail come last, in turn: however many are dead, the others are found, and so is one that is back.
order by failing, max(p.next_attempt_at), min(p.pending_since)
limit %(limit)s
"""
)

_DESTINATIONS_PENDING = """
select p.destination_id from dbsync.pending p join dbsync.destination d using (destination_id)
where p.destination_id >= 'postgres:' and d.enabled and p.wanted > p.reached and not p.paused
    and (%(tenancies)s::text[] is null or p.tenancy_id::text = any(%(tenancies)s))
    and (%(mappings)s::text[] is null or p.mapping_id = any(%(mappings)s))
group by p.destination_id
order by min(p.pending_since)
"""

# The order is that of the index of what waits: without it, the planner expects a third of all rows to wait, and reads
# the table from its beginning until it finds one.
_IS_DUE = (
    DUE
    + """
    order by p.pending_since limit 1
), later as (
    select from dbsync.pending where destination_id = %(destination)s and wanted > reached and not paused
    order by pending_since limit 1
)
select exists (table due), exists (table later)
"""
)

_LISTEN = sql.SQL("listen {}").format(sql.Identifier(PENDING_CHANNEL))
_UNLISTEN = sql.SQL("unlisten {}").format(sql.Identifier(PENDING_CHANNEL))


@dataclass(frozen=True)
class Waiting:
    """Whether a worker would find something to claim now, and whether anything waits at all."""

    due: bool
    later: bool


def waiting(connection: psycopg.Connection, destination_id: str) -> Waiting:
    """Look at the queue without being a worker; one indexed query."""
    row = connection.execute(_IS_DUE, {"lock_class": WORKER_LOCK_CLASS, "destination": destination_id}).fetchone()
    assert row is not None
    return Waiting(*row)


@dataclass(frozen=True)
class DueDestination:
    """An external database that has something due; `failing` when its last attempt failed."""

    destination_id: str
    failing: bool


def destinations_due(connection: psycopg.Connection, limit: int) -> list[DueDestination]:
    """Return the external databases that have something due, those that fail last."""
    with connection.cursor(row_factory=class_row(DueDestination)) as cursor:
        cursor.execute(_DESTINATIONS_DUE, {"lock_class": WORKER_LOCK_CLASS, "limit": limit})
        return cursor.fetchall()


def destinations_pending(
    connection: psycopg.Connection, *, tenancies: list[str] | None = None, mappings: list[str] | None = None
) -> list[str]:
    """Return the external databases that have anything pending, resting or not, the longest waiting first."""
    rows = connection.execute(_DESTINATIONS_PENDING, {"tenancies": tenancies, "mappings": mappings})
    return [destination_id for (destination_id,) in rows]


def listen(connection: psycopg.Connection) -> None:
    """Have a session told by the sequencer when something has become pending."""
    connection.execute(_LISTEN)


def unlisten(connection: psycopg.Connection) -> None:
    """Have a session told no more."""
    connection.execute(_UNLISTEN)


def wait_for_work(connection: psycopg.Connection, seconds: float) -> bool:
    """Wait until a session that listens is told something, at most so long; return whether it was."""
    return bool(list(connection.notifies(timeout=seconds, stop_after=1)))
