"""What a worker's death costs: lag over time under load, with the worker killed in the middle, and a picture of it.

The sequencer, the worker, its successor and the application are processes. The worker ends by SIGKILL, in whatever it
is doing; its successor is started as soon as it is gone and takes over its claims, whose leases would last for long.
"""

import time
from collections.abc import Iterator
from threading import Timer

from benchmarks.bench import Bench
from benchmarks.live import CHANGES_PER_SECOND, Deployment, deliver, loaded
from benchmarks.picture import draw
from benchmarks.probes import SIGN_UPS_PER_SECOND, clickhouse_looks, lags
from benchmarks.row import Row
from dbsync_pipeline.demo.generator import DemoSize

_SECONDS = 60
_WARM_UP_SECONDS = 5
_TENANCIES = 200
_USERS = 20_000
_DATABASE = "bench_takeover"


def run(bench: Bench) -> Iterator[Row]:
    """Sign users up all the time, and kill the worker at half time."""
    tenancies = bench.scaled(_TENANCIES, at_least=10)
    bench.say(f"takeover: {tenancies} tenancies")
    pipeline = loaded(bench, _DATABASE, DemoSize(tenancies=tenancies, users=bench.scaled(_USERS, at_least=400)))
    with (
        clickhouse_looks(pipeline) as looks,
        pipeline.source("bench") as connection,
        Deployment(pipeline, deliver) as deployment,
    ):
        everyone = [tenancy_id for (tenancy_id,) in connection.execute('select "id" from "Tenancy"')]
        warm = time.perf_counter() + bench.scaled(_WARM_UP_SECONDS)
        *_, last_of_warm_up = lags(pipeline, looks, everyone, lambda: time.perf_counter() < warm)
        killed_at = 0.0

        def kill() -> None:
            nonlocal killed_at
            killed_at = time.perf_counter()
            deployment.replace_worker()

        started = time.perf_counter()
        end = started + bench.scaled(_SECONDS)
        killing = Timer((end - started) / 2, kill)
        killing.start()
        found = lags(pipeline, looks, everyone, lambda: time.perf_counter() < end)
        killing.join()
    bench.drop(_DATABASE)
    if bench.pictures is not None:
        draw(bench.pictures / "lag.png", found, started=started, killed_at=killed_at)
    # Whatever had not arrived by then.
    after = [lag.seconds for lag in found if lag.committed + lag.seconds > killed_at]
    before = [lag.seconds for lag in found if lag.committed + lag.seconds <= killed_at]
    yield Row(
        name="takeover_longest_lag",
        value=max(after, default=0.0),
        unit="s",
        rival="the longest before the kill",
        rival_value=max(before, default=last_of_warm_up.seconds),
        contains=f"{len(found)} sign-ups, {SIGN_UPS_PER_SECOND} a second, beside {CHANGES_PER_SECOND} changes/s in "
        f"{tenancies} tenancies; the worker is killed in the middle, and its successor's start, about 2 s of a Python "
        "process, is part of it.",
    )
