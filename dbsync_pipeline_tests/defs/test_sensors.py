"""What keeps a sensor from starting a run, and what must not."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from dbsync_pipeline import source
from dbsync_pipeline.definitions import build_defs
from dbsync_pipeline.defs import liveness
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline_tests.defs.conftest import Deployment, failure
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import kill

LOCATION = "dbsync"
UNREACHABLE_SOURCE = "postgresql://app:sesame@127.0.0.1:1/app"
UNREACHABLE_CLICKHOUSE = "http://default:sesame@127.0.0.1:1/"


@dataclass
class Clock:
    """A time that only a test moves."""

    now: float = 1_000.0
    missed: liveness.Missed = field(default_factory=liveness.Missed)


@pytest.fixture
def started(deployment: Deployment) -> dg.DagsterRun:
    """A run of the sync job that has started just now, as Dagster believes."""
    job = deployment.defs.resolve_job_def("sync_job")
    run = deployment.instance.create_run_for_job(job_def=job, status=dg.DagsterRunStatus.STARTING)
    start = DagsterEvent(DagsterEventType.RUN_START.value, job.name)
    deployment.instance.report_dagster_event(start, run.run_id, timestamp=Clock.now)
    return run


@contextmanager
def run_at_work(pipeline: Harness) -> Generator[psycopg.Connection]:
    """Open the session of a run; at the end, Postgres has noticed that it is gone."""
    with pipeline.pipeline.source("run") as session:
        yield session
        kill(pipeline, [session.info.backend_pid])


def vacant(pipeline: Harness, deployment: Deployment, clock: Clock) -> list[int]:
    places, clock.missed = liveness.vacant(
        deployment.instance, pipeline.admin, LOCATION, "sync_job", range(2), missed=clock.missed, now=clock.now
    )
    return places


def status(deployment: Deployment, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = deployment.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_dead_run_is_reported_and_does_not_block_the_next(
    pipeline: Harness, deployment: Deployment, started: dg.DagsterRun
) -> None:
    clock = Clock()
    assert vacant(pipeline, deployment, clock) == [1]
    clock.now += liveness.GRACE_SECONDS - 1
    assert vacant(pipeline, deployment, clock) == [1]
    clock.now += 1
    assert vacant(pipeline, deployment, clock) == [0, 1]
    assert status(deployment, started) == dg.DagsterRunStatus.FAILURE
    assert clock.missed == liveness.Missed()


def test_a_living_run_is_believed_however_long_it_takes(
    pipeline: Harness, deployment: Deployment, started: dg.DagsterRun
) -> None:
    clock = Clock()
    with run_at_work(pipeline) as session:
        assert vacant(pipeline, deployment, clock) == [1]
        liveness.fill(session, "sync_job", 0)
        liveness.show(session, started.run_id)
        clock.now += 1_000_000
        assert vacant(pipeline, deployment, clock) == [1]
    # Its session is gone, and so is its place; the run is believed until it has not come back for a while.
    assert vacant(pipeline, deployment, clock) == [0, 1]
    assert status(deployment, started) == dg.DagsterRunStatus.STARTED
    clock.now += liveness.GRACE_SECONDS
    assert vacant(pipeline, deployment, clock) == [0, 1]
    assert status(deployment, started) == dg.DagsterRunStatus.FAILURE


def test_a_dead_run_is_reported_though_its_successor_has_done_all(
    deployment: Deployment, started: dg.DagsterRun
) -> None:
    deployment.cursors["sync_sensor"] = liveness.Missed(since={started.run_id: Clock.now}).model_dump_json()
    assert deployment.skipped("sync_sensor") == "All is delivered."
    assert status(deployment, started) == dg.DagsterRunStatus.FAILURE
    assert deployment.cursors["sync_sensor"] == liveness.Missed().model_dump_json()


def test_a_place_is_held_whatever_dagster_believes_of_its_run(pipeline: Harness, deployment: Deployment) -> None:
    """A run that Dagster gave up, or forgot, is still at work while its lock is there."""
    with run_at_work(pipeline) as session:
        assert liveness.fill(session, "sync_job", 1)
        assert vacant(pipeline, deployment, Clock()) == [0]
        assert not liveness.fill(pipeline.admin, "sync_job", 1)
        assert liveness.fill(pipeline.admin, "sequencer_job", 1)
    assert vacant(pipeline, deployment, Clock()) == [0, 1]


def started_in(deployment: Deployment, location: str) -> dg.DagsterRun:
    """A run of a sync job that has started just now, in some code location of this instance."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
    job = deployment.defs.resolve_job_def("sync_job")
    run = deployment.instance.create_run_for_job(
        job_def=job,
        status=dg.DagsterRunStatus.STARTING,
        remote_job_origin=RemoteJobOrigin(repository, job.name),
    )
    deployment.instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, job.name), run.run_id)
    return run


