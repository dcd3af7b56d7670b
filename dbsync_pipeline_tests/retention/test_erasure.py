"""A deleted tenancy is erased, which is proved, and comes back as if it had never been there."""

from uuid import UUID

import pytest

from dbsync_pipeline import erasure, source
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.erasing import ClickHouseErasure
from dbsync_pipeline.erasure import Erased, due, erase
from dbsync_pipeline.errors import BehindError, DbsyncError, DestinationError, UnreachableError
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline_tests.destinations.test_postgres import write_everything
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedWorker, stop_in_the_middle

NOBODY = "postgresql://nobody:hunter2@127.0.0.1:1/gone"


@pytest.fixture
def doomed(pipeline: Harness) -> UUID:
    """A tenancy with rows in every mapping, beside another one."""
    tenancy = pipeline.app.tenancy()
    write_everything(pipeline, tenancy)
    write_everything(pipeline, pipeline.app.tenancy())
    return tenancy


def delete(pipeline: Harness, tenancy: UUID) -> None:
    pipeline.app.delete("ProjectUser", tenancyId=tenancy)
    pipeline.app.delete("Tenancy", id=tenancy)


def erased(pipeline: Harness, tenancy: UUID) -> Erased:
    done = erase(pipeline.pipeline, str(tenancy), delivery_seconds=0)
    assert done.errors == {}
    assert [entry for entry in done.tables if entry.after] == []
    assert_absent(pipeline, tenancy)
    return done


def assert_absent(pipeline: Harness, tenancy: UUID) -> None:
    """Look for it everywhere, by no code of the erasure's."""
    for mapping in pipeline.catalog.mappings:
        assert [row for row in pipeline.versions(mapping.mapping_id) if row["tenancy_id"] == tenancy] == []
        assert pipeline.checkpoint(mapping.mapping_id, tenancy) is None
    for table in ("tombstone", "pending", "pause", "verified", "destination", "tenancy"):
        assert pipeline.rows(f"select from dbsync.{table} where tenancy_id = %s", tenancy) == []


def held(done: Erased, destination_id: str) -> dict[str, int]:
    return {entry.table: entry.before for entry in done.tables if entry.destination_id == destination_id}


def test_nothing_is_left_and_it_comes_back_as_if_new(pipeline: Harness, doomed: UUID) -> None:
    external = pipeline.configure_external(doomed)
    pipeline.drain()
    delete(pipeline, doomed)
    # Its own database is down when the deletions come.
    pipeline.sequence()
    pipeline.sync()
    done = erased(pipeline, doomed)
    before = held(done, "clickhouse")
    assert set(before) == {*(mapping.mapping_id for mapping in pipeline.catalog.mappings), "sync_checkpoint"}
    assert min(before.values()) > 0
    assert held(done, "source")["dbsync.tombstone"] > 0
    assert done.kept == [external.destination_id]
    pipeline.assert_equal()
    assert set(held(erased(pipeline, doomed), "clickhouse").values()) == {0}

    # What the application left of it moves nothing.
    assert pipeline.app.update("Team", {"tenancyId": doomed}, displayName="left behind")
    pipeline.drain()
    assert_absent(pipeline, doomed)

    # Its own database holds what there was, and a checkpoint.
    assert (len(external.rows("users")), bool(external.checkpoint("users"))) == (1, True)
    pipeline.app.tenancy(tenancy_id=doomed, project="elsewhere")
    pipeline.configure_external(doomed, url=external.url)
    pipeline.app.user(doomed)
    pipeline.drain()
    pipeline.assert_equal()
    external.assert_equal()


