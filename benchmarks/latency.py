"""How long a commit takes to become visible in ClickHouse, while the workers are up and the application writes."""

from collections.abc import Iterator
from multiprocessing.synchronize import Event as ProcessEvent
from threading import Event
from typing import cast
from uuid import UUID

from benchmarks.bench import Bench, generated_source, install_clickhouse, number_all, settle
from benchmarks.live import expect_all_delivered, measure
from benchmarks.row import Row
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.pipeline import Pipeline

_TENANCIES = 200
_USERS = 20_000
_FOREVER = float("inf")
_DATABASE = "bench_latency"


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, after everything loaded first has arrived."""
    tenancies = bench.scaled(_TENANCIES, at_least=10)
    bench.say(f"commit to ClickHouse: {tenancies} tenancies")
    pipeline = _loaded(bench, tenancies)
    view = pipeline.clickhouse_names.view(pipeline.catalog.mapping("users"))
    # The whole sorting key, so that looking costs next to nothing.
    question = (
        f"select 1 from {view} where project_id = {{project:String}} and branch_id = {{branch:String}} "  # noqa: S608 -- our own name
        "and tenancy_id = {tenancy:UUID} and id = {user:UUID}"
    )
    with pipeline.source("bench") as connection, pipeline.clickhouse() as clickhouse:
        rows = connection.execute('select "id", "projectId", "branchId" from "Tenancy"')
        places = {tenancy_id: (project_id, branch_id) for tenancy_id, project_id, branch_id in rows}

        def looks(tenancy_id: UUID, user_id: UUID) -> bool:
            project_id, branch_id = places[tenancy_id]
            sought: dict[str, object] = {
                "project": project_id, "branch": branch_id, "tenancy": str(tenancy_id), "user": str(user_id)
            }  # fmt: skip
            return bool(clickhouse.query(question, sought))

        yield from measure(
            "commit_to_clickhouse",
            bench=bench,
            pipeline=pipeline,
            worker=_deliver,
            looks=looks,
            tenancies=list(places),
            contains=f"{tenancies} tenancies",
            targets={50: 0.25, 99: 1.0},
        )
    bench.drop(_DATABASE)


def _loaded(bench: Bench, tenancies: int) -> Pipeline:
    """Return a pipeline at rest: everything numbered and delivered."""
    url = generated_source(bench, _DATABASE, DemoSize(tenancies=tenancies, users=bench.scaled(_USERS, at_least=400)))
    pipeline = bench.pipeline(url, _DATABASE)
    install_clickhouse(pipeline)
    number_all(pipeline)
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=expect_all_delivered)
    settle(url)
    return pipeline


def _deliver(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=expect_all_delivered)
