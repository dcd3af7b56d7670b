"""Sessions on external databases between two deliveries: which are kept, and for how long."""

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline.destinations.postgres import kept
from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline_tests.harness import External, Harness

PATIENCE_SECONDS = 30.0


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


@dataclass
class Serving:
    """A run that serves whatever is due."""

    pipeline: Harness
    stop: Event = field(default_factory=Event)
    results: list[SyncResult] = field(default_factory=list[SyncResult])
    notes: list[str] = field(default_factory=list[str])

    def run(self) -> None:
        with self.pipeline.pipeline.source("test") as connection:
            serving = self.pipeline.pipeline.external_dispatcher(connection, self.results.extend)
            with serving as dispatcher:
                dispatcher.run(stop=self.stop, max_seconds=math.inf, idle_seconds=math.inf, note=self.notes.append)

    def deliver(self) -> list[str]:
        """Change all users' names, wait until nothing waits any more, and return what failed meanwhile."""
        before = len(self.results)
        self.pipeline.app.run('update "ProjectUser" set "displayName" = %s', f"changed {before}")
        self.pipeline.sequence()
        await_that(lambda: nothing_waits(self.pipeline))
        return [*self.notes, *(entry.delivery.error for entry in self.results[before:] if entry.delivery.error)]


def nothing_waits(pipeline: Harness) -> bool:
    return pipeline.value(
        "select not exists (select from dbsync.pending where destination_id like 'postgres:%%' and wanted > reached)"
    )


