"""Pausing, resuming and retrying from Dagster's launchpad."""

from typing import Any

import dagster as dg
import pytest

from dbsync_pipeline_tests.defs.conftest import Deployment, failure, unholdable_recording
from dbsync_pipeline_tests.harness import Harness


def run(deployment: Deployment, name: str, **config: Any) -> dg.ExecuteInProcessResult:
    job = deployment.defs.resolve_job_def(f"{name}_job")
    return job.execute_in_process(
        {"ops": {name: {"config": config}}}, instance=deployment.instance, raise_on_error=False
    )


def said(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Return the metadata of the one op's output."""
    assert result.success
    (event,) = [event for event in result.all_events if event.is_successful_output]
    return {name: entry.value for name, entry in event.step_output_data.metadata.items()}


def test_a_tenancy_is_paused_and_resumed(pipeline: Harness, deployment: Deployment) -> None:
    ours, theirs = pipeline.app.tenancy(), pipeline.app.tenancy()
    pipeline.app.user(ours)
    pipeline.app.user(theirs)
    pipeline.sequence()
    assert said(run(deployment, "pause", tenancy=str(ours))) == {"pairs": 1, "paused": [f"tenancy {ours}"]}
    assert deployment.run("sync_job").success
    assert deployment.materialized("users") == {str(theirs)}
    assert said(run(deployment, "resume", tenancy=str(ours))) == {"pairs": 1, "paused": []}
    assert deployment.run("sync_job").success
    assert deployment.materialized("users") == {str(ours), str(theirs)}


def test_numbering_is_paused_and_the_sensor_says_so(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    assert said(run(deployment, "pause", sequencer=True, sync=True))["paused"] == ["numbering", "everything"]
    assert deployment.skipped("sequencer_sensor") == "Numbering is paused."
    assert said(run(deployment, "resume", sequencer=True))["paused"] == ["everything"]
    assert deployment.skipped("sequencer_sensor") is None


def test_what_rests_is_due_again(pipeline: Harness, deployment: Deployment, resting: None) -> None:
    mend = unholdable_recording(pipeline, pipeline.app.tenancy())
    pipeline.sequence()
    failure(deployment.run("sync_job"))
    mend()
    pipeline.sequence()
    assert deployment.skipped("sync_sensor") == "What waits is being delivered, or rests after a failure."
    assert said(run(deployment, "retry", mapping="session_replays")) == {"pairs": 1}
    assert deployment.run("sync_job").success
    pipeline.assert_equal("session_replays")


def test_a_mapping_is_delivered_again(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.drain()
    pipeline.clickhouse.execute(f"truncate table {pipeline.names.table(pipeline.catalog.mapping('users'))}")
    assert said(run(deployment, "resync", mapping="users")) == {"pairs": 1}
    assert deployment.run("sync_job").success
    pipeline.assert_equal("users")


@pytest.mark.parametrize(
    ("config", "message"),
    [({}, "nothing is chosen"), ({"mapping": "nothing"}, "no mapping 'nothing'")],
    ids=["nothing", "unknown"],
)
def test_what_cannot_be_is_said_in_one_line(
    pipeline: Harness, deployment: Deployment, config: dict[str, str], message: str
) -> None:
    assert message in failure(run(deployment, "pause", **config))
