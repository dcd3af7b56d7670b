"""How fast a mapping's rows first reach ClickHouse, beside a bare pipe of the same query, and what memory that takes.

Every row is numbered already. Ours is a worker's whole way from the claim to the last `complete`: chunks, extents, the
checkpoints around them. The rival does one COPY of the same columns with the same joins, of all rows at once, and pipes
it through the same client into one INSERT into a table of the same definition; it could not resume, and leaves no trace
of how far it came.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from threading import Event

from psycopg import sql

from benchmarks.bench import Bench, generated_source, install_clickhouse, number_all, settle
from benchmarks.row import Row, Target, in_turn, median_ratio
from benchmarks.worker import in_new_process, peak_memory
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.destinations.base import ProjectedColumn
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.engine.snapshot import take_snapshot
from dbsync_pipeline.mappings.relation import (
    column,
    expression,
    join_clause,
    joined,
    ours,
    row_filter,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pipeline import Pipeline

_USERS = 1_000_000
_TENANCIES = 5
_MAPPING = "users"
_DATABASE = "bench_first_load"


@dataclass(frozen=True)
class _Load:
    rows: int
    seconds: float
    megabytes: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def run(bench: Bench) -> Iterator[Row]:
    """Measure both sides in turn, each time into empty tables and from a process of its own."""
    size = DemoSize(tenancies=_TENANCIES, users=bench.scaled(_USERS, at_least=1_000), users_only=True)
    bench.say(f"first load: a database of {size.users:,} users, every row numbered")
    url = generated_source(bench, _DATABASE, size)
    pipeline = bench.pipeline(url, _DATABASE)
    number_all(pipeline)
    settle(url)

    def ours(_round: int) -> _Load:
        _forget_deliveries(pipeline)
        install_clickhouse(pipeline)
        return in_new_process(_work, pipeline)

    def rival(_round: int) -> _Load:
        install_clickhouse(pipeline)
        return in_new_process(_pipe, pipeline)

    bench.say("first load: measuring")
    mine, theirs = in_turn(ours, rival, bench.rounds)
    bench.drop(_DATABASE)
    if {load.rows for load in (*mine, *theirs)} != {size.users}:
        raise AssertionError(f"not every user arrived: {mine} and {theirs}")
    yield Row(
        name="first_load_clickhouse",
        value=median(load.rows_per_second for load in mine),
        unit="rows/s",
        rival="bare COPY into INSERT of the same query",
        rival_value=median(load.rows_per_second for load in theirs),
        ratio=median_ratio([load.rows_per_second for load in mine], [load.rows_per_second for load in theirs]),
        target=Target("ratio", ">=", 0.8),
        contains=f"{size.users:,} users of {_TENANCIES} tenancies, the largest with more than 40 % of them, with their "
        "primary e-mail addresses, from the claim to the last checkpoint.",
    )
    yield Row(
        name="memory_worker",
        value=max(load.megabytes for load in mine),
        unit="MB",
        rival="the process of the bare pipe, which is the driver and nothing else",
        rival_value=max(load.megabytes for load in theirs),
        target=Target("value", "<=", 300),
        contains="Peak resident memory of the worker's process during that load, the interpreter included.",
    )


def _forget_deliveries(pipeline: Pipeline) -> None:
    with pipeline.source("bench") as connection:
        connection.execute("update dbsync.pending set reached = default, claims = default")


def _work(pipeline: Pipeline) -> _Load:
    results: list[SyncResult] = []
    with pipeline.clickhouse_worker(Selection(mappings=[_MAPPING])) as worker:
        started = time.perf_counter()
        worker.run(stop=Event(), max_seconds=float("inf"), idle_seconds=0, report=results.extend)
        seconds = time.perf_counter() - started
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")
    return _Load(_arrived(pipeline), seconds, peak_memory())


def _pipe(pipeline: Pipeline) -> _Load:
    mapping = pipeline.catalog.mapping(_MAPPING)
    names = pipeline.clickhouse_names
    with pipeline.source("bench") as connection, pipeline.clickhouse() as clickhouse:
        destination = ClickHouseDestination(clickhouse, pipeline.catalog, names)
        projection = destination.projection(mapping)
        everything = sql.SQL("copy ({}) to stdout (format text)").format(live_rows(pipeline, mapping, projection))
        started = time.perf_counter()
        with take_snapshot(connection) as snapshot, snapshot.copy(everything) as blocks:
            clickhouse.insert_stream(names.table(mapping), [entry.name for entry in projection], blocks, {})
        seconds = time.perf_counter() - started
    return _Load(_arrived(pipeline), seconds, peak_memory())


def live_rows(pipeline: Pipeline, mapping: SyncMapping, projection: Sequence[ProjectedColumn]) -> sql.Composed:
    """Return one query for all rows of a mapping that exist, in all tenancies, with the mapping's joins."""
    return sql.SQL(
        "select {values} from {source} as source "
        "join {tenancies} as tenancy on tenancy.tenancy_id = {owner} "
        "cross join lateral (select {sequence} as sequence_id) as row_number {joins} where {filter}"
    ).format(
        values=joined(
            sql.SQL("{} as {}").format(expression(entry.live), sql.Identifier(entry.name)) for entry in projection
        ),
        source=table_name(mapping.source),
        tenancies=ours("tenancy"),
        owner=tenancy_value(mapping),
        sequence=column(pipeline.columns.sequence),
        joins=joined((join_clause(join) for join in mapping.joins), " "),
        filter=row_filter(mapping),
    )


def _arrived(pipeline: Pipeline) -> int:
    with pipeline.clickhouse() as clickhouse:
        view = pipeline.clickhouse_names.view(pipeline.catalog.mapping(_MAPPING))
        return clickhouse.query(f"select count() from {view}")[0][0]  # noqa: S608 -- our own name