def test_what_the_users_profile_hides_goes_as_well(
    pipeline: Harness, doomed: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile with `final = 1` shows no version that is deleted or old."""
    pipeline.drain()
    delete(pipeline, doomed)
    pipeline.drain()
    url = pipeline.server.clickhouse.url
    monkeypatch.setattr(Pipeline, "clickhouse", lambda _: ClickHouse(url, settings={"final": 1}))
    assert min(held(erased(pipeline, doomed), "clickhouse").values()) > 0


@pytest.mark.parametrize("choice", ["keep", "rows", "tables"])
def test_what_its_own_databases_hold_goes_as_far_as_is_set(pipeline: Harness, doomed: UUID, choice: str) -> None:
    """They hold something: one was down when the deletions came. What is somebody else's stays."""
    alone = pipeline.configure_external(doomed, "alone")
    shared = pipeline.configure_external(doomed, "shared")
    ((other,),) = pipeline.rows('select id from "Tenancy" where id <> %s', doomed)
    theirs = pipeline.configure_external(other, url=shared.url)
    pipeline.drain()
    alone.run("create table dbsync.notes as select 1 as note")
    alone.run("create view dbsync.names as select display_name from dbsync.teams")
    delete(pipeline, doomed)
    pipeline.sequence()
    pipeline.sync()
    pipeline.configure(erase_external=choice)
    done = erased(pipeline, doomed)
    held_alone, held_shared = held(done, alone.destination_id), held(done, shared.destination_id)
    theirs.assert_equal()
    assert theirs.checkpoint("users")
    assert alone.run("select note from dbsync.notes") == [(1,)]
    if choice == "keep":
        assert (held_alone, held_shared) == ({}, {})
        assert [len(external.rows("teams")) for external in (alone, shared)] == [1, 1]
        return
    assert held_alone["teams"] == held_shared["teams"] == 1
    assert held_alone["sync_checkpoint"] == 12
    assert [external.rows("teams") for external in (alone, shared)] == [[], []]
    assert [external.checkpoint("users") for external in (alone, shared)] == [None, None]
    # A view hangs on the one of them that stays.
    assert (alone.has("users"), alone.has("teams")) == (choice == "rows", True)
    assert shared.has("users")


def test_one_that_does_not_answer_holds_up_no_other(pipeline: Harness, doomed: UUID) -> None:
    pipeline.configure(erase_external="rows")
    alive = pipeline.configure_external(doomed, "alive")
    pipeline.drain()
    silent = pipeline.configure_external(doomed, "silent", url=NOBODY)
    delete(pipeline, doomed)
    pipeline.sequence()
    pipeline.sync()
    done = erase(pipeline.pipeline, str(doomed), delivery_seconds=0)
    assert [*done.errors] == [silent.destination_id]
    assert "hunter2" not in str(done)
    with pytest.raises(DbsyncError, match=r"127\.0\.0\.1:1/gone"):
        done.require_complete()
    assert pipeline.versions("teams") == [row for row in pipeline.versions("teams") if row["tenancy_id"] != doomed]
    assert alive.rows("teams") == []
    assert due(pipeline.admin, days=0) == [str(doomed)]
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [silent.destination_id])
    erased(pipeline, doomed)
    assert due(pipeline.admin, days=0) == []


def test_what_is_there_or_not_delivered_is_refused(pipeline: Harness, doomed: UUID) -> None:
    pipeline.drain()
    with pytest.raises(DestinationError, match="is there in the source"):
        erase(pipeline.pipeline, str(doomed))
    with pytest.raises(DestinationError, match="no tenancy"):
        erase(pipeline.pipeline, "nobody")
    delete(pipeline, doomed)
    with pytest.raises(BehindError, match="wait for the sequencer"):
        erase(pipeline.pipeline, str(doomed), delivery_seconds=0)
    pipeline.sequence()
    with pytest.raises(BehindError, match="in clickhouse has reached"):
        erase(pipeline.pipeline, str(doomed), delivery_seconds=0)
    assert due(pipeline.admin, days=1) == []
    pipeline.drain()
    erased(pipeline, doomed)


def left_in_the_middle(pipeline: Harness, doomed: UUID) -> tuple[Steps, WatchedWorker]:
    return stop_in_the_middle(pipeline, lambda: delete(pipeline, doomed))


