"""How fast a first load of users reaches ClickHouse: the engine beside a bare pipe of the same query.

The pipe is what is left without checkpoints, slices, pending work and tombstones: one COPY of the mapping's columns for
all tenancies, streamed into one INSERT over the same client. The worker runs in a process of its own, whose memory at
its highest is a row of the result.
"""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from statistics import median
from threading import Event

from psycopg import sql

from benchmarks.bench import Bench, install_clickhouse, install_source, settle
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline import source
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline.mappings.relation import column, expression, join_clause, joined, table_name
from dbsync_pipeline.pipeline import Pipeline

_USERS = 1_000_000
_TENANCIES = 4
_MAPPING = "users"


def run(bench: Bench) -> Iterator[Row]:
    """Measure both sides in turn, each into an empty table."""
    size = DemoSize(tenancies=_TENANCIES, users=bench.scaled(_USERS, at_least=200), users_only=True)
    bench.say(f"first_load: {size.users:,} users, each with an e-mail address, get their numbers")
    pipeline = bench.pipeline(bench.database("bench_load"))
    _prepare(pipeline, size)
    peaks: list[int] = []

    def ours(_round: int) -> float:
        install_clickhouse(pipeline)
        with pipeline.source("bench") as connection:
            connection.execute("update dbsync.pending set reached = 0")
        with multiprocessing.get_context("spawn").Pool(1) as processes:
            seconds, peak = processes.apply(_load, (pipeline,))
        peaks.append(peak)
        return size.users / seconds

    def rival(_round: int) -> float:
        install_clickhouse(pipeline)
        return size.users / _pipe(pipeline)

    bench.say("first_load: measuring")
    mine, theirs = in_turn(ours, rival, bench.rounds)
    yield Row(
        name="first_load_clickhouse",
        value=median(mine),
        unit="rows/s",
        contains=f"{size.users:,} users of {_TENANCIES} tenancies with e-mail join, from claim to checkpoint",
        rival="bare COPY | INSERT",
        rival_value=median(theirs),
        ratio=median_ratio(mine, theirs),
        target=Target("ratio", ">=", 0.8),
    )
    yield Row(
        name="memory_worker",
        value=max(peaks) / 1024,
        unit="MB",
        contains="resident memory of that worker's process at its highest",
        target=Target("value", "<=", 300),
    )


def _prepare(pipeline: Pipeline, size: DemoSize) -> None:
    url = pipeline.settings.source_url.get_secret_value()
    with source.session(url) as connection:
        create_schema(connection)
        generate(connection, size)
    install_source(pipeline)
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=Event(), max_seconds=3600, idle_seconds=0, report=lambda _result: None)
    settle(url)


def _load(pipeline: Pipeline) -> tuple[float, int]:
    """Return the seconds that the load took, and the process's peak memory in kilobytes."""
    with pipeline.clickhouse_worker(Selection(mappings=[_MAPPING])) as worker:
        started = time.perf_counter()
        while results := worker.run_once():
            for result in results:
                if result.delivery.error is not None:
                    raise AssertionError(result.delivery.error)
        seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _pipe(pipeline: Pipeline) -> float:
    mapping = pipeline.catalog.mapping(_MAPPING)
    with pipeline.source("bench pipe") as connection, pipeline.clickhouse() as clickhouse:
        destination = ClickHouseDestination(clickhouse, pipeline.catalog, pipeline.clickhouse_names)
        projection = destination.projection(mapping)
        statement = sql.SQL(
            "copy (select {values} from {table} as source "
            "join dbsync.tenancy as tenancy on tenancy.tenancy_id = source.{owner} "
            "cross join lateral (select {sequence} as sequence_id) as row_number {joins}) to stdout"
        ).format(
            values=joined(expression(entry.live) for entry in projection),
            table=table_name(mapping.source),
            owner=sql.Identifier(mapping.tenancy.column or ""),
            sequence=column(pipeline.columns.sequence),
            joins=joined((join_clause(join) for join in mapping.joins), " "),
        )
        started = time.perf_counter()
        destination.deliver(mapping, [], Snapshot(connection, 0).copy(statement))
        return time.perf_counter() - started
