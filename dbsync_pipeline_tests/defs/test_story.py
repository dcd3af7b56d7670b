"""A deployment's life, from an empty Dagster to nothing left to do, sensor by sensor and run by run."""

import shutil
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from dbsync_pipeline.defs import jobs, liveness, sensors
from dbsync_pipeline.defs.jobs import _Books
from dbsync_pipeline.defs.ledger import Ledger
from dbsync_pipeline.defs.presence import Presence
from dbsync_pipeline.defs.specs import clickhouse_key
from dbsync_pipeline_tests.defs.conftest import Deployment, failure, open_instance, unholdable_recording
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import kill


def test_a_change_travels_from_sensor_to_materialization(pipeline: Harness, deployment: Deployment) -> None:
    first, second = pipeline.app.tenancy(), pipeline.app.tenancy()
    user = pipeline.app.user(first, email="ada@example.com")
    pipeline.app.user(first)
    pipeline.app.user(second)

    assert deployment.skipped("tenancy_sensor") is None
    assert set(deployment.keys) == {str(first), str(second)}
    assert deployment.skipped("tenancy_sensor") == "No tenancy has come or gone."
    assert len(deployment.tick("sequencer_sensor").run_requests or ()) == 1
    assert deployment.run("sequencer_job").success
    assert deployment.skipped("sequencer_sensor") == "Every change has its number."
    assert len(deployment.tick("sync_sensor").run_requests or ()) == 1
    assert deployment.run("sync_job").success
    assert deployment.skipped("sync_sensor") == "All is delivered."

    pipeline.assert_equal()
    assert deployment.materialized("users") == {str(first), str(second)}
    assert deployment.materialized("contact_channels") == {str(first)}
    (loaded,) = deployment.recorded("users", first)
    checkpoint = pipeline.checkpoint("users", first)
    assert (loaded["sequence_from"], loaded["sequence_to"]) == (0, checkpoint)
    assert (loaded["destination"], loaded["rows_upserted"], loaded["rows_deleted"]) == ("clickhouse", 2, 0)
    assert (loaded["bytes"] > 0, loaded["lag_seconds"] > 0, loaded["still_pending"]) == (True, True, False)
    assert loaded.keys() >= {"duration_seconds", "rows_per_second"}
    assert _data_version(deployment, first) == str(checkpoint)

    pipeline.app.delete("ProjectUser", tenancyId=first, projectUserId=user)
    assert deployment.run("sequencer_job").success
    assert deployment.run("sync_job").success
    deleted = deployment.recorded("users", first)[-1]
    assert (deleted["sequence_from"], deleted["rows_upserted"], deleted["rows_deleted"]) == (checkpoint, 0, 1)
    assert len(deployment.recorded("users", second)) == 1


def test_the_log_of_a_sequencer_run_tells_what_it_has_numbered(pipeline: Harness, deployment: Deployment) -> None:
    """Never a line for each pass, and none where there was nothing."""
    tenancy = pipeline.app.tenancy()
    for _ in range(3):
        pipeline.app.user(tenancy)
    said: list[list[str]] = []
    for _ in range(2):
        ran = deployment.run("sequencer_job")
        entries = deployment.instance.all_logs(ran.run_id)
        said.append([entry.user_message for entry in entries if "numbered" in entry.user_message])
    assert said == [["3 rows and tombstones numbered, 3 by this run."], []]


