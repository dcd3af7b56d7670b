"""What it takes to deliver one change in each of very many tenancies: a sweep in batches, beside a cycle for each.

Both sides are the same worker over the same queue, and what they deliver is numbered already. The rival is restricted
to one tenancy at a time, with its sessions open, on a sample of the tenancies.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from threading import Event

from benchmarks.bench import Bench, number_all
from benchmarks.live import expect_all_delivered, loaded
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.pipeline import Pipeline

_TENANCIES = 10_000
_SAMPLE = 150
_FOREVER = float("inf")
_DATABASE = "bench_sweep"

_CHANGES = (
    """
    insert into "ProjectUser" (
        "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
    )
    select "id", gen_random_uuid(), "projectId", "branchId", 'New', now() from "Tenancy"
    where "id" = any(%s::uuid[]) and hashtext("id"::text) & 1 = 0
    """,
    """
    insert into "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
    select "id", gen_random_uuid(), "projectId", "branchId", 'New', now() from "Tenancy"
    where "id" = any(%s::uuid[]) and hashtext("id"::text) & 1 = 1
    """,
)


@dataclass(frozen=True)
class _Sweep:
    seconds: float
    inserts_per_batch: int


def run(bench: Bench) -> Iterator[Row]:
    """Measure both sides in turn, each time over new changes."""
    tenancies = bench.scaled(_TENANCIES, at_least=10)
    bench.say(f"sweep: {tenancies:,} tenancies")
    pipeline = loaded(bench, _DATABASE, DemoSize(tenancies=tenancies, users=tenancies, users_only=True))
    with pipeline.source("bench") as connection:
        everyone = [str(tenancy_id) for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')]
    sample = everyone[: min(_SAMPLE, len(everyone))]

    def ours(_round: int) -> _Sweep:
        return _sweep(pipeline, everyone)

    def rival(_round: int) -> float:
        return _one_by_one(pipeline, sample) / len(sample) * len(everyone)

    bench.say("sweep: measuring")
    mine, theirs = in_turn(ours, rival, bench.rounds)
    yield Row(
        name="sweep_ten_thousand_tenancies",
        value=median(sweep.seconds for sweep in mine),
        unit="s",
        rival=f"a cycle for each tenancy, from {len(sample)} of them",
        rival_value=median(theirs),
        ratio=median_ratio(theirs, [sweep.seconds for sweep in mine]),
        target=Target("ratio", ">=", 20),
        contains=f"One change, a new user or a new team, in each of {tenancies:,} tenancies, from the claim to "
        "the last `complete`; the rival's time is a sample's, multiplied.",
    )
    yield Row(
        name="sweep_inserts_per_batch",
        value=max(sweep.inserts_per_batch for sweep in mine),
        unit="inserts",
        target=Target("value", "<=", 12),
        contains="The most that a batch of that sweep took, by ClickHouse's own count: one for each mapping that has "
        "changed, and one for the checkpoints.",
    )
    with pipeline.clickhouse() as clickhouse:
        limit = _number(
            clickhouse, "select toInt64(value) from system.merge_tree_settings where name = 'parts_to_delay_insert'"
        )
        yield Row(
            name="sweep_parts",
            value=_number(
                clickhouse,
                "select max(parts) from (select count() as parts from system.parts where active "  # noqa: S608 -- our own name
                f"and database = '{pipeline.clickhouse_names.internal}' group by table)",
            ),
            unit="parts",
            rival="where ClickHouse begins to delay inserts",
            rival_value=limit,
            target=Target("value", "<=", limit),
            contains="Active parts of the table that has the most, right after all of these sweeps and cycles.",
        )
    bench.drop(_DATABASE)


def _change(pipeline: Pipeline, tenancies: list[str]) -> None:
    with pipeline.source("bench") as connection:
        for statement in _CHANGES:
            connection.execute(statement, [tenancies])
    number_all(pipeline)


def _sweep(pipeline: Pipeline, tenancies: list[str]) -> _Sweep:
    _change(pipeline, tenancies)
    batches: list[int] = []
    with pipeline.clickhouse() as clickhouse, pipeline.clickhouse_worker() as worker:
        count = _inserts(clickhouse)

        def report(results: list[SyncResult]) -> None:
            nonlocal count
            expect_all_delivered(results)
            before, count = count, _inserts(clickhouse)
            batches.append(count - before)

        started = time.perf_counter()
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=report)
        return _Sweep(time.perf_counter() - started, max(batches))


def _one_by_one(pipeline: Pipeline, tenancies: list[str]) -> float:
    _change(pipeline, tenancies)
    seconds = 0.0
    only: list[str] = []
    # The worker reads its selection at every claim, so that one keeps its sessions and what is prepared in them.
    with pipeline.clickhouse_worker(Selection(tenancies=only)) as worker:
        for tenancy in tenancies:
            only[:] = [tenancy]
            started = time.perf_counter()
            expect_all_delivered(worker.run_once())
            seconds += time.perf_counter() - started
    return seconds


def _inserts(clickhouse: ClickHouse) -> int:
    return _number(clickhouse, "select sum(value) from system.events where event = 'InsertQuery'")


def _number(clickhouse: ClickHouse, question: str) -> int:
    return int(clickhouse.query(question)[0][0])
