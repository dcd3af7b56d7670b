"""Whether a run that Dagster believes to be at work really is.

A run whose machine died stays STARTED for ever, and would keep its successor away. So every long run holds an advisory
lock of its own in the source, which Postgres frees with the session; Dagster's status is believed only as long as that
lock is seen. None of this is needed for correctness: two runs at once only waste work.
"""

from collections.abc import Iterable
from uuid import UUID

import dagster as dg
import psycopg
from pydantic import BaseModel

_LOCK_CLASS = 0x6462_7372
"""The ASCII codes of "dbsr"; runs are told apart by the second half of the lock's key."""

GRACE_SECONDS = 30.0
"""A run may be seen without its lock for this long: while it starts, and while it reconnects after an outage."""

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


def hold(connection: psycopg.Connection, run_id: str) -> None:
    """Show, for as long as the session lasts, that the run is alive."""
    # Shared: a session that was lost may not be gone yet on the server.
    connection.execute("select pg_advisory_lock_shared(%s, %s)", [_LOCK_CLASS, _lock_of(run_id)])


def run_under_way(
    instance: dg.DagsterInstance, connection: psycopg.Connection, job_name: str, missed: Missed, now: float
) -> tuple[str | None, Missed]:
    """Return a run of the job that is queued, starting or alive, or None; report those that are dead as failed.

    Args:
        instance: Dagster's instance.
        connection: a session on the source.
        job_name: the job.
        missed: what the last call returned.
        now: seconds since 1970.
    """
    runs = list(instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_UNDER_WAY)))
    held = {lock for (lock,) in connection.execute(_HELD, [_LOCK_CLASS])}
    since = {
        run.run_id: missed.since.get(run.run_id, now)
        for run in runs
        if run.status in _AT_WORK and _lock_of(run.run_id) not in held
    }
    dead = {run_id for run_id, first in since.items() if now - first >= GRACE_SECONDS}
    for run in runs:
        if run.run_id in dead:
            instance.report_run_failed(run, "Its process is gone: it no longer holds its lock in the source.")
    alive = _first(run.run_id for run in runs if run.run_id not in dead)
    return alive, Missed(since={run_id: first for run_id, first in since.items() if run_id not in dead})


def _lock_of(run_id: str) -> int:
    return UUID(run_id).int & 0x7FFF_FFFF


def _first(run_ids: Iterable[str]) -> str | None:
    return next(iter(run_ids), None)
