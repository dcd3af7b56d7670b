"""The life of a configured database: whatever SQL does to its row, the copies follow, and no worker goes astray."""

from uuid import UUID

import psycopg
import pytest

from dbsync_pipeline import source
from dbsync_pipeline_tests.harness import External, Harness, init_source
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedSequencer, WatchedWorker

CONFIGURE = "insert into dbsync.destination (tenancy_id, name, connection) values (%s, %s, %s)"
NOWHERE = "postgresql://me:s3cret@127.0.0.1:1/shop"


@pytest.fixture
def tenancy(pipeline: Harness) -> UUID:
    return pipeline.app.tenancy()


def change(pipeline: Harness, external: External, values: str, *parameters: object) -> None:
    pipeline.admin.execute(
        f"update dbsync.destination set {values} where destination_id = %s", [*parameters, external.destination_id]
    )


def waiting(pipeline: Harness, external: External) -> set[str]:
    found = pipeline.rows(
        "select mapping_id from dbsync.pending where destination_id = %s and wanted > reached", external.destination_id
    )
    return {mapping for (mapping,) in found}


def test_a_new_one_is_pending_with_the_next_pass(pipeline: Harness, tenancy: UUID) -> None:
    """D16: for every mapping, with no change in the tenancy."""
    user = pipeline.app.user(tenancy)
    pipeline.drain()
    external = pipeline.configure_external(tenancy)
    with pipeline.sequencer() as sequencer:
        assert sequencer.waiting() is True
        sequencer.run_pass()
        assert sequencer.waiting() is False
    assert waiting(pipeline, external) == {entry.mapping_id for entry in pipeline.catalog.mappings}
    pipeline.drain()
    assert [row["id"] for row in external.view("users")] == [user]


def test_one_that_comes_between_any_two_steps_of_a_pass(pipeline: Harness, tenancy: UUID) -> None:
    """I2: whether the pass sees it or not, everything up to its mark is wanted in the end."""
    steps = at = 0
    while at <= steps:
        pipeline.app.user(tenancy)
        pipeline.app.team(tenancy)
        passing = Steps()
        with WatchedSequencer(pipeline, tell=passing.wait) as sequencer:
            passing.start(sequencer.sequencer.run_pass)
            steps = 0
            while True:
                if steps == at:
                    pipeline.admin.execute(CONFIGURE, [tenancy, f"at {at}", NOWHERE])
                if passing.advance() is None:
                    break
                steps += 1
            passing.finish()
        pipeline.sequence()
        wanted = pipeline.rows(
            "select mapping_id, wanted from dbsync.pending where destination_id = %s",
            f"postgres:{tenancy}:at {at}",
        )
        assert len(wanted) == len(pipeline.catalog.mappings)
        newest = {
            "users": pipeline.value('select max("sequenceId") from "ProjectUser"'),
            "teams": pipeline.value('select max("sequenceId") from "Team"'),
        }
        assert [mapping for mapping, upto in wanted if upto < newest.get(mapping, 0)] == []
        at += 1
    assert steps > 8


def test_one_in_a_transaction_that_stays_open(pipeline: Harness, tenancy: UUID) -> None:
    """Nobody waits for it, and nothing that was numbered meanwhile is missed."""
    pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    with source.connect(pipeline.url, autocommit=False) as operator:
        operator.execute(CONFIGURE, [tenancy, "second", external.url])
        operator.execute("update dbsync.destination set mappings = '{teams}' where name = 'main'")
        user = pipeline.app.user(tenancy)
        pipeline.sequence()
        pipeline.sync_external()
        assert user in {row["id"] for row in external.view("users")}
        operator.commit()
    later = pipeline.app.user(tenancy)
    pipeline.drain()
    external.assert_equal()
    assert later in {row["id"] for row in external.view("users")}


def test_a_disabled_one_gets_nothing_and_catches_up_when_it_is_enabled(pipeline: Harness, tenancy: UUID) -> None:
    """What goes meanwhile goes there as well; a mapping that changes meanwhile is delivered anew."""
    external = pipeline.configure_external(tenancy)
    gone = pipeline.app.user(tenancy, displayName="gone")
    pipeline.drain()
    before = external.view("users")
    change(pipeline, external, "enabled = false")
    pipeline.app.delete("ProjectUser", projectUserId=gone)
    pipeline.app.user(tenancy, displayName="new")
    pipeline.drain()
    assert (external.view("users"), waiting(pipeline, external)) == (before, set())
    pipeline.admin.execute("update dbsync.installed set fingerprint = 'older' where object_id = 'mapping users'")
    init_source(pipeline.pipeline, pipeline.admin)
    assert waiting(pipeline, external) == set()
    pipeline.drain()
    change(pipeline, external, "enabled = true")
    pipeline.drain()
    external.assert_equal()
    assert pipeline.value("select epoch from dbsync.pending where mapping_id = 'users' and destination_id = %s",
                          external.destination_id) == 1  # fmt: skip


def test_one_that_is_disabled_while_it_fails_waits_for_nothing(pipeline: Harness, tenancy: UUID) -> None:
    pipeline.app.user(tenancy)
    pipeline.drain()
    external = pipeline.configure_external(tenancy, url=NOWHERE)
    pipeline.sequence()
    pipeline.sync_external(errors=True)
    failing = "select count(*) from dbsync.pending where last_error is not null"
    assert pipeline.value(failing) == len(pipeline.catalog.mappings)
    change(pipeline, external, "enabled = false")
    pipeline.drain()
    assert (pipeline.value(failing), waiting(pipeline, external)) == (0, set())