def test_a_new_instance_goes_on_where_the_lost_one_stopped(
    pipeline: Harness, deployment: Deployment, empty_instance: Path, tmp_path: Path
) -> None:
    """What is due, and how far copies are, Dagster never knew: nothing is delivered again, and nothing left out."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    deployment.tick("tenancy_sensor")
    assert deployment.run("sequencer_job").success
    assert deployment.run("sync_job").success
    pipeline.app.user(tenancy)
    shutil.copytree(empty_instance, tmp_path / "another")
    with open_instance(tmp_path / "another") as instance:
        another = replace(deployment, instance=instance, cursors={})
        assert another.keys == []
        another.tick("tenancy_sensor")
        assert another.keys == [str(tenancy)]
        assert len(another.tick("sequencer_sensor").run_requests or ()) == 1
        assert another.run("sequencer_job").success
        assert len(another.tick("sync_sensor").run_requests or ()) == 1
        assert another.run("sync_job").success
        assert [entry["rows_upserted"] for entry in another.recorded("users", tenancy)] == [1]
    pipeline.assert_equal("users")


def test_partitions_are_added_before_their_sensor_has_come_to_them(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    assert deployment.run("sync_job").success
    assert deployment.materialized("users") == {str(tenancy)}


def test_a_tenancy_that_goes_takes_its_partition_with_it(pipeline: Harness, deployment: Deployment) -> None:
    staying, going = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(going)
    deployment.tick("tenancy_sensor")
    pipeline.drain()
    pipeline.app.delete("Tenancy", id=going)
    pipeline.sequence()
    deployment.run("sync_job")
    assert deployment.skipped("tenancy_sensor") is None
    assert deployment.keys == [str(staying)]
    assert pipeline.view("users") == []


def test_a_failing_tenancy_fails_visibly_and_alone(pipeline: Harness, deployment: Deployment, resting: None) -> None:
    healthy, failing = pipeline.app.tenancy(), pipeline.app.tenancy()
    user = pipeline.app.user(healthy)
    pipeline.app.chunk(healthy, pipeline.app.replay(healthy, user))
    unholdable_recording(pipeline, failing)
    pipeline.sequence()

    said = failure(deployment.run("sync_job"))

    assert "1 of the deliveries failed" in said
    assert f"tenancy {failing}, mapping session_replays" in said
    assert str(healthy) not in said
    assert deployment.materialized("session_replays") == {str(healthy)}
    assert deployment.materialized("users") == {str(healthy), str(failing)}
    assert deployment.skipped("sync_sensor") == "What waits is being delivered, or rests after a failure."
    assert deployment.everything_said().count(f"tenancy {failing}, mapping session_replays is not delivered") == 1


def test_events_are_bounded_and_none_is_lost(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_EVENTS_AT_ONCE", 2)
    tenancies = [pipeline.app.tenancy() for _ in range(7)]
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
    pipeline.sequence()
    assert deployment.run("sync_job").success
    assert deployment.materialized("users") == set(map(str, tenancies))
    assert [len(deployment.recorded("users", tenancy)) for tenancy in tenancies] == [1] * 7


def test_a_run_that_records_what_is_left_shows_itself_again_when_its_session_is_lost(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording may take half an hour; who is not seen for 30 s of it would be reported as failed."""
    monkeypatch.setattr(jobs, "_EVENTS_AT_ONCE", 1)
    monkeypatch.setenv("DBSYNC_REPORT_SECONDS", "1000")
    end_work, record = Presence.end_work, _Books.record
    alive: list[set[int]] = []

    def lose_the_session(presence: Presence) -> None:
        end_work(presence)
        assert presence._connection is not None
        kill(pipeline, [presence._connection.info.backend_pid])

    def look(books: _Books, ledger: Ledger) -> None:
        record(books, ledger)
        alive.append(liveness._held(pipeline.admin, liveness._RUNS))

    monkeypatch.setattr(Presence, "end_work", lose_the_session)
    monkeypatch.setattr(_Books, "record", look)
    for _ in range(4):
        pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    run = deployment.run("sync_job")
    assert run.success
    assert len(alive) > 4
    assert liveness._lock_of(run.run_id) in alive[-1]


def test_paused_numbering_is_said_and_starts_nothing(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.admin.execute("update dbsync.sequencer set paused = true")
    assert deployment.skipped("sequencer_sensor") == "Numbering is paused."


def _data_version(deployment: Deployment, tenancy: UUID) -> str | None:
    record = deployment.instance.get_latest_data_version_record(clickhouse_key("users"), partition_key=str(tenancy))
    assert record is not None
    assert record.asset_materialization is not None
    return (record.asset_materialization.tags or {}).get("dagster/data_version")


def test_a_key_stays_while_a_backfill_may_need_it(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenancy = pipeline.app.tenancy()
    deployment.tick("tenancy_sensor")
    pipeline.app.delete("Tenancy", id=tenancy)
    with monkeypatch.context() as patched:
        patched.setattr(sensors, "_backfill_under_way", lambda instance: True)
        deployment.tick("tenancy_sensor")
        assert deployment.keys == [str(tenancy)]
    deployment.tick("tenancy_sensor")
    assert deployment.keys == []
