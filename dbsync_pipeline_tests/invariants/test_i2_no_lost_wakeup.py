"""Attacks I2: number, re-send and pending are one; a crash between any two steps loses no row and no wake-up.

The session is cut before the first step, then before the second, and so on until the work comes through. After each
crash the survivors are a new sequencer or worker on new sessions, which know nothing of the one before.
"""

import subprocess
import sys
import time
from itertools import count
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import DEADLINE_SECONDS, WatchedSequencer, WatchedWorker, kill

TOUCHED = ("users", "connected_accounts", "team_invitations", "teams")


class Plug:
    """Pulled at the n-th boundary after it was put in."""

    def __init__(self, pipeline: Harness, at: int) -> None:
        self.boundary: str | None = None
        self._pipeline = pipeline
        self._left = at
        self._sessions: list[int] = []

    def put_in(self, sessions: list[int]) -> None:
        self._sessions = sessions

    def tell(self, boundary: str) -> None:
        if self._sessions:
            self._left -= 1
        if self._left == 0:
            self._left = -1
            self.boundary = boundary
            kill(self._pipeline, self._sessions)


def change(pipeline: Harness, tenancy: UUID, user: UUID, team: UUID, turn: int) -> None:
    """One of everything: a changed row, a deleted one, a re-created one, one that feeds others, one placed anew."""
    app = pipeline.app
    app.update("ProjectUser", {"projectUserId": user}, displayName=f"name {turn}")
    app.run('delete from "ProjectUserOAuthAccount"')
    app.account(tenancy, user)
    app.update("Team", {"teamId": team}, displayName=f"team {turn}")
    app.delete("VerificationCode", id=UUID(int=1))
    app.invitation(tenancy, team if turn % 2 else "nobody", id=UUID(int=1))


def test_a_sequencer_cut_before_any_of_its_steps(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy, email="a@example.com"), pipeline.app.team(tenancy)
    pipeline.app.invitation(tenancy, team)
    pipeline.drain()
    boundaries = set()
    for step in count(1):
        change(pipeline, tenancy, user, team, step)
        plug = Plug(pipeline, step)
        with WatchedSequencer(pipeline, tell=plug.tell) as sequencer:
            plug.put_in(sequencer.sessions)
            try:
                sequencer.sequencer.run_pass()
            except psycopg.OperationalError:
                assert plug.boundary
        # Whatever it had numbered is delivered without another change of the tenancy.
        pipeline.sync()
        pipeline.drain()
        pipeline.assert_equal(*TOUCHED)
        boundaries.add(plug.boundary)
        if plug.boundary is None:
            break
    assert step > 25
    assert boundaries == {"begin", "statement", "commit", "committed", None}
    pipeline.assert_equal()


def test_what_a_sequencer_numbered_is_pending_at_every_step(pipeline: Harness) -> None:
    """No moment at which a row has its number and its tenancy does not know."""
    tenancy = pipeline.app.tenancy()
    user, team = pipeline.app.user(tenancy), pipeline.app.team(tenancy)

    def look(boundary: str) -> None:
        mark = pipeline.value("select last_sequence_id from dbsync.sequencer")
        lost = pipeline.rows(
            """
            select 'users', max("sequenceId") from "ProjectUser" having max("sequenceId") >
                coalesce((select max(wanted) from dbsync.pending where mapping_id = 'users'), 0)
            union all
            select mapping_id, max(t.sequence_id) from dbsync.tombstone t group by mapping_id having max(t.sequence_id)
                > coalesce((select max(wanted) from dbsync.pending p where p.mapping_id = t.mapping_id), 0)
            """
        )
        assert lost == [], f"{boundary}, mark {mark}: {lost}"

    sequencer = WatchedSequencer(pipeline, tell=look)
    for turn in range(3):
        change(pipeline, tenancy, user, team, turn)
        sequencer.sequencer.run_pass()
    sequencer.close()
    pipeline.assert_synced()


@pytest.mark.parametrize("which", ["reading", "queueing"])
def test_a_worker_cut_before_any_of_its_steps(pipeline: Harness, which: str) -> None:
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy, email="a@example.com")
    chosen = {"reading": slice(0, 1), "queueing": slice(1, 2)}[which]
    boundaries = set()
    for step in count(1):
        # Two mappings, rows and a tombstone: with more of them every step comes again, and is cut again.
        pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName=f"name {step}")
        pipeline.app.run('delete from "ProjectUserOAuthAccount"')
        pipeline.app.account(tenancy, user)
        pipeline.sequence()
        plug = Plug(pipeline, step)
        with WatchedWorker(pipeline, tell=plug.tell) as worker:
            plug.put_in(worker.sessions[chosen])
            try:
                worker.cycle.run_once()
            except (psycopg.OperationalError, DbsyncError):
                assert plug.boundary
        boundaries.add(plug.boundary)
        pipeline.drain()
        pipeline.assert_equal("users", "connected_accounts")
        if plug.boundary is None:
            break
    assert boundaries >= {"checkpoints", "extract", "deliver", "delivered", "record", "recorded", "statement", None}
    pipeline.assert_equal()


_SEQUENCE = """
import signal, sys
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from pydantic import SecretStr
source, clickhouse, database, role = sys.argv[1:]
pipeline = Pipeline(Settings(source_url=SecretStr(source), clickhouse_url=SecretStr(clickhouse),
    clickhouse_database=database, chunk_rows=5, lease_seconds=3600))
def stop_here(self, *arguments):
    print("here", flush=True)
    signal.pause()
if role == "sequencer":
    with pipeline.sequencer() as working:
        original = type(working)._number
        def number(self, table):
            numbered = original(self, table)
            if self._connection.execute("select is_called from dbsync.sequence_id").fetchone()[0]:
                stop_here(self)
            return numbered
        type(working)._number = number
        working.run_pass()
else:
    from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
    ClickHouseDestination.record = stop_here
    with pipeline.clickhouse_worker() as working:
        working.run_once()
"""


@pytest.mark.parametrize("role", ["sequencer", "worker"])
def test_a_process_that_is_killed_is_followed_at_once(pipeline: Harness, role: str) -> None:
    """SIGKILL in the middle: of a transaction that holds the lock, or between rows and checkpoint under a lease."""
    tenancy = pipeline.app.tenancy()
    users = {pipeline.app.user(tenancy) for _ in range(20)}
    if role == "worker":
        pipeline.sequence()
    urls = [pipeline.url, pipeline.server.clickhouse.url, pipeline.server.clickhouse_database]
    with subprocess.Popen([sys.executable, "-c", _SEQUENCE, *urls, role], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        with WatchedSequencer(pipeline) as sequencer, WatchedWorker(pipeline) as worker:
            assert sequencer.sequencer.run_pass().locked_out == (role == "sequencer")
            assert worker.cycle.run_once() == []
        process.kill()
        process.wait(DEADLINE_SECONDS)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while {row["id"] for row in pipeline.view("users")} != users:
        assert time.monotonic() < deadline, "Neither the lock nor the lease of the dead process was given up."
        pipeline.sequence()
        pipeline.sync()
    pipeline.assert_equal()
