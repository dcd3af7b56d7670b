"""What a pipeline costs that has nothing to do: statements and time per tick, with many tenancies and with few.

Everything is numbered, and every pending row has reached what it wants. A tick is what a loop does between two pauses.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median

from benchmarks.bench import Bench, generated_source, number_all, settle
from benchmarks.row import Row, Target
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.pipeline import Pipeline

_MANY_TENANCIES = 10_000
_FEW_TENANCIES = 10
_TICKS = 200

Tick = Callable[[], object]
Loop = Callable[[Pipeline], AbstractContextManager[Tick]]


def run(bench: Bench) -> Iterator[Row]:
    """Let both loops tick over both databases."""
    many = bench.scaled(_MANY_TENANCIES, at_least=_FEW_TENANCIES)
    bench.say(f"idle: {many:,} tenancies, and {_FEW_TENANCIES}")
    busy = _at_rest(bench, "bench_idle_many", many)
    small = _at_rest(bench, "bench_idle_few", _FEW_TENANCIES)
    for name, loop in (("sequencer", _sequencer), ("worker", _worker)):
        value, rival = _tick_milliseconds(loop, busy), _tick_milliseconds(loop, small)
        yield Row(
            name=f"idle_{name}_statements",
            value=_statements_per_tick(loop, busy),
            unit="statements",
            target=Target("value", "<=", 1),
            contains=f"Transactions per tick of an idle {name} with {many:,} tenancies, each a single statement.",
        )
        yield Row(
            name=f"idle_{name}_tick",
            value=value,
            unit="ms",
            rival=f"the same with {_FEW_TENANCIES} tenancies",
            rival_value=rival,
            ratio=value / rival,
            contains=f"Median time of {_TICKS} ticks of an idle {name} with {many:,} tenancies, its pauses left out.",
        )
    bench.drop("bench_idle_many", "bench_idle_few")


def _at_rest(bench: Bench, database: str, tenancies: int) -> Pipeline:
    url = generated_source(bench, database, DemoSize(tenancies=tenancies, users=tenancies * 2, users_only=True))
    pipeline = bench.pipeline(url)
    number_all(pipeline)
    with pipeline.source("bench") as connection:
        connection.execute("update dbsync.pending set reached = wanted")
    settle(url)
    return pipeline


@contextmanager
def _sequencer(pipeline: Pipeline) -> Generator[Tick]:
    with pipeline.sequencer() as sequencer:
        yield sequencer.run_pass


@contextmanager
def _worker(pipeline: Pipeline) -> Generator[Tick]:
    with pipeline.clickhouse_worker() as worker:
        yield worker.run_once


def _tick_milliseconds(loop: Loop, pipeline: Pipeline) -> float:
    times: list[float] = []
    with loop(pipeline) as tick:
        for _ in range(_TICKS):
            started = time.perf_counter()
            tick()
            times.append(time.perf_counter() - started)
    return median(times) * 1000


def _statements_per_tick(loop: Loop, pipeline: Pipeline) -> float:
    """Compare the server's own count over a loop that ticks with that over one that does not.

    The server's housekeeping may commit a few times meanwhile, which the rounding takes away.
    """
    return round((_transactions(loop, pipeline, _TICKS) - _transactions(loop, pipeline, 0)) / _TICKS, 1)


def _transactions(loop: Loop, pipeline: Pipeline, ticks: int) -> int:
    before = _committed(pipeline)
    with loop(pipeline) as tick:
        for _ in range(ticks):
            tick()
    # The sessions are closed, which has made them report.
    return _committed(pipeline) - before


def _committed(pipeline: Pipeline) -> int:
    with pipeline.source("bench") as connection:
        row = connection.execute(
            "select xact_commit from pg_stat_database where datname = current_database()"
        ).fetchone()
    assert row is not None
    return row[0]
