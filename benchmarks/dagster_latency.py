"""How long a commit takes to become visible in ClickHouse where Dagster's runs number and deliver.

The whole of Dagster is started as `dbsync dev` does it: daemon, webserver and code server, and the runs that sensors
start. Runs are short here, so that each is followed by another within the time that is measured; by default they stay
for 15 minutes, and a run's start, some seconds of a processor, weighs less. All of it shares the machine.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.bench import Bench
from benchmarks.latency import SECONDS, TARGETS, WARM_UP_SECONDS, percentiles, size_of
from benchmarks.live import Deployment, loaded
from benchmarks.probes import clickhouse_looks, waits
from benchmarks.processor import MachineTime
from benchmarks.row import Row
from dbsync_pipeline.cli.local import environment_of
from dbsync_pipeline.defs.instance import write_dagster_home
from dbsync_pipeline.embedded.dagster import EmbeddedDagster

_RUN_SECONDS = 40
_DATABASE = "bench_dagster_latency"

_SESSIONS = """
select pid from pg_stat_activity where datname = current_database() and application_name = any(%s)
"""
_OF_THE_RUNS = ["dbsync sequencer", "dbsync sync queue"]
_LOOK_SECONDS = 0.2


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, and until all runs of the beginning have been followed by others."""
    size = size_of(bench)
    run_seconds = bench.scaled(_RUN_SECONDS, at_least=5)
    bench.say(f"commit to ClickHouse by Dagster's runs: {size.tenancies} tenancies")
    pipeline = loaded(bench, _DATABASE, size)
    variables = {**environment_of(pipeline.settings), "DBSYNC_RUN_SECONDS": str(run_seconds)}
    with tempfile.TemporaryDirectory(prefix="dbsync bench ") as home:
        write_dagster_home(Path(home))
        with (
            EmbeddedDagster(Path(home), variables) as dagster,
            clickhouse_looks(pipeline) as looks,
            pipeline.source("bench") as connection,
            Deployment(pipeline, None) as deployment,
        ):
            tenancies = [tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')]
            while len(_sessions(connection)) < len(_OF_THE_RUNS):
                dagster.require_alive()
                time.sleep(_LOOK_SECONDS)
            waits(pipeline, looks, tenancies, bench.scaled(WARM_UP_SECONDS))
            first = _sessions(connection)
            before, written, started = MachineTime.now(), deployment.written, time.perf_counter()
            found = waits(pipeline, looks, tenancies, bench.scaled(SECONDS))
            # At a scale at which nobody looks at the numbers, nobody waits for two runs more, either.
            while bench.rounds > 1 and first & _sessions(connection):
                found += waits(pipeline, looks, tenancies, 0)
            changes, seconds = deployment.written - written, time.perf_counter() - started
            busy = MachineTime.now().busy_since(before)
    bench.drop(_DATABASE)
    yield from percentiles(
        "commit_to_clickhouse_dagster",
        found,
        changes / seconds,
        contains=f"{size.tenancies} tenancies, by runs of {run_seconds} s, each followed by another in that time; the "
        f"longest took {max(found):.2f} s, and the processors were busy {busy:.0%} of the time",
        targets=TARGETS,
    )


def _sessions(connection: psycopg.Connection) -> set[int]:
    """Return who numbers and delivers: a run has sessions of its own."""
    return {pid for (pid,) in connection.execute(_SESSIONS, [_OF_THE_RUNS])}
