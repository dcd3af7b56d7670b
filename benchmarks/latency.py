"""How long a commit takes to become visible in ClickHouse, while the workers are up and the application writes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import quantiles
from uuid import UUID

from benchmarks.bench import Bench
from benchmarks.live import CHANGES, Deployment, Work, deliver, loaded
from benchmarks.probes import POLL_SECONDS, Looks, clickhouse_looks, waits
from benchmarks.processor import seconds_used
from benchmarks.row import Row, Target
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.pipeline import Pipeline

SECONDS = 60
WARM_UP_SECONDS = 5
TARGETS = {50: 0.25, 99: 1.0}
_TENANCIES = 200
_USERS = 20_000
_DATABASE = "bench_latency"


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, after everything loaded first has arrived."""
    size = size_of(bench)
    tenancies = size.tenancies
    bench.say(f"commit to ClickHouse: {tenancies} tenancies")
    pipeline = loaded(bench, _DATABASE, size)
    with clickhouse_looks(pipeline) as looks, pipeline.source("bench") as connection:
        yield from measure(
            "commit_to_clickhouse",
            bench=bench,
            pipeline=pipeline,
            deliver=deliver,
            looks=looks,
            tenancies=[tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')],
            contains=f"{tenancies} tenancies",
            targets=TARGETS,
        )
    bench.drop(_DATABASE)


def size_of(bench: Bench) -> DemoSize:
    """Return what is at rest when measuring begins."""
    return DemoSize(tenancies=bench.scaled(_TENANCIES, at_least=10), users=bench.scaled(_USERS, at_least=400))


def measure(
    name: str,
    *,
    bench: Bench,
    pipeline: Pipeline,
    deliver: Work,
    looks: Looks,
    tenancies: Sequence[UUID],
    contains: str,
    targets: Mapping[int, float],
) -> Iterator[Row]:
    """Keep everything running, sign users up in some tenancies, and return how long their copies took to show them.

    Args:
        name: what the rows are called, before the percentile.
        bench: decides for how long.
        pipeline: a deployment at rest.
        deliver: delivers to the copies.
        looks: the question a probe asks.
        tenancies: who is probed, in a random order.
        contains: whose rows change.
        targets: seconds by percentile.
    """
    with Deployment(pipeline, deliver) as deployment:
        waits(pipeline, looks, tenancies, bench.scaled(WARM_UP_SECONDS))
        used, written, started = seconds_used(pipeline, deployment.pids), deployment.written, time.perf_counter()
        found = waits(pipeline, looks, tenancies, bench.scaled(SECONDS))
        changes, seconds = deployment.written - written, time.perf_counter() - started
        used = {who: now - used.get(who, 0) for who, now in seconds_used(pipeline, deployment.pids).items()}
    yield from percentiles(name, found, changes / seconds, contains=contains, targets=targets)
    thousands = max(changes, 1) / 1000
    ours = {who: value / thousands for who, value in used.items() if "bench" not in who and who != "writer"}
    shares = ", ".join(f"{who} {value:.2f}" for who, value in sorted(ours.items(), key=lambda share: -share[1]))
    yield Row(
        name=f"{name}_processor",
        value=sum(ours.values()),
        unit="s",
        contains=f"Processor seconds per 1,000 changes meanwhile, the writer and its session left out: {shares}.",
    )


def percentiles(
    name: str, found: Sequence[float], changes_per_second: float, *, contains: str, targets: Mapping[int, float]
) -> Iterator[Row]:
    """Return what the probes have found; the arguments are those of `measure`."""
    cuts = quantiles(found, n=100, method="inclusive")
    for percent in (50, 95, 99):
        yield Row(
            name=f"{name}_p{percent}",
            value=cuts[percent - 1],
            unit="s",
            target=Target("value", "<=", targets[percent]) if percent in targets else None,
            contains=f"{len(found)} probes, one after the other, beside {changes_per_second:,.0f} changes/s in "
            f"{len(CHANGES)} tables and {contains}; a probe looks every {POLL_SECONDS * 1000:.0f} ms.",
        )
