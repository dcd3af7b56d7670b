"""The source's clock jumps: the stored times do, the other way, which is the same for all that is compared with now."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from dbsync_pipeline import erasure
from dbsync_pipeline.engine.snapshot import open_views, take_snapshot
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending.again import retry_now
from dbsync_pipeline.pending.due import Waiting, destinations_due, waiting
from dbsync_pipeline.retention import purge
from dbsync_pipeline.status import MappingStatus, read_status
from dbsync_pipeline_tests.harness import External, Harness
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedWorker, kill
from dbsync_pipeline_tests.proxy import Proxy

DAYS = 40
SECONDS = (DAYS - 1) * 86_400
"""More than any test takes, and less than the jump."""

NOTHING_DUE = Waiting(due=False, later=True)


def jump(pipeline: Harness, days: int) -> None:
    """Let so many days pass at once, or let them come again."""
    stored = pipeline.rows(
        "select table_name, column_name from information_schema.columns "
        "where table_schema = 'dbsync' and data_type = 'timestamp with time zone'"
    )
    assert len(stored) > 5
    for table, column in stored:
        pipeline.admin.execute(
            sql.SQL("update {} set {column} = {column} - make_interval(days => %s)").format(
                sql.Identifier("dbsync", table), column=sql.Identifier(column)
            ),
            [days],
        )


@pytest.fixture
def external(pipeline: Harness) -> Iterator[External]:
    """A database that has had a tenancy, as ClickHouse has, and rests after a failure, with changes to get."""
    tenancy = pipeline.app.tenancy()
    url = pipeline.new_database()
    with Proxy(url) as proxy:
        external = pipeline.configure_external(tenancy, url=url, connection=proxy.url)
        for name in ("changes", "goes"):
            pipeline.app.user(tenancy, displayName=name)
        pipeline.drain()
        pipeline.app.update("ProjectUser", {"displayName": "changes"}, displayName="changed")
        pipeline.app.delete("ProjectUser", displayName="goes")
        pipeline.sequence()
        pipeline.configure(retry_base_seconds=SECONDS, retry_max_seconds=SECONDS)
        proxy.refuse()
        assert all(entry.delivery.error for entry in pipeline.sync_external(errors=True))
        proxy.restore()
        yield external


@pytest.fixture
def stuck(pipeline: Harness, external: External) -> Iterator[tuple[Steps, WatchedWorker]]:
    """A worker that has the changes for ClickHouse in its hands."""
    del external
    work = Steps()
    with WatchedWorker(pipeline, tell=work.wait) as worker:
        work.start(worker.cycle.run_once)
        work.until("deliver")
        assert waiting(pipeline.admin, CLICKHOUSE) == NOTHING_DUE
        yield work, worker
        work.abandon()


def users_in_clickhouse(pipeline: Harness) -> MappingStatus:
    status = read_status(pipeline.admin, pipeline.catalog, pipeline.pipeline.columns)
    (found,) = [entry for entry in status.mappings if (entry.mapping_id, entry.kind) == ("users", "clickhouse")]
    return found


def assert_delivered(pipeline: Harness, external: External) -> None:
    assert pipeline.pending() == []
    pipeline.assert_equal()
    external.assert_equal()


def test_the_clock_jumps_forward(pipeline: Harness, external: External, stuck: tuple[Steps, WatchedWorker]) -> None:
    """I6: leases and rests are over, and two workers deliver the same; what somebody still needs is not purged."""
    work, _ = stuck
    assert users_in_clickhouse(pipeline).lag_seconds < SECONDS
    jump(pipeline, DAYS)
    assert users_in_clickhouse(pipeline).lag_seconds > SECONDS
    assert purge(pipeline.admin, pipeline.catalog, days=DAYS - 1).tombstones == 0
    assert waiting(pipeline.admin, CLICKHOUSE).due
    pipeline.sync()
    assert purge(pipeline.admin, pipeline.catalog, days=DAYS - 1).tombstones == 0
    assert [entry.destination_id for entry in destinations_due(pipeline.admin, 5)] == [external.destination_id]
    pipeline.sync_external()
    work.finish()
    assert_delivered(pipeline, external)
    assert purge(pipeline.admin, pipeline.catalog, days=DAYS - 1).tombstones == 1


def test_a_deleted_tenancy_is_erased_as_early_as_the_clock_jumps_forward(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.drain()
    pipeline.app.delete("Tenancy", id=tenancy)
    assert erasure.due(pipeline.admin, days=DAYS - 1) == []
    jump(pipeline, DAYS)
    assert erasure.due(pipeline.admin, days=DAYS - 1) == [str(tenancy)]


def test_the_clock_jumps_back(pipeline: Harness, external: External, stuck: tuple[Steps, WatchedWorker]) -> None:
    """I8: who died is told by locks; what rests is waited for, or tried again by `dbsync retry`."""
    _, worker = stuck
    jump(pipeline, -DAYS)
    assert users_in_clickhouse(pipeline).lag_seconds == 0
    assert waiting(pipeline.admin, CLICKHOUSE) == NOTHING_DUE
    assert pipeline.sync() == []
    kill(pipeline, worker.sessions)
    assert {entry.item.waited_seconds for entry in pipeline.sync()} == {0}
    assert pipeline.sync_external() == []
    retry_now(pipeline.admin, destination_id=external.destination_id)
    assert pipeline.sync_external()
    assert_delivered(pipeline, external)
    pipeline.app.user(external.tenancy, displayName="new")
    pipeline.app.delete("ProjectUser", displayName="changed")
    pipeline.drain()
    assert_delivered(pipeline, external)


def test_what_waited_when_the_clock_jumped_back_comes_after_what_has_come_since(pipeline: Harness) -> None:
    pipeline.configure(sync_batch_tenancies=1)
    tenancies = [pipeline.app.tenancy() for _ in range(2)]
    pipeline.app.user(tenancies[0])
    pipeline.sequence()
    jump(pipeline, -DAYS)
    pipeline.app.user(tenancies[1])
    pipeline.sequence()
    assert [entry.item.tenancy_id for entry in pipeline.sync()] == [tenancies[1], tenancies[0]]


def test_who_began_after_now_is_waited_for(pipeline: Harness) -> None:
    """Whoever erases has to know of every worker that sees the source as it was, also from before the jump."""
    with pipeline.pipeline.source("sync") as reading, take_snapshot(reading):
        before = open_views(pipeline.admin)
        pipeline.admin.execute(
            "create schema set_back; create view set_back.pg_stat_activity as select pid, application_name, "
            "xact_start + interval '1 hour' as xact_start from pg_catalog.pg_stat_activity"
        )
        pipeline.admin.execute("set search_path = set_back, pg_catalog")
        assert len(before) == 1
        assert open_views(pipeline.admin) == before
        assert open_views(pipeline.admin, seconds=1) == set()
