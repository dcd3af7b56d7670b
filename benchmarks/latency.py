"""How long a commit takes to become visible in ClickHouse, while the workers are up and the application writes.

A sequencer and a worker run in processes of their own. One writer keeps 500 changes a second going over 200 tenancies;
beside it a probe commits a change of a row of its own and asks ClickHouse for it until it is there, again and again.
"""

import multiprocessing
import random
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event as ProcessEvent
from threading import Event, Thread
from typing import Any, cast

import psycopg

from benchmarks.bench import Bench, install_clickhouse, install_source
from benchmarks.row import Row, Target
from dbsync_pipeline import source
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.pipeline import Pipeline

_TENANCIES = 200
_USERS = 20_000
_CHANGES_PER_SECOND = 500
_SECONDS = 40
_LONGEST_WAIT_SECONDS = 60.0
_RENAME = 'update "ProjectUser" set "displayName" = %s where "tenancyId" = %s and "projectUserId" = %s'


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, once everything loaded first has arrived."""
    bench.say(f"commit_to_clickhouse: {_CHANGES_PER_SECOND} changes/s over {_TENANCIES} tenancies")
    pipeline = bench.pipeline(bench.database("bench_latency"))
    with pipeline.source("bench") as connection:
        create_schema(connection)
        generate(connection, DemoSize(tenancies=_TENANCIES, users=bench.scaled(_USERS, at_least=400)))
    install_clickhouse(pipeline)
    install_source(pipeline)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    workers = [context.Process(target=target, args=(pipeline, stop)) for target in (_sequence, _sync)]
    for worker in workers:
        worker.start()
    try:
        written, waits = _measure(pipeline, bench.scaled(_SECONDS, at_least=2))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    waits.sort()
    contains = f"{len(waits)} probes beside {written:,.0f} changes/s"
    for percent, target in ((50, 0.25), (95, None), (99, 1.0)):
        yield Row(
            name=f"commit_to_clickhouse_p{percent}",
            value=waits[min(len(waits) * percent // 100, len(waits) - 1)],
            unit="s",
            contains=contains,
            target=None if target is None else Target("value", "<=", target),
        )


def _sequence(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=cast("Event", stop), max_seconds=3600, idle_seconds=3600, report=lambda _result: None)


def _sync(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=cast("Event", stop), max_seconds=3600, idle_seconds=3600, report=lambda _results: None)


def _measure(pipeline: Pipeline, seconds: float) -> tuple[float, list[float]]:
    with pipeline.source("bench") as connection:
        users = connection.execute('select "tenancyId", "projectUserId" from "ProjectUser"').fetchall()
    # The first loads count for nobody: the probe's first change arrives behind them.
    _probe(pipeline, users[0], until=time.perf_counter())
    stop = Event()
    counted: list[int] = []
    writer = Thread(target=_write, args=(pipeline, users[1:], stop, counted))
    writer.start()
    started = time.perf_counter()
    try:
        waits = _probe(pipeline, users[0], until=started + seconds)
    finally:
        stop.set()
        writer.join()
    return len(counted) / (time.perf_counter() - started), waits


def _probe(pipeline: Pipeline, user: tuple[Any, ...], *, until: float) -> list[float]:
    """Commit and wait for it, at least once and until the time is up; return the seconds of each."""
    waits: list[float] = []
    view = pipeline.clickhouse_names.view(pipeline.catalog.mapping("users"))
    with pipeline.source("bench probe") as connection, pipeline.clickhouse() as clickhouse:
        while not waits or time.perf_counter() < until:
            name = f"probe {time.time_ns()}"
            connection.execute(_RENAME, [name, *user])
            committed = time.perf_counter()
            parameters = {"tenancy": str(user[0]), "id": str(user[1]), "name": name}
            question = (
                f"select count() from {view} where tenancy_id = {{tenancy:UUID}} "  # noqa: S608 -- our own name
                "and id = {id:UUID} and display_name = {name:String}"
            )
            while clickhouse.query(question, parameters) != [(1,)]:
                if time.perf_counter() - committed > _LONGEST_WAIT_SECONDS:
                    raise AssertionError("a change did not arrive within a minute")
                time.sleep(0.01)
            waits.append(time.perf_counter() - committed)
    return waits


def _write(pipeline: Pipeline, users: list[tuple[Any, ...]], stop: Event, counted: list[int]) -> None:
    rng = random.Random(7)  # noqa: S311 -- not a secret
    url = pipeline.settings.source_url.get_secret_value()
    with source.session(url, application_name="bench writer") as connection:
        # The writer stands for many sessions, whose commits would share a flush.
        connection.execute("set synchronous_commit = off")
        started = time.perf_counter()
        while not stop.is_set():
            ahead = len(counted) / _CHANGES_PER_SECOND - (time.perf_counter() - started)
            if ahead > 0:
                stop.wait(ahead)
            _rename(connection, rng, users)
            counted.append(1)


def _rename(connection: psycopg.Connection, rng: random.Random, users: list[tuple[Any, ...]]) -> None:
    connection.execute(_RENAME, [f"renamed {rng.random()}", *rng.choice(users)])
