"""Reading from a hot standby: its lag delays, and never loses, skips or spins."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import psycopg
import pytest

from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.replica import Replica
from dbsync_pipeline.engine.snapshot import take_snapshot
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline_tests.invariants.stepping import expire_leases
from dbsync_pipeline_tests.replica.conftest import Lagging


def test_a_pipeline_reads_from_its_replica(lagging: Lagging) -> None:
    pipeline = lagging.pipeline
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    with pipeline.worker():
        reading = "select count(*) from pg_stat_activity where application_name = %s"
        with lagging.standby() as standby:
            assert standby.execute(reading, ["dbsync sync"]).fetchone() != (0,)
        assert pipeline.value(reading, "dbsync sync") == 0
    pipeline.app.update("ProjectUser", {"projectUserId": user}, displayName="Grace")
    pipeline.app.delete("ProjectUser", projectUserId=pipeline.app.user(tenancy))
    pipeline.assert_synced()


def test_what_is_behind_is_waited_for(lagging: Lagging) -> None:
    """A worker that has claimed before the standby shows what it claimed, delivers all of it, and nothing older."""
    pipeline = lagging.pipeline
    tenancy = pipeline.app.tenancy()
    with pipeline.worker() as worker, ThreadPoolExecutor(1) as threads:
        with lagging.held_back():
            pipeline.app.user(tenancy)
            pipeline.sequence()
            working = threads.submit(worker.run_once)
            while not pipeline.value("select exists (select from dbsync.pending where lease_until is not null)"):
                assert not working.done()
            assert pipeline.view("users") == []
        (result,) = [entry for entry in working.result() if entry.delivery.pair.mapping_id == "users"]
        assert result.delivery.error is None
        assert not result.still_pending
        assert worker.run_once() == []
    pipeline.assert_equal()


def test_too_far_behind_is_an_outage_and_no_rows_fault(lagging: Lagging) -> None:
    pipeline = lagging.pipeline
    pipeline.configure(lease_seconds=0.1, retry_base_seconds=1_000, retry_max_seconds=1_000)
    tenancy = pipeline.app.tenancy()
    with pipeline.worker() as worker:
        with lagging.held_back():
            pipeline.app.user(tenancy)
            pipeline.sequence()
            results = worker.run_once()
            assert results
            assert all("behind" in str(entry.delivery.error) for entry in results)
            assert pipeline.value("select max(next_attempt_at) < now() + interval '11 s' from dbsync.pending")
            # It rests: nothing spins.
            assert worker.run_once() == []
        worker.retry_now()
        lagging.arrive()
        assert all(entry.delivery.error is None for entry in worker.run_once())
    pipeline.assert_equal()


def test_a_first_load_from_an_old_view_cannot_bring_back_what_another_worker_left_out(lagging: Lagging) -> None:
    """The other one delivers the tenancy for the first time, when the row is gone, and so without its tombstone."""
    pipeline = lagging.pipeline
    pipeline.configure(lease_seconds=0.5)
    tenancy = pipeline.app.tenancy()
    staying, going = pipeline.app.user(tenancy), pipeline.app.user(tenancy)
    pipeline.sequence()
    recording, recorded = Event(), Event()
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(1))
        late = stack.enter_context(pipeline.worker())
        pipeline.configure(replica_url=None)
        early = stack.enter_context(pipeline.worker())
        stack.callback(recorded.set)

        def record_later(slices: Iterable[object]) -> None:
            recording.set()
            recorded.wait()
            ClickHouseDestination.record(early._destination, slices)  # type: ignore[arg-type]

        early._destination.record = record_later  # type: ignore[method-assign]
        with lagging.held_back():
            pipeline.app.delete("ProjectUser", projectUserId=going)
            pipeline.sequence()
            first = threads.submit(early.run_once)
            recording.wait()
            expire_leases(pipeline)
            # Its rows are there, its checkpoint is not: the pair looks as if nobody had ever come to it.
            assert all(entry.delivery.error for entry in late.run_once())
            recorded.set()
            first.result()
    assert [row["id"] for row in pipeline.view("users")] == [staying]


def test_a_promoted_replica_is_not_read(lagging: Lagging) -> None:
    pipeline = lagging.pipeline
    with pipeline.pipeline.source("test") as primary, pytest.raises(UnreachableError, match="no hot standby"):
        Replica(primary, primary, longest_seconds=0).catch_up()


def test_a_query_that_recovery_ends_is_an_outage(lagging: Lagging) -> None:
    """The standby has to remove rows that the view still needs; it ends the query that is at it."""
    pipeline = lagging.pipeline
    tenancy = pipeline.app.tenancy()
    for _ in range(50):
        pipeline.app.user(tenancy)
    pipeline.drain()
    lost: list[tuple[str | None, bool]] = []

    def look_for_long(standby: psycopg.Connection) -> None:
        with take_snapshot(standby) as snapshot:
            try:
                snapshot.connection.execute('select pg_sleep(100) from "ProjectUser"')
            except psycopg.Error as error:
                lost.append((error.sqlstate, snapshot.is_lost(error)))
                raise

    with lagging.standby() as standby, ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look_for_long, standby)
        while not _sleeps(lagging):
            assert not looking.done()
        _remove_old_rows(lagging)
        with pytest.raises(UnreachableError, match="conflict with recovery"):
            looking.result()
        assert lost == [("40001", True)]


def _sleeps(lagging: Lagging) -> bool:
    with psycopg.connect(lagging.servers.standby.url(), autocommit=True) as standby:
        found = standby.execute("select from pg_stat_activity where wait_event = 'PgSleep'").fetchone()
    return found is not None


def _remove_old_rows(lagging: Lagging) -> None:
    admin = lagging.pipeline.admin
    admin.execute('update "ProjectUser" set "displayName" = \'new\'')
    admin.execute('vacuum "ProjectUser"')
