"""The checks of copies in a Dagster instance: green, red with a table of the rows, and green again."""

import asyncio
import datetime as dt
from itertools import pairwise
from typing import Any
from uuid import UUID

import dagster as dg
from dagster._core.events import StepMaterializationData
from dagster._core.loader import LoadingContextForTest

from dbsync_pipeline import controls
from dbsync_pipeline.controls import Part
from dbsync_pipeline.defs.specs import clickhouse_key, postgres_key
from dbsync_pipeline.defs.verdicts import EQUALS_SOURCE, Failures
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import SLOTS, Scope, Share
from dbsync_pipeline_tests.defs.conftest import Deployment
from dbsync_pipeline_tests.harness import Harness


def check(
    deployment: Deployment, job_name: str = "verify_job", **config: Any
) -> dict[dg.AssetKey, dg.AssetCheckEvaluation]:
    job = deployment.defs.resolve_job_def(job_name)
    chosen = {"run_config": {"ops": {"verify": {"config": config}}}} if config else {}
    result = job.execute_in_process(instance=deployment.instance, raise_on_error=False, **chosen)
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    assert {entry.check_name for entry in evaluations} == {EQUALS_SOURCE}
    return {entry.asset_key: entry for entry in evaluations}


def failing(found: dict[dg.AssetKey, dg.AssetCheckEvaluation]) -> set[dg.AssetKey]:
    return {key for key, entry in found.items() if not entry.passed}


def test_a_check_is_red_for_as_long_as_something_differs(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    user = pipeline.app.user(tenancy)
    external = pipeline.configure_external(tenancy)
    pipeline.drain()
    found = check(deployment)
    assert failing(found) == set()
    assert len(found) == 2 * len(pipeline.catalog.mappings)
    green = found[clickhouse_key("users")].metadata
    assert green["rows_compared"].value == 1
    assert (green["ever_compared"].value, green["never_compared"].value, green["last_differing"].value) == (1, 0, 0)
    assert isinstance(green["oldest_comparison"].value, float)

    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('users'))}")
    external.run("update dbsync.users set display_name = 'somebody else'")
    found = check(deployment)
    assert failing(found) == {clickhouse_key("users"), postgres_key("users")}
    red = found[clickhouse_key("users")]
    assert f"missing: tenancy {tenancy}, id={user}" in (red.description or "")
    assert red.metadata["last_differing"].value == 1
    table = str(found[postgres_key("users")].metadata["differences"].value)
    assert "display_name" in table
    assert "altered" in table
    assert str(tenancy) in table
    assert external.destination_id in table

    # Another share, which holds no tenancy: what differed is looked at again.
    share = next(n for n in range(144) if not Scope(share=Share.nth(1 / 144, n)).ids(pipeline.admin))
    assert failing(check(deployment, share=share)) == {clickhouse_key("users"), postgres_key("users")}

    assert sum(entry.differing for entry in verify(pipeline.pipeline, Choice(), repair=True, patience_seconds=0)) == 2
    pipeline.drain()
    assert failing(check(deployment, share=share)) == set()


def two_tenancies_one_damaged(pipeline: Harness) -> tuple[UUID, UUID]:
    """Make two tenancies with a user each; ClickHouse loses that of the first."""
    one, other = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(one)
    pipeline.app.user(other)
    pipeline.drain()
    table = pipeline.names.table(pipeline.catalog.mapping("users"))
    pipeline.clickhouse.execute(f"delete from {table} where tenancy_id = '{one}'")
    return one, other


def shown(deployment: Deployment) -> dg.AssetCheckEvaluation | None:
    """Return what the UI shows of the check of users in ClickHouse, by Dagster's own rule."""
    check_key = dg.AssetCheckKey(clickhouse_key("users"), EQUALS_SOURCE)
    found = deployment.instance.event_log_storage.get_latest_asset_check_execution_by_key([check_key])[check_key]
    current = asyncio.run(found.targets_latest_materialization(LoadingContextForTest(deployment.instance)))
    return found.evaluation if current else None


def materialize(deployment: Deployment, run_id: str, tenancy: str) -> None:
    """Record a materialization of users in ClickHouse as one of a run that goes on."""
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="sync_job",
        event_specific_data=StepMaterializationData(
            dg.AssetMaterialization(clickhouse_key("users"), partition=tenancy)
        ),
    )
    deployment.instance.report_dagster_event(event, run_id)