def test_mappings_are_narrowed_and_widened(pipeline: Harness, tenancy: UUID) -> None:
    """Under a worker that keeps its session; what a copy has already stays there, and is brought up to date again."""
    external = pipeline.configure_external(tenancy, mappings=["users"])
    gone = pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    with pipeline.external_worker(external.destination_id) as worker:

        def deliver() -> None:
            pipeline.sequence()
            while results := worker.run_once():
                assert [entry.delivery.error for entry in results if entry.delivery.error] == []

        deliver()
        assert (external.has("users"), external.has("teams")) == (True, False)
        change(pipeline, external, "mappings = '{teams}'")
        pipeline.app.delete("ProjectUser", projectUserId=gone)
        deliver()
        external.assert_equal("teams")
        assert [row["id"] for row in external.view("users")] == [gone]
        change(pipeline, external, "mappings = null")
        deliver()
    external.assert_equal()
    assert external.view("users") == []


def test_one_that_is_removed_keeps_its_data_and_may_return(pipeline: Harness, tenancy: UUID) -> None:
    """Rows that went while it was away go when it is back, under whatever name."""
    external = pipeline.configure_external(tenancy)
    gone = pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
    pipeline.app.delete("ProjectUser", projectUserId=gone)
    pipeline.app.user(tenancy)
    pipeline.drain()
    assert [row["id"] for row in external.view("users")] == [gone]
    again = pipeline.configure_external(tenancy, "other name", url=external.url)
    pipeline.drain()
    again.assert_equal()


def test_a_removal_that_stays_open_holds_nobody_up(pipeline: Harness, tenancy: UUID) -> None:
    """I8: everybody's changes are numbered meanwhile, its own tenancy's too; nothing is left waiting for it after."""
    pipeline.configure_external(tenancy)
    pipeline.app.team(tenancy)
    pipeline.drain()
    pipeline.app.user(tenancy)
    pipeline.admin.execute(f"alter database \"{pipeline.database}\" set lock_timeout = '1ms'")
    with source.connect(pipeline.url, autocommit=False) as operator:
        operator.execute("delete from dbsync.destination where tenancy_id is not null")
        with pipeline.sequencer() as sequencer:
            result = sequencer.run_pass()
        assert (result.errors, result.rows) == ({}, 1)
        operator.commit()
    assert pipeline.rows("select destination_id from dbsync.pending where wanted > reached") == [("clickhouse",)]


def test_a_mapping_that_changed_while_a_database_was_away_is_delivered_anew(pipeline: Harness, tenancy: UUID) -> None:
    external = pipeline.configure_external(tenancy)
    pipeline.app.user(tenancy)
    pipeline.drain()
    pipeline.admin.execute("delete from dbsync.destination where destination_id = %s", [external.destination_id])
    external.run("update dbsync.users set display_name = 'of before'")
    external.run("update dbsync.sync_checkpoint set version = 'of before' where mapping_id = 'users'")
    pipeline.configure_external(tenancy, url=external.url)
    pipeline.drain()
    external.assert_equal()


@pytest.mark.parametrize("boundary", ["checkpoints", "extract", "deliver", "delivered", "record", "recorded"])
@pytest.mark.parametrize("announced", [False, True])
def test_the_connection_changes_under_a_worker(
    pipeline: Harness, tenancy: UUID, boundary: str, *, announced: bool
) -> None:
    """What it delivered to the old database does not count for the new one."""
    old = pipeline.configure_external(tenancy)
    gone = pipeline.app.user(tenancy)
    pipeline.app.user(tenancy)
    pipeline.sequence()
    new = External(pipeline, tenancy, "main", pipeline.new_database())
    work = Steps()
    with WatchedWorker(pipeline, external=old, tell=work.wait) as worker:
        work.start(worker.cycle.run_once)
        work.until(boundary)
        change(pipeline, old, "connection = %s", new.url)
        if announced:
            pipeline.sequence()
        work.finish()
        pipeline.app.delete("ProjectUser", projectUserId=gone)
        pipeline.sequence()
        while worker.cycle.run_once():
            pass
    pipeline.drain()
    new.assert_equal()
    assert len(new.view("users")) == 1


@pytest.mark.parametrize("boundary", ["start", "checkpoints", "extract", "deliver", "record"])
def test_the_tenancy_changes_under_a_worker(pipeline: Harness, tenancy: UUID, boundary: str) -> None:
    """I7: none of the former one's rows arrives after it; what had arrived stays, as data of a removed one does."""
    other = pipeline.app.tenancy()
    external = pipeline.configure_external(tenancy)
    for owner in (tenancy, other):
        pipeline.app.user(owner, displayName=str(owner))
    pipeline.sequence()
    work = Steps()
    with WatchedWorker(pipeline, external=external, tell=work.wait) as worker:
        work.start(worker.cycle.run_once)
        if boundary != "start":
            work.until(boundary)
        change(pipeline, external, "tenancy_id = %s", other)
        pipeline.sequence()
        work.finish()
    pipeline.app.user(tenancy, displayName="later")
    pipeline.drain()
    shown = {row["display_name"] for row in external.view("users")}
    assert "later" not in shown
    assert str(other) in shown
    assert waiting(pipeline, external) == set()
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null") == 0


def test_a_row_that_is_no_database_is_refused(pipeline: Harness, tenancy: UUID) -> None:
    for values in ((None, "x", NOWHERE), (tenancy, "x", None)):
        with pytest.raises(psycopg.errors.CheckViolation):
            pipeline.admin.execute(CONFIGURE, values)
