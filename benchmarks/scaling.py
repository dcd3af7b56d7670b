"""How much more several workers deliver than one, where each waits for databases that are far away.

The workers are processes of one machine, with the source and all copies. So that its processors are not what bounds one
worker already, whatever a worker says to a copy travels for a while, and so does the answer: a worker mostly waits. How
busy the processors were is told with each row; where they are busy all the time, more workers add nothing here. The
source is near. Every change is numbered, and every worker has started, before the time begins.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as ProcessEvent
from statistics import median
from threading import Event
from typing import cast
from uuid import UUID

import psycopg
from pydantic import SecretStr

from benchmarks.bench import Bench, generated_source, number_all, settle
from benchmarks.far import far
from benchmarks.live import expect_all_delivered, expect_all_served, loaded
from benchmarks.processor import MachineTime
from benchmarks.row import Row, Target, median_ratio
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.pipeline import Pipeline

_WORKERS = (1, 2, 4)
_NEAR_LINEAR = 0.8
_WAY_SECONDS = 0.05
_DATABASES = 40
_THREADS = 2
_USERS_OF_EACH = 20
_TENANCIES = 2_000
_PAIRS_OF_A_TURN = 50
_START_SECONDS = 120
_LOOK_SECONDS = 0.02
_FOREVER = float("inf")
_EXTERNAL = "bench_scaling_external"
_CLICKHOUSE = "bench_scaling_clickhouse"

_SIGN_UP = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
)
select "id", gen_random_uuid(), "projectId", "branchId", 'New', now() from "Tenancy", generate_series(1, %s)
where "id" = any(%s)
"""

_IS_PENDING = """
select exists (select from dbsync.pending where wanted > reached and (destination_id = 'clickhouse') = %s)
"""

Work = Callable[[Pipeline, Barrier, ProcessEvent], None]
"""A worker: opens what it needs, waits at the gate, and delivers until the event is set."""


@dataclass(frozen=True)
class _Drain:
    """How long so many workers took until nothing waited, and which share of the processors was busy meanwhile."""

    seconds: float
    busy: float


def run(bench: Bench) -> Iterator[Row]:
    """Measure workers of external databases, then workers that share one backlog of ClickHouse."""
    yield from _external(bench)
    yield from _clickhouse(bench)


def _external(bench: Bench) -> Iterator[Row]:
    databases = bench.scaled(_DATABASES, at_least=2 * _THREADS)
    bench.say(f"scaling: {databases} external databases")
    url = generated_source(bench, _EXTERNAL, DemoSize(tenancies=databases, users=databases * 10, users_only=True))
    pipeline = _with(bench.pipeline(url), external_workers=_THREADS)
    with pipeline.source("bench") as connection, far(bench.postgres.url(), _WAY_SECONDS) as far_url:
        names = {tenancy_id: f"{_EXTERNAL}_{number}" for number, tenancy_id in enumerate(_tenancies(connection))}
        for tenancy_id, name in names.items():
            connection.execute(
                "insert into dbsync.destination (tenancy_id, name, connection) values (%s, 'bench', %s)",
                [tenancy_id, bench.database(name)],
            )
        number_all(pipeline)
        with pipeline.external_dispatcher(connection, expect_all_delivered) as dispatcher:
            dispatcher.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, note=expect_all_served)
        for tenancy_id, name in names.items():
            connection.execute(
                "update dbsync.destination set connection = %s where tenancy_id = %s",
                [f"{far_url.rpartition('/')[0]}/{name}", tenancy_id],
            )
        settle(url)
        drains = _drains(bench, pipeline, _serve, list(names), _USERS_OF_EACH)
    bench.drop(_EXTERNAL, *names.values())
    yield from _rows(
        "scaling_external",
        drains,
        databases,
        "databases/s",
        f"{_USERS_OF_EACH} new users in each of {databases} databases, connections included, {_THREADS} threads a "
        "worker",
    )