def test_another_code_locations_job_of_the_same_name_is_none_of_ours(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs hold no lock in this source: they fill no place here, and are nobody's here to report as failed."""
    ours, theirs = started_in(deployment, LOCATION), started_in(deployment, "shop")
    clock = Clock(now=time.time() + liveness.GRACE_SECONDS)
    vacant(pipeline, deployment, clock)
    clock.now += liveness.GRACE_SECONDS
    vacant(pipeline, deployment, clock)
    assert status(deployment, ours) == dg.DagsterRunStatus.FAILURE
    assert status(deployment, theirs) == dg.DagsterRunStatus.STARTED

    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    here = RegisteredCodeLocationOrigin(LOCATION)
    monkeypatch.setattr(dg.SensorEvaluationContext, "code_location_origin", here)
    assert requested(deployment, "sync_sensor") == ["sync_job 0"]


def requested(deployment: Deployment, sensor: str) -> list[str]:
    return [request.tags[liveness.PLACE_TAG] for request in deployment.tick(sensor).run_requests or ()]


def test_a_sensor_waits_for_a_run_that_is_starting(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    job = deployment.defs.resolve_job_def("sequencer_job")
    run = deployment.instance.create_run_for_job(job_def=job, status=dg.DagsterRunStatus.STARTING)
    assert deployment.skipped("sequencer_sensor") == "As many runs as are wanted are at it, or about to be."
    deployment.instance.delete_run(run.run_id)
    assert requested(deployment, "sequencer_sensor") == ["sequencer_job 0"]


def test_as_many_runs_are_started_as_lack(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBSYNC_SYNC_WORKERS", "3")
    assert deployment.skipped("sync_sensor") == "All is delivered."
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    assert requested(deployment, "sync_sensor") == ["sync_job 0", "sync_job 1", "sync_job 2"]
    job = deployment.defs.resolve_job_def("sync_job")
    deployment.instance.create_run_for_job(
        job_def=job, status=dg.DagsterRunStatus.STARTING, tags=liveness.tag("sync_job", 0)
    )
    liveness.fill(pipeline.admin, "sync_job", 1)
    assert requested(deployment, "sync_sensor") == ["sync_job 2"]


def test_a_place_that_is_being_left_gets_a_successor_though_nothing_is_due(
    pipeline: Harness, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is delivered as it comes; without the successor, what comes next would wait for a run to start."""
    monkeypatch.setenv("DBSYNC_SYNC_WORKERS", "3")
    with run_at_work(pipeline) as session:
        liveness.fill(session, "sync_job", 1)
        liveness.leave(session, "sync_job", 1)
        assert requested(deployment, "sync_sensor") == ["sync_job 1"]
        liveness.fill(pipeline.admin, "sync_job", 1)
        assert deployment.skipped("sync_sensor") == "All is delivered."


@pytest.mark.parametrize("name", ["tenancy_sensor", "sequencer_sensor", "sync_sensor", "external_sync_sensor"])
def test_a_tick_opens_one_session(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every 5 s, for ever, whatever there is to do."""
    opened: list[str] = []
    connect = source.connect

    def counting(url: str, *, application_name: str, **more: Any) -> psycopg.Connection:
        opened.append(application_name)
        return connect(url, application_name=application_name, **more)

    monkeypatch.setattr(source, "connect", counting)
    assert deployment.skipped(name) is not None
    assert opened == ["dbsync sensor"]


@pytest.mark.parametrize("name", ["tenancy_sensor", "sequencer_sensor", "sync_sensor"])
def test_an_unreachable_source_is_a_reason_to_skip(deployment: Deployment, name: str) -> None:
    lost = Databases(source_url=UNREACHABLE_SOURCE, clickhouse_url=UNREACHABLE_CLICKHOUSE)
    reason = replace(deployment, databases=lost).skipped(name)
    assert reason is not None
    assert "the source Postgres at 127.0.0.1:1/app does not answer" in reason
    assert "sesame" not in reason


def test_an_unreachable_clickhouse_keeps_runs_from_starting(pipeline: Harness, deployment: Deployment) -> None:
    pipeline.app.user(pipeline.app.tenancy())
    pipeline.sequence()
    lost = Databases(source_url=deployment.databases.source_url, clickhouse_url=UNREACHABLE_CLICKHOUSE)
    reason = replace(deployment, databases=lost).skipped("sync_sensor")
    assert reason is not None
    assert "ClickHouse at 127.0.0.1:1 does not answer" in reason
    assert "sesame" not in reason
    assert deployment.skipped("sync_sensor") is None


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("job_name", "place"), [("sequencer_job", "127.0.0.1:1/app"), ("sync_job", "127.0.0.1:1")])
def test_a_run_that_reaches_nothing_fails_in_one_line(
    instance: dg.DagsterInstance,
    pipeline: Harness,
    monkeypatch: pytest.MonkeyPatch,
    job_name: str,
    place: str,
) -> None:
    monkeypatch.setenv("DBSYNC_RUN_SECONDS", "0.1")
    source_url = UNREACHABLE_SOURCE if job_name == "sequencer_job" else pipeline.url
    lost = Databases(source_url=source_url, clickhouse_url=UNREACHABLE_CLICKHOUSE)
    deployment = Deployment(instance, lost, build_defs({"databases": lost}))
    said = failure(deployment.run(job_name))
    assert f"{place} does not answer" in said
    assert "sesame" not in deployment.everything_said()


def test_a_source_without_our_objects_is_said(
    source_url: str, instance: dg.DagsterInstance, clickhouse_database_prefix: str
) -> None:
    databases = Databases(source_url=source_url, clickhouse_url=UNREACHABLE_CLICKHOUSE)
    deployment = Deployment(instance, databases, build_defs({"databases": databases}))
    for name in ("tenancy_sensor", "sequencer_sensor", "sync_sensor"):
        reason = deployment.skipped(name)
        assert reason is not None
        assert "not installed" in reason