@pytest.mark.parametrize("lost", [False, True], ids=["with its lease", "after its lease"])
def test_a_worker_in_the_middle_brings_nothing_back(pipeline: Harness, doomed: UUID, lost: bool) -> None:
    """It has rows of the tenancy in its hands that it read before the tenancy was deleted."""
    work, worker = left_in_the_middle(pipeline, doomed)
    if not lost:
        worker_id = worker.queue._worker
        pipeline.admin.execute("update dbsync.pending set lease_worker = %s where tenancy_id = %s", [worker_id, doomed])
    looked: list[float] = []

    def sleep(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 2:
            work.finish()
            worker.close()

    done = erase(pipeline.pipeline, str(doomed), sleep=sleep)
    assert (done.errors, len(looked)) == ({}, 2)
    assert_absent(pipeline, doomed)
    pipeline.assert_equal()


def test_a_worker_that_does_not_end_is_an_error(pipeline: Harness, doomed: UUID) -> None:
    work, worker = left_in_the_middle(pipeline, doomed)
    with pytest.raises(BehindError, match="a worker that began before"):
        erase(pipeline.pipeline, str(doomed), workers_seconds=0)
    work.finish()
    worker.close()
    pipeline.drain()
    erased(pipeline, doomed)


def test_a_dump_of_the_source_is_no_worker(pipeline: Harness, doomed: UUID) -> None:
    """It has locked every table for as long as it lasts, the sequencer's own among them."""
    pipeline.drain()
    delete(pipeline, doomed)
    pipeline.drain()
    with source.session(pipeline.url, application_name="pg_dump") as dumping, dumping.transaction():
        dumping.execute("set transaction isolation level repeatable read read only")
        dumping.execute("lock table dbsync.sequencer in access share mode")
        assert erase(pipeline.pipeline, str(doomed), workers_seconds=0).errors == {}
    assert_absent(pipeline, doomed)


@pytest.mark.parametrize("tables_done", [1, 13])
def test_it_may_end_anywhere_and_begin_anew(
    pipeline: Harness, doomed: UUID, monkeypatch: pytest.MonkeyPatch, tables_done: int
) -> None:
    pipeline.drain()
    delete(pipeline, doomed)
    pipeline.drain()
    erase_table, done = ClickHouseErasure.erase, 0

    def erase_some(self: ClickHouseErasure, table: str, upto: int) -> None:
        nonlocal done
        if done == tables_done:
            raise UnreachableError("ClickHouse is gone")
        done += 1
        erase_table(self, table, upto)

    def die(*_: object) -> None:
        raise UnreachableError("the source is gone")

    with monkeypatch.context() as dying:
        dying.setattr(ClickHouseErasure, "erase", erase_some)
        dying.setattr(erasure, "_erase_external", die)
        with pytest.raises(UnreachableError, match="is gone"):
            erase(pipeline.pipeline, str(doomed))
    assert due(pipeline.admin, days=0) == [str(doomed)]
    erased(pipeline, doomed)
    pipeline.assert_synced()


def test_a_tenancy_that_comes_back_meanwhile_loses_nothing(
    pipeline: Harness, doomed: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.drain()
    delete(pipeline, doomed)
    pipeline.drain()
    erase_table = ClickHouseErasure.erase

    def come_back(self: ClickHouseErasure, table: str, upto: int) -> None:
        if table == "users":
            pipeline.app.tenancy(tenancy_id=doomed, project="elsewhere")
            pipeline.app.user(doomed)
            pipeline.app.team(doomed)
            pipeline.drain()
        erase_table(self, table, upto)

    monkeypatch.setattr(ClickHouseErasure, "erase", come_back)
    done = erase(pipeline.pipeline, str(doomed))
    assert [*done.errors] == ["source"]
    pipeline.assert_equal()
    pipeline.app.user(doomed)
    pipeline.assert_synced()