def _clickhouse(bench: Bench) -> Iterator[Row]:
    tenancies = bench.scaled(_TENANCIES, at_least=10)
    bench.say(f"scaling: a backlog of {tenancies:,} tenancies for ClickHouse")
    size = DemoSize(tenancies=tenancies, users=tenancies, users_only=True)
    near = _with(loaded(bench, _CLICKHOUSE, size), sync_batch_tenancies=_PAIRS_OF_A_TURN)
    with near.source("bench") as connection, far(bench.clickhouse_url, _WAY_SECONDS) as far_url:
        pipeline = _with(near, clickhouse_url=SecretStr(far_url))
        drains = _drains(bench, pipeline, _deliver, _tenancies(connection), 1)
    bench.drop(_CLICKHOUSE)
    yield from _rows(
        "scaling_clickhouse",
        drains,
        tenancies,
        "tenancies/s",
        f"A new user in each of {tenancies:,} tenancies, in turns of {_PAIRS_OF_A_TURN}",
    )


def _with(pipeline: Pipeline, **settings: object) -> Pipeline:
    return Pipeline(pipeline.settings.model_copy(update=settings))


def _tenancies(connection: psycopg.Connection) -> list[UUID]:
    return [tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')]


def _drains(
    bench: Bench, pipeline: Pipeline, work: Work, tenancies: Sequence[UUID], users: int
) -> Mapping[int, list[_Drain]]:
    """Let each number of workers drain the same amount of changes, in turn."""
    bench.say("scaling: measuring")
    drains: dict[int, list[_Drain]] = {workers: [] for workers in _WORKERS}
    for number in range(bench.rounds):
        for workers in _WORKERS[:: -1 if number % 2 else 1]:
            with pipeline.source("bench") as connection:
                connection.execute(_SIGN_UP, [users, tenancies])
                number_all(pipeline)
                drains[workers].append(_drain(pipeline, connection, work, workers))
    return drains


def _drain(pipeline: Pipeline, connection: psycopg.Connection, work: Work, workers: int) -> _Drain:
    spawning = multiprocessing.get_context("spawn")
    gate, stop = spawning.Barrier(workers + 1), spawning.Event()
    processes = [spawning.Process(target=work, args=(pipeline, gate, stop)) for _ in range(workers)]
    for process in processes:
        process.start()
    gate.wait(_START_SECONDS)
    started, before = time.perf_counter(), MachineTime.now()
    while all(process.is_alive() for process in processes) and _is_pending(connection, work):
        time.sleep(_LOOK_SECONDS)
    drain = _Drain(time.perf_counter() - started, MachineTime.now().busy_since(before))
    stop.set()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise AssertionError("a worker failed; its error stands above")
    return drain


def _is_pending(connection: psycopg.Connection, work: Work) -> bool:
    row = connection.execute(_IS_PENDING, [work is _deliver]).fetchone()
    return row is not None and row[0]


def _serve(pipeline: Pipeline, gate: Barrier, stop: ProcessEvent) -> None:
    with (
        pipeline.source("sync") as connection,
        pipeline.external_dispatcher(connection, expect_all_delivered) as dispatcher,
    ):
        gate.wait()
        dispatcher.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, note=expect_all_served)


def _deliver(pipeline: Pipeline, gate: Barrier, stop: ProcessEvent) -> None:
    with pipeline.clickhouse_worker() as worker:
        gate.wait()
        worker.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=expect_all_delivered)


def _rows(name: str, drains: Mapping[int, list[_Drain]], amount: int, unit: str, contains: str) -> Iterator[Row]:
    alone = [drain.seconds for drain in drains[1]]
    for workers in _WORKERS[1:]:
        seconds = [drain.seconds for drain in drains[workers]]
        yield Row(
            name=f"{name}_{workers}_workers",
            value=amount / median(seconds),
            unit=unit,
            rival="one worker",
            rival_value=amount / median(alone),
            ratio=median_ratio(alone, seconds),
            target=Target("ratio", ">=", _NEAR_LINEAR * workers),
            contains=f"{contains}; each copy is {_WAY_SECONDS * 1000:.0f} ms away, each way, which is the bound unless "
            f"the processors are: busy {_busy(drains[workers])} of the time, and {_busy(drains[1])} with one worker.",
        )


def _busy(drains: Sequence[_Drain]) -> str:
    return f"{median(drain.busy for drain in drains):.0%}"
