"""The status in a Dagster instance: recorded when it has changed, plotted, and a verdict on every copy."""

import asyncio
import json
import time

import dagster as dg
import pytest
from dagster._core.definitions import freshness_evaluator
from dagster._core.loader import LoadingContextForTest

from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import clickhouse_key
from dbsync_pipeline.defs.status import STATUS
from dbsync_pipeline.defs.verdicts import UP_TO_DATE
from dbsync_pipeline_tests.defs.conftest import Deployment
from dbsync_pipeline_tests.harness import Harness


def look(deployment: Deployment) -> list[str]:
    """Do what the daemon does with a tick of the sensor; return what was recorded, a word for each event."""
    recorded = []
    for event in deployment.tick("status_sensor").asset_events:
        deployment.instance.report_runless_asset_event(event)
        recorded.append(
            "status" if isinstance(event, dg.AssetMaterialization) else f"{event.check_name} {event.passed}"
        )
    return recorded


def shown(deployment: Deployment) -> dict[str, object]:
    """Return the metadata of the asset's newest materialization."""
    event = deployment.instance.get_latest_materialization_event(STATUS)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}


def test_what_has_changed_is_recorded_and_nothing_else(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    verdicts = len(pipeline.catalog.mappings)
    assert look(deployment) == ["status", *[f"{UP_TO_DATE} True"] * verdicts]
    assert shown(deployment)["waiting_for_sequencer"] != 0
    assert look(deployment) == []

    pipeline.sequence()
    monkeypatch.setenv("DBSYNC_LATE_SECONDS", "0.000001")
    # The tenancy is pending in the mapping of its users alone, which stays late while others are delivered.
    for _ in range(2):
        assert look(deployment) == ["status", f"{UP_TO_DATE} False"]
    numbers = shown(deployment)
    assert (numbers["clickhouse_pending"], numbers["clickhouse_waiting_for_delivery"]) == (1, 1)
    assert numbers["sequence_id"] == pipeline.value("select last_sequence_id from dbsync.sequencer")
    assert "| users     | clickhouse |" in str(numbers["mappings"])
    check = dg.AssetCheckKey(clickhouse_key("users"), UP_TO_DATE)
    (record,) = deployment.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    assert evaluation.metadata["oldest_tenancy"].value == str(tenancy)

    pipeline.drain()
    assert look(deployment) == ["status", f"{UP_TO_DATE} True"]
    assert (shown(deployment)["clickhouse_lag_seconds"], shown(deployment)["mappings"]) == (0.0, "Nothing waits.")
    assert (numbers["clickhouse_delivered"], shown(deployment)["clickhouse_delivered"]) == (0, 1)
    assert look(deployment) == []


def test_the_status_goes_stale_when_nobody_looks_any_more(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = deployment.defs.resolve_asset_graph().get(STATUS)
    evaluator = freshness_evaluator.TimeWindowFreshnessPolicyEvaluator()

    def freshness(hours: float) -> str:
        """Return what Dagster's freshness daemon says of the asset some hours from now."""
        at = time.time() + hours * 3_600
        monkeypatch.setattr(freshness_evaluator, "get_current_timestamp", lambda: at)
        context = LoadingContextForTest(deployment.instance)
        return asyncio.run(evaluator.evaluate_freshness(context, node)).value

    assert deployment.instance.freshness_enabled
    assert look(deployment)
    assert [freshness(hours) for hours in (0, 1.9, 2.1, 3.1)] == ["PASS", "PASS", "WARN", "FAIL"]
    # A quiet pipeline is looked at all the same, and says so before it would go stale.
    assert look(deployment) == []
    cursor = json.loads(deployment.cursors["status_sensor"] or "")
    deployment.cursors["status_sensor"] = json.dumps({**cursor, "at": cursor["at"] - 3_600})
    assert look(deployment) == ["status"]
    assert look(deployment) == []


def test_status_and_verdict_by_hand(pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    monkeypatch.setenv("DBSYNC_LATE_SECONDS", "0.000001")
    checks = {dg.AssetCheckKey(clickhouse_key(name), UP_TO_DATE) for name in ("users", "teams")}
    job = deployment.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={STATUS}, asset_check_selection=checks
    )
    result = job.execute_in_process(instance=deployment.instance, resources={"databases": deployment.databases})
    assert shown(deployment)["clickhouse_pending"] == 1
    assert {entry.asset_key: entry.passed for entry in result.get_asset_check_evaluations()} == {
        clickhouse_key("users"): False,
        clickhouse_key("teams"): True,
    }


def test_a_source_that_does_not_answer_leaves_what_was_recorded(deployment: Deployment) -> None:
    assert look(deployment)
    cursor = deployment.cursors["status_sensor"]
    deployment.databases = Databases(
        source_url="postgresql://app:sesame@127.0.0.1:1/x", clickhouse_url=deployment.databases.clickhouse_url
    )
    assert "does not answer" in (deployment.skipped("status_sensor") or "")
    assert deployment.cursors["status_sensor"] == cursor
