"""External databases in Dagster: delivered by a job of their own, materialized by hand, failing visibly and alone."""

import pytest

from dbsync_pipeline.defs.specs import postgres_key
from dbsync_pipeline_tests.defs.conftest import Deployment, failure
from dbsync_pipeline_tests.harness import Harness

NOBODY = "postgresql://owner:sesame@127.0.0.1:1/shop"


def test_a_change_travels_from_sensor_to_materialization(pipeline: Harness, deployment: Deployment) -> None:
    tenancy, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.user(other)
    databases = [pipeline.configure_external(tenancy, name) for name in ("main", "spare")]
    assert deployment.skipped("external_sync_sensor") == "No external database has anything due."

    assert len(deployment.tick("sequencer_sensor").run_requests or ()) == 1
    assert deployment.run("sequencer_job").success
    assert len(deployment.tick("external_sync_sensor").run_requests or ()) == 1
    assert deployment.run("external_sync_job").success
    assert deployment.skipped("external_sync_sensor") == "No external database has anything due."

    assert [len(database.view("users")) for database in databases] == [1, 1]
    recorded = deployment.recorded("users", tenancy, kind=postgres_key)
    assert {entry["destination"] for entry in recorded} == {database.destination_id for database in databases}
    assert {(entry["sequence_from"], entry["rows_upserted"], entry["rows_deleted"]) for entry in recorded} == {
        (0, 1, 0)
    }
    assert deployment.materialized("users", kind=postgres_key) == {str(tenancy)}
    assert pipeline.view("users") == []


def test_a_new_database_alone_wakes_the_sequencer(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.drain()
    assert deployment.skipped("sequencer_sensor") == "Every change has its number."
    database = pipeline.configure_external(tenancy)
    assert len(deployment.tick("sequencer_sensor").run_requests or ()) == 1
    assert deployment.run("sequencer_job").success
    assert deployment.run("external_sync_job").success
    assert len(database.view("users")) == 1


def test_a_dead_database_is_said_and_fails_neither_the_run_nor_another(
    pipeline: Harness, deployment: Deployment, resting: None
) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    living = pipeline.configure_external(tenancy, "living")
    dead = pipeline.configure_external(tenancy, "dead", url=NOBODY)
    pipeline.sequence()

    run = deployment.run("external_sync_job")

    assert run.success
    (output,) = [event.event_specific_data for event in run.all_events if event.is_successful_output]
    assert output.metadata["failing"].value == len(pipeline.catalog.mappings)
    said = output.metadata["failing_deliveries"].value
    assert "127.0.0.1:1/shop cannot be written now" in said
    assert str(tenancy) in said
    assert len(living.view("users")) == 1
    assert {entry["destination"] for entry in deployment.recorded("users", tenancy, kind=postgres_key)} == {
        living.destination_id
    }
    assert deployment.run("sync_job").success
    pipeline.assert_equal("users")
    waiting = "select count(*) from dbsync.pending where destination_id = %s and wanted > reached and last_error <> ''"
    assert pipeline.value(waiting, dead.destination_id) == len(pipeline.catalog.mappings)
    assert "sesame" not in deployment.everything_said()


def test_a_dead_clickhouse_is_nobody_elses_business(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    database = pipeline.configure_external(tenancy)
    pipeline.sequence()
    # The resource gets the address from here at run time.
    object.__setattr__(deployment.databases, "clickhouse_url", "http://default:sesame@127.0.0.1:1/")
    assert deployment.run("external_sync_job").success
    assert len(database.view("users")) == 1


def test_materializing_by_hand(pipeline: Harness, deployment: Deployment) -> None:
    with_two, with_none = pipeline.app.tenancy(), pipeline.app.tenancy()
    for tenancy in (with_two, with_none):
        pipeline.app.user(tenancy)
    databases = [pipeline.configure_external(with_two, name) for name in ("main", "spare")]
    deployment.tick("tenancy_sensor")

    result = deployment.materialize("users", keys=deployment.keys, kind=postgres_key)

    assert result.success
    assert [len(database.view("users")) for database in databases] == [1, 1]
    assert deployment.materialized("users", kind=postgres_key) == {str(with_two), str(with_none)}
    *deliveries, summary = deployment.recorded("users", with_two, kind=postgres_key)
    assert sorted(entry["destination"] for entry in deliveries) == [entry.destination_id for entry in databases]
    assert summary["databases"] == 2
    assert [entry["databases"] for entry in deployment.recorded("users", with_none, kind=postgres_key)] == [0]


def test_a_database_that_fails_in_a_range(pipeline: Harness, deployment: Deployment, resting: None) -> None:
    healthy, failing = pipeline.app.tenancy(), pipeline.app.tenancy()
    for tenancy in (healthy, failing):
        pipeline.app.user(tenancy)
    database = pipeline.configure_external(healthy)
    pipeline.configure_external(failing, url=NOBODY)
    deployment.tick("tenancy_sensor")
    said = failure(deployment.materialize("users", keys=deployment.keys, kind=postgres_key))
    assert f"tenancy {failing}, mapping users" in said
    assert str(healthy) not in said
    assert len(database.view("users")) == 1
    assert deployment.materialized("users", kind=postgres_key) == {str(healthy)}


def test_a_database_without_the_mapping_has_nothing_to_do(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.configure_external(tenancy, mappings=["teams"])
    deployment.tick("tenancy_sensor")
    assert deployment.materialize("users", keys=[str(tenancy)], kind=postgres_key).success
    assert [entry["databases"] for entry in deployment.recorded("users", tenancy, kind=postgres_key)] == [0]