def test_a_failed_check_stays_in_sight_while_its_asset_lives_on(pipeline: Harness, deployment: Deployment) -> None:
    """Dagster shows no verdict that is older than the newest materialization of any partition."""
    _damaged, other = two_tenancies_one_damaged(pipeline)
    red = check(deployment)[clickhouse_key("users")]
    pipeline.app.user(other)
    pipeline.sequence()
    run = deployment.run("sync_job")
    assert run.success
    again = shown(deployment)
    assert again is not None
    assert not again.passed
    assert (again.description, again.metadata) == (red.description, red.metadata)
    # Nor does a later one of the same run hide it.
    materialize(deployment, run.run_id, str(other))
    assert shown(deployment) == again

    assert sum(entry.differing for entry in verify(pipeline.pipeline, Choice(), repair=True, patience_seconds=0)) == 1
    pipeline.drain()
    assert failing(check(deployment)) == set()
    pipeline.app.user(other)
    pipeline.sequence()
    assert deployment.run("sync_job").success
    # What has passed is left to Dagster: saying it again with every materialization would fill its storage.
    assert shown(deployment) is None


def test_a_failure_is_said_again_before_another_copy_is_recorded(pipeline: Harness, deployment: Deployment) -> None:
    """Recording a batch takes seconds, and hides the verdict on a copy from its first materialization on."""
    tenancies = two_tenancies_one_damaged(pipeline)
    for tenancy in tenancies:
        pipeline.app.team(tenancy)
    pipeline.drain()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('teams'))}")
    damaged = {clickhouse_key("teams"), clickhouse_key("users")}
    assert failing(check(deployment)) == damaged
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
        pipeline.app.team(tenancy)
    pipeline.sequence()
    run = deployment.run("sync_job")
    recorded: list[tuple[str, dg.AssetKey | None]] = []
    for entry in deployment.instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event is not None and event.is_step_materialization:
            recorded.append(("materialized", event.asset_key))
        elif event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            recorded.append(("failed", event.asset_check_evaluation_data.asset_key))
    for key in damaged:
        later = recorded[recorded.index(("materialized", key)) :]
        assert next(event for event in later if event != later[0]) == ("failed", key), recorded


def test_a_check_that_fails_again_while_a_run_goes_on_stays_in_sight(pipeline: Harness, deployment: Deployment) -> None:
    _damaged, other = two_tenancies_one_damaged(pipeline)
    run = deployment.run("sync_job").dagster_run
    failures = Failures(deployment.instance, run)
    for _ in range(3):
        check(deployment)
        materialize(deployment, run.run_id, str(other))
        assert shown(deployment) is None
        failures.repeat([clickhouse_key("users")])
        assert shown(deployment) is not None


def test_what_is_red_is_made_green_from_dagster(pipeline: Harness, deployment: Deployment) -> None:
    one, other = two_tenancies_one_damaged(pipeline)
    external = pipeline.configure_external(other)
    pipeline.drain()
    external.run("update dbsync.users set display_name = 'somebody else'")
    red = check(deployment)
    assert failing(red) == {clickhouse_key("users"), postgres_key("users")}
    told = red[clickhouse_key("users")].description or ""
    assert told.startswith(f"Differing: 1 row of 1 tenancy; the first is missing: tenancy {one}, id=")
    assert "`dbsync verify --repair --mapping users --destination clickhouse`" in told

    found = check(deployment, "repair_job")
    assert failing(found) == set()
    green = found[postgres_key("users")]
    assert green.description == "Delivered again: 1 row."
    assert green.metadata["rows_repaired"].value == 1
    assert green.metadata["rows_on_their_way"].value == 0
    assert external.destination_id in str(green.metadata["repaired"].value)
    assert found[clickhouse_key("teams")].description is None
    assert failing(check(deployment)) == set()
    assert [row["display_name"] for row in external.view("users")] == [
        pipeline.value("""select "displayName" from "ProjectUser" where "tenancyId" = %s""", other)
    ]


def test_a_repair_names_what_it_could_not_deliver(pipeline: Harness, deployment: Deployment) -> None:
    one, _other = two_tenancies_one_damaged(pipeline)
    controls.pause(pipeline.admin, pipeline.catalog, Part(tenancy=str(one)), sequencer=False)
    found = check(deployment, "repair_job", tenancies=[str(one)], repair=True)
    assert failing(found) == {clickhouse_key("users")}
    warned = found[clickhouse_key("users")]
    assert warned.severity == dg.AssetCheckSeverity.WARN
    assert f"Delivered again: 1 row. Not to tenancy {one}: it is paused" in (warned.description or "")


