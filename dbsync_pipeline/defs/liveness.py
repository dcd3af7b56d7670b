"""Which runs are at work, and which are wanted; told by locks in the source, not by Dagster's statuses.

A run whose machine died stays STARTED for ever, and would keep its successor away. So every long run holds an advisory
lock of its own in the source, which Postgres frees with the session, and another one for the place in its job that it
fills. A run whose time is up leaves its place and shows that a successor is to come; it goes on working until that has
the place, so that between two runs there is no gap. None of this is needed for correctness: two runs at once only waste
work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID
from zlib import crc32

import dagster as dg
import psycopg
from pydantic import BaseModel

PLACE_TAG = "dbsync/singleton"
"""Tag of a run: its job and the number of its place."""

GRACE_SECONDS = 30.0
"""A run has this long to show itself, before its place counts as free.

After an outage it has as long to do so again, before it is reported as failed.
"""

_RUNS = 0x6462_7372
"""The ASCII codes of "dbsr", the first half of the lock that a run holds; runs are told apart by the second."""

_LEFT = 1 << 30
"""Added to the number of a place, it makes the lock that says that the place is being left."""

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_AT_WORK = {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}

_HELD = """
select objid::bigint from pg_locks
where locktype = 'advisory' and classid = %s and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
"""


class Missed(BaseModel):
    """Runs seen without their lock, and when first, in seconds since 1970; a sensor's cursor."""

    since: dict[str, float] = {}


@dataclass(frozen=True)
class Places:
    """The places of one job, by number, counted from 0."""

    filled: frozenset[int]
    being_left: frozenset[int]

    @classmethod
    def of(cls, connection: psycopg.Connection, job_name: str) -> "Places":
        """Look at the locks."""
        held = _held(connection, _places(job_name))
        filled = frozenset(number for number in held if number < _LEFT)
        return cls(filled, frozenset(number - _LEFT for number in held - filled) - filled)


def tag(job_name: str, place: int) -> dict[str, str]:
    """Return the tag of the run that is to fill a place."""
    return {PLACE_TAG: f"{job_name} {place}"}


def place_of(run: dg.DagsterRun) -> int:
    """Return the place that a run is to fill."""
    return int(run.tags.get(PLACE_TAG, "0").rpartition(" ")[2])


def show(connection: psycopg.Connection, run_id: str) -> None:
    """Show, for as long as the session lasts, that the run is alive."""
    # Shared: a session that was lost may not be gone yet on the server.
    connection.execute("select pg_advisory_lock_shared(%s, %s)", [_RUNS, _lock_of(run_id)])


def fill(connection: psycopg.Connection, job_name: str, place: int) -> bool:
    """Take a place for as long as the session lasts; False when another session has it."""
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", [_places(job_name), place]).fetchone()
    return row is not None and row[0]


def leave(connection: psycopg.Connection, job_name: str, place: int) -> None:
    """Give a place back, and show that a successor is waited for."""
    connection.execute("select pg_advisory_lock_shared(%s, %s)", [_places(job_name), _LEFT + place])
    connection.execute("select pg_advisory_unlock(%s, %s)", [_places(job_name), place])


def withdraw(connection: psycopg.Connection, run_id: str) -> None:
    """Have no place any more, and wait for nobody; the run stays alive."""
    connection.execute("select pg_advisory_unlock_all()")
    show(connection, run_id)


def vacant(
    instance: dg.DagsterInstance,
    connection: psycopg.Connection,
    location: str | None,
    job_name: str,
    places: Sequence[int],
    *,
    missed: Missed,
    now: float,
) -> tuple[list[int], Missed]:
    """Return which of some places nobody fills or is about to fill; report runs that are dead as failed.

    A run that has had time to take its place, and has not got it, fills none: its successor is wanted at once. Should
    it have lost its session only, it goes on, and the successor ends.

    Args:
        instance: Dagster's instance.
        connection: a session on the source.
        location: the code location that asks; runs of others are none of ours, whatever their jobs are called.
        job_name: the job.
        places: the places to look at.
        missed: what the last call returned.
        now: seconds since 1970.
    """
    records = [
        record
        for record in instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=_UNDER_WAY))
        if _location_of(record.dagster_run) in {location, None}
    ]
    # Looked at after the runs: one that has taken its place meanwhile is seen twice, and never not at all.
    alive = _held(connection, _RUNS)
    filled = Places.of(connection, job_name).filled
    hidden = [record for record in records if _lock_of(record.dagster_run.run_id) not in alive]
    at_work = [record.dagster_run for record in hidden if record.dagster_run.status in _AT_WORK]
    since = {run.run_id: missed.since.get(run.run_id, now) for run in at_work}
    dead = {run_id for run_id, first in since.items() if now - first >= GRACE_SECONDS}
    for run in at_work:
        if run.run_id in dead:
            instance.report_run_failed(run, "Its process is gone: it no longer holds its lock in the source.")
    coming = {
        place_of(record.dagster_run)
        for record in hidden
        if record.dagster_run.run_id not in dead and now - (record.start_time or now) < GRACE_SECONDS
    }
    taken = filled | coming
    return (
        [place for place in places if place not in taken],
        Missed(since={run_id: first for run_id, first in since.items() if run_id not in dead}),
    )


def _location_of(run: dg.DagsterRun) -> str | None:
    """Return the code location that a run was started in; None where it was started by itself, outside of any."""
    return None if run.remote_job_origin is None else run.remote_job_origin.location_name


def _held(connection: psycopg.Connection, lock_class: int) -> set[int]:
    return {lock for (lock,) in connection.execute(_HELD, [lock_class])}


def _places(job_name: str) -> int:
    return crc32(f"dbsync {job_name}".encode()) & 0x7FFF_FFFF


def _lock_of(run_id: str) -> int:
    return UUID(run_id).int & 0x7FFF_FFFF
