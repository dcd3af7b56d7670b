"""How long a commit takes to become visible in the database of its tenancy's owner, while the application writes.

Each tenancy that has users has a database, its own on the one server; the same threads serve them as in a sync run.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event as ProcessEvent
from threading import Event
from typing import cast
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, generated_source, number_all, settle
from benchmarks.latency import measure
from benchmarks.live import expect_all_delivered, expect_all_served
from benchmarks.row import Row
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.pipeline import Pipeline

_TENANCIES = 200
_USERS = 20_000
_FOREVER = float("inf")
_DATABASE = "bench_external_latency"


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, after everything loaded first has arrived."""
    tenancies = bench.scaled(_TENANCIES, at_least=4)
    bench.say(f"commit to Postgres: {tenancies} tenancies")
    pipeline, names = _loaded(bench, tenancies)
    table = pipeline.external_tables.table(pipeline.catalog.mapping("users"))
    question = sql.SQL("select from {} where tenancy_id = %s and id = %s").format(table)
    turns = multiprocessing.get_context("spawn").Array("d", 3)
    with ExitStack() as stack:
        copies = {
            tenancy_id: stack.enter_context(
                psycopg.connect(bench.postgres.url(name), autocommit=True, application_name="bench looks")
            )
            for tenancy_id, name in names.items()
        }

        def looks(sought: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
            return {
                user_id
                for tenancy_id, user_id in sought
                if copies[tenancy_id].execute(question, [tenancy_id, user_id]).rowcount
            }

        yield from measure(
            "commit_to_postgres",
            bench=bench,
            pipeline=pipeline,
            deliver=partial(_deliver, turns),
            looks=looks,
            tenancies=list(copies),
            contains=f"{tenancies} tenancies, of which the {len(names)} that have users have a database each",
            targets={50: 0.25, 99: 1},
        )
    count, first, last = turns
    yield Row(
        name="commit_to_postgres_turns",
        value=count / (last - first),
        unit="turns/s",
        contains="Meanwhile and in the seconds before, a turn being one delivery to one database of all it lacks.",
    )
    bench.drop(_DATABASE, *names.values())


def _loaded(bench: Bench, tenancies: int) -> tuple[Pipeline, dict[UUID, str]]:
    """Return a pipeline at rest, everything numbered and delivered, and the name of each tenancy's database."""
    url = generated_source(bench, _DATABASE, DemoSize(tenancies=tenancies, users=bench.scaled(_USERS, at_least=400)))
    pipeline = bench.pipeline(url)
    names: dict[UUID, str] = {}
    with pipeline.source("bench") as connection:
        # One has none.
        chosen = connection.execute('select distinct "tenancyId" from "ProjectUser" order by 1')
        for number, (tenancy_id,) in enumerate(chosen.fetchall()):
            names[tenancy_id] = f"{_DATABASE}_{number}"
            connection.execute(
                "insert into dbsync.destination (tenancy_id, name, connection) values (%s, 'bench', %s)",
                [tenancy_id, bench.database(names[tenancy_id])],
            )
        number_all(pipeline)
        with pipeline.external_dispatcher(connection, expect_all_delivered) as dispatcher:
            dispatcher.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, note=expect_all_served)
    settle(url)
    return pipeline, names


def _deliver(turns: "SynchronizedArray[float]", pipeline: Pipeline, stop: ProcessEvent) -> None:
    """Deliver until the event is set, and note how many turns there were, and when the first and the last ended."""

    def report(results: list[SyncResult]) -> None:
        expect_all_delivered(results)
        with turns.get_lock():
            count, first, _ = turns
            turns[:] = [count + 1, first or time.perf_counter(), time.perf_counter()]

    with (
        pipeline.source("sync") as connection,
        pipeline.external_dispatcher(connection, report) as dispatcher,
    ):
        dispatcher.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, note=expect_all_served)