@contextmanager
def serving(pipeline: Harness) -> Generator[Serving]:
    run = Serving(pipeline)
    thread = threading.Thread(target=run.run, daemon=True)
    thread.start()
    try:
        yield run
    finally:
        run.stop.set()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def await_that(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def sessions(copy: External) -> list[int]:
    """Return the process ids of the pipeline's sessions on a database."""
    with psycopg.connect(copy.url, autocommit=True, application_name="test") as connection:
        found = connection.execute(
            "select pid from pg_stat_activity where datname = current_database() and application_name = 'dbsync'"
        )
        return [pid for (pid,) in found]


def terminate(pipeline: Harness, pid: int) -> None:
    assert pipeline.value("select pg_terminate_backend(%s, 10000)", pid) is True


def test_a_session_is_kept_between_deliveries_and_ends_with_the_run(pipeline: Harness, tenancy: UUID) -> None:
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        first = sessions(copy)
        assert run.deliver() == []
        assert (len(first), sessions(copy)) == (1, first)
    await_that(lambda: sessions(copy) == [])
    copy.assert_equal()


def test_a_session_without_work_is_closed(pipeline: Harness, tenancy: UUID) -> None:
    pipeline.configure(external_idle_seconds=0)
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        await_that(lambda: sessions(copy) == [])


def test_it_is_closed_when_its_time_is_over_and_not_before(pipeline: Harness) -> None:
    """The time begins again whenever it is left."""
    url, now = pipeline.new_database(), 0.0
    with KeptSessions(pipeline.pipeline.external_session, most=10, idle_seconds=60, clock=lambda: now) as resting:
        session = resting.open(url)
        resting.leave("a", url, session)
        now = 59.0
        resting.close_idle()
        assert resting.take("a", url) is session
        assert resting.take("a", url) is None
        resting.leave("a", url, session)
        now = 118.0
        resting.close_idle()
        assert session.is_at_rest
        now = 119.0
        resting.close_idle()
        assert (session.connection.closed, resting.take("a", url)) == (True, None)


def test_one_that_was_ended_from_there_is_opened_again_at_once(pipeline: Harness, tenancy: UUID) -> None:
    """A database that was restarted is no failed attempt."""
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        (first,) = sessions(copy)
        terminate(pipeline, first)
        assert run.deliver() == []
        (second,) = sessions(copy)
    assert first != second
    copy.assert_equal()


def test_several_that_were_ended_cost_none_an_attempt(pipeline: Harness) -> None:
    """Those of one database, which tenancies share, end together."""
    pipeline.configure(external_workers=3)
    tenancies = [pipeline.app.tenancy() for _ in range(3)]
    first = pipeline.configure_external(tenancies[0])
    copies = [first, *(pipeline.configure_external(other, url=first.url) for other in tenancies[1:])]
    for owner in tenancies:
        pipeline.app.user(owner)
    with KeptSessions(pipeline.pipeline.external_session, most=10, idle_seconds=60) as resting:
        ended = [resting.open(first.url) for _ in range(3)]
        for session in ended:
            resting.leave("a", first.url, session)
        pipeline.drain()
        for session in ended:
            terminate(pipeline, session.connection.info.backend_pid)
        name = "after that"
        pipeline.app.run('update "ProjectUser" set "displayName" = %s', name)
        pipeline.sequence()
        for copy in copies:
            with (
                pipeline.pipeline._sessions() as pair,
                pipeline.pipeline._external_worker(pair, resting, copy.destination_id) as worker,
            ):
                assert [entry.delivery.error for entry in worker.run_once()] == [None]
    first.assert_equal("users")


def test_another_connection_string_closes_what_was_opened_by_the_former(pipeline: Harness, tenancy: UUID) -> None:
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        former, moved = copy, External(pipeline, tenancy, "main", pipeline.new_database())
        pipeline.admin.execute("update dbsync.destination set connection = %s", [moved.url])
        assert run.deliver() == []
        assert (sessions(former), len(sessions(moved))) == ([], 1)
    moved.assert_equal()


def test_no_more_are_kept_than_may_be(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were used last are."""
    monkeypatch.setattr(kept, "_MOST_KEPT", 2)
    copies = [pipeline.configure_external(pipeline.app.tenancy()) for _ in range(4)]
    for copy in copies:
        pipeline.app.user(copy.tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        await_that(lambda: sum(len(sessions(copy)) for copy in copies) == 2)
        assert run.deliver() == []
    for copy in copies:
        copy.assert_equal("users")


def test_a_database_that_many_share_has_a_session_for_each_thread_at_most(pipeline: Harness) -> None:
    """And so has the source a pair."""
    pipeline.configure(external_workers=2)
    tenancies = [pipeline.app.tenancy() for _ in range(6)]
    first = pipeline.configure_external(tenancies[0])
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
        if tenancy != first.tenancy:
            pipeline.configure_external(tenancy, url=first.url)
    with serving(pipeline) as run:
        for _ in range(3):
            assert run.deliver() == []
        assert 1 <= len(sessions(first)) <= 2
        source = "select count(*) from pg_stat_activity where datname = current_database() and application_name = %s"
        for name in ("dbsync sync", "dbsync sync queue"):
            assert 1 <= pipeline.value(source, name) <= 2
    first.assert_equal("users")


def test_what_the_owner_drops_meanwhile_is_made_again(pipeline: Harness, tenancy: UUID) -> None:
    """By the next delivery of any mapping, however old the session is, and with no attempt that fails."""
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        first = sessions(copy)
        copy.run("drop table dbsync.teams")
        assert run.deliver() == []
        copy.run("alter table dbsync.users drop constraint users_pkey")
        assert run.deliver() == []
        assert sessions(copy) == first
        copy.assert_equal()
        copy.run("drop schema dbsync cascade")
        pipeline.app.run('update "ProjectUser" set "displayName" = %s', "again")
        pipeline.sequence()
        await_that(lambda: copy.has("teams") and nothing_waits(pipeline))
        copy.assert_equal()


def test_a_session_that_something_has_failed_on_is_not_kept(pipeline: Harness, tenancy: UUID) -> None:
    """It may lead to a server that was replaced by another."""
    copy = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    with serving(pipeline) as run:
        assert run.deliver() == []
        (first,) = sessions(copy)
        copy.run("alter table dbsync.users add constraint never check (display_name <> 'wrong') not valid")
        pipeline.app.run('update "ProjectUser" set "displayName" = %s', "wrong")
        pipeline.sequence()
        await_that(lambda: any(entry.delivery.error for entry in run.results))
        await_that(lambda: first not in sessions(copy))
        copy.run("alter table dbsync.users drop constraint never")
        await_that(lambda: nothing_waits(pipeline))
    copy.assert_equal()
