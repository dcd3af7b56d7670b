"""How long the databases take to prove that a mapping's copy equals its source, and to find one row that does not.

The copy is delivered by a worker before. What is timed is a whole verification of the mapping, from the first query to
the result: with nothing to find, each database reads every row once; with one altered value, it narrows down to it.
"""

import time
from collections.abc import Iterator
from statistics import median
from threading import Event

from benchmarks.bench import Bench, generated_source, install_clickhouse, number_all, settle
from benchmarks.row import Row, Target
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.rounds import Choice, verify

_USERS = 1_000_000
_TENANCIES = 5
_MAPPING = "users"
_DATABASE = "bench_verify"


def run(bench: Bench) -> Iterator[Row]:
    """Verify an equal copy, then one with an altered value."""
    size = DemoSize(tenancies=_TENANCIES, users=bench.scaled(_USERS, at_least=1_000), users_only=True)
    bench.say(f"verify: a copy of {size.users:,} users")
    url = generated_source(bench, _DATABASE, size)
    pipeline = bench.pipeline(url, _DATABASE)
    number_all(pipeline)
    settle(url)
    install_clickhouse(pipeline)
    with pipeline.clickhouse_worker(Selection(mappings=[_MAPPING])) as worker:
        worker.run(stop=Event(), max_seconds=float("inf"), idle_seconds=0, report=lambda _results: None)
    bench.say("verify: measuring")
    equal = [_seconds(pipeline, rows=size.users, differing=0) for _ in range(bench.rounds)]
    _alter_one(pipeline)
    altered = [_seconds(pipeline, rows=size.users, differing=1) for _ in range(bench.rounds)]
    bench.drop(_DATABASE)
    contents = f"{size.users:,} users of {_TENANCIES} tenancies with their primary e-mail addresses, in ClickHouse"
    yield Row(
        name="verify",
        value=median(equal),
        unit="s",
        target=Target("value", "<=", 5),
        contains=f"{contents}, compared by count and checksum, one database after the other.",
    )
    yield Row(
        name="verify_one_altered",
        value=median(altered),
        unit="s",
        contains=f"{contents}, one value of which is altered: until its tenancy, key and column are known.",
    )


def _alter_one(pipeline: Pipeline) -> None:
    table = pipeline.clickhouse_names.table(pipeline.catalog.mapping(_MAPPING))
    with pipeline.clickhouse() as clickhouse:
        clickhouse.execute(
            f"insert into {table} select * replace (concat(display_name, '.') as display_name) "  # noqa: S608 -- our own name
            f"from {table} final order by sync_sequence_id limit 1"
        )


def _seconds(pipeline: Pipeline, *, rows: int, differing: int) -> float:
    started = time.perf_counter()
    (found,) = verify(pipeline, Choice(mappings=[_MAPPING], destinations=[CLICKHOUSE]))
    seconds = time.perf_counter() - started
    if (found.source_rows, found.differing) != (rows, differing):
        raise AssertionError(f"not {rows} rows of which {differing} differ: {found}")
    return seconds