def test_what_a_repair_cannot_remove_is_said(pipeline: Harness, deployment: Deployment) -> None:
    one, other = two_tenancies_one_damaged(pipeline)
    external = pipeline.configure_external(other)
    pipeline.drain()
    external.run(f"update dbsync.users set tenancy_id = '{one}'")
    found = check(deployment, "repair_job")
    assert failing(found) == {postgres_key("users")}
    told = found[postgres_key("users")].description or ""
    assert told.startswith("Delivered again: 1 row. Differing: 1 row of 1 tenancy; the first is wrong tenancy")
    assert "removed there by hand" in told
    assert "--repair" not in told


def test_a_check_looks_at_the_tenancies_named(pipeline: Harness, deployment: Deployment) -> None:
    one, other = two_tenancies_one_damaged(pipeline)
    assert failing(check(deployment, tenancies=[str(other)])) == set()
    assert failing(check(deployment, tenancies=[str(one)])) == {clickhouse_key("users")}


def test_who_materializes_partitions_has_these_compared(pipeline: Harness, deployment: Deployment) -> None:
    """And what differed before, so that what is red stays red: never the millions of rows of everybody else."""
    one, other = two_tenancies_one_damaged(pipeline)
    third = pipeline.app.tenancy()
    deployment.tick("tenancy_sensor")
    for tenancy in (other, third):
        deployment.instance.delete_dynamic_partition("tenancy", str(tenancy))
        deployment.instance.add_dynamic_partitions("tenancy", [str(tenancy)])

    def compared(*keys: UUID) -> tuple[bool, object, object]:
        result = deployment.materialize("users", keys=[str(key) for key in keys])
        (entry,) = [entry for entry in result.get_asset_check_evaluations() if entry.check_name == EQUALS_SOURCE]
        return entry.passed, entry.metadata["rows_compared"].value, entry.metadata["everything"].value

    assert compared(other) == (True, 1, False)
    assert compared(other, third) == (True, 1, False)
    assert failing(check(deployment)) == {clickhouse_key("users")}
    assert compared(other) == (False, 2, False)
    assert compared(one) == (False, 1, False)


def test_what_does_not_answer_is_a_warning(pipeline: Harness, deployment: Deployment) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.configure_external(tenancy, url="postgresql://owner:sesame@127.0.0.1:1/shop", mappings=["users"])
    found = check(deployment)
    assert failing(found) == {postgres_key("users")}
    red = found[postgres_key("users")]
    assert red.severity == dg.AssetCheckSeverity.WARN
    assert "127.0.0.1:1/shop" in (red.description or "")
    assert "sesame" not in deployment.everything_said()


def test_one_check_by_hand(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.drain()
    key = dg.AssetCheckKey(clickhouse_key("users"), EQUALS_SOURCE)
    job = deployment.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={key}
    )
    result = job.execute_in_process(
        instance=deployment.instance, resources={"databases": deployment.databases}, raise_on_error=False
    )
    assert [(entry.asset_check_key, entry.passed) for entry in result.get_asset_check_evaluations()] == [(key, True)]


def test_the_ticks_of_a_day_look_at_everything(deployment: Deployment) -> None:
    schedule = deployment.defs.resolve_schedule_def("verify_schedule")
    shares = set()
    for minute in range(0, 24 * 60, 10):
        at = dt.datetime(2024, 5, 6, tzinfo=dt.UTC) + dt.timedelta(minutes=minute)
        # A tick opens the instance anew, which takes longer than all of these.
        request = schedule(dg.build_schedule_context(scheduled_execution_time=at))
        assert isinstance(request, dg.RunRequest)
        shares.add(request.run_config["ops"]["verify"]["config"]["share"])
    last = dg.build_schedule_context(instance=deployment.instance, scheduled_execution_time=at)
    (requested,) = schedule.evaluate_tick(last).run_requests or ()
    assert requested.run_config == request.run_config
    widths = [Share.nth(1 / 144, share) for share in sorted(shares)]
    assert all(one.start + one.width == two.start for one, two in pairwise(widths))
    assert widths[0].start == 0
    assert widths[-1].start + widths[-1].width >= SLOTS
