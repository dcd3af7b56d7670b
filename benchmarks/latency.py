"""How long a commit takes to become visible in ClickHouse, while the workers are up and the application writes.

A sequencer and a worker run in processes of their own. A writer in another keeps 500 changes a second going over 200
tenancies; beside it a probe signs up a user in one of them and asks ClickHouse for it until it is there, again and
again. All of it shares the machine, which is part of what is measured.
"""

import multiprocessing
import random
import time
import uuid
from collections.abc import Iterator
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event as ProcessEvent
from statistics import quantiles
from threading import Event
from typing import cast
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, install_clickhouse, install_source, settle
from benchmarks.row import Row, Target
from dbsync_pipeline import source
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import PassResult

_TENANCIES = 200
_USERS = 20_000
_CHANGES_PER_SECOND = 500
_SECONDS = 60
_WARM_UP_SECONDS = 5
_LONGEST_WAIT_SECONDS = 30
_FEWEST_PROBES = 2
_POLL_SECONDS = 0.02
_FOREVER = float("inf")
_DATABASE = "bench_latency"

_SIGN_UP = """
insert into "ProjectUser" (
    "tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt"
)
select "id", %s, "projectId", "branchId", 'Probe', now() from "Tenancy" where "id" = %s
"""

# A table of the application, the key of a row of it, and a column that copies show. Names of users and teams and
# addresses are shown beside other rows, too.
_CHANGES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("ProjectUser", ("tenancyId", "projectUserId"), "displayName"),
    ("ContactChannel", ("tenancyId", "projectUserId", "id"), "value"),
    ("Team", ("tenancyId", "teamId"), "displayName"),
    ("ProjectUserOAuthAccount", ("tenancyId", "id"), "providerAccountId"),
    ("EmailOutbox", ("tenancyId", "id"), "themeId"),
)


def run(bench: Bench) -> Iterator[Row]:
    """Measure for a while, after everything loaded first has arrived."""
    tenancies = bench.scaled(_TENANCIES, at_least=10)
    bench.say(f"commit to ClickHouse: {_CHANGES_PER_SECOND} changes/s over {tenancies} tenancies")
    pipeline = _loaded(bench, tenancies)
    spawning = multiprocessing.get_context("spawn")
    stop, written = spawning.Event(), spawning.Value("q")
    processes = [
        spawning.Process(target=_number, args=(pipeline, stop)),
        spawning.Process(target=_deliver, args=(pipeline, stop)),
        spawning.Process(target=_write, args=(pipeline, stop, written)),
    ]
    for process in processes:
        process.start()
    try:
        _probe(pipeline, bench.scaled(_WARM_UP_SECONDS))
        before, started = written.value, time.perf_counter()
        waits = _probe(pipeline, bench.scaled(_SECONDS))
        rate = (written.value - before) / (time.perf_counter() - started)
    finally:
        stop.set()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        raise AssertionError("a process failed; its error stands above")
    bench.drop(_DATABASE)
    percentiles = quantiles(waits, n=100, method="inclusive")
    for percent, target in ((50, 0.25), (95, None), (99, 1.0)):
        yield Row(
            name=f"commit_to_clickhouse_p{percent}",
            value=percentiles[percent - 1],
            unit="s",
            target=None if target is None else Target("value", "<=", target),
            contains=f"{len(waits)} probes, one after the other, beside {rate:,.0f} changes/s "
            f"in {len(_CHANGES)} tables and {tenancies} tenancies; a probe looks every {_POLL_SECONDS * 1000:.0f} ms.",
        )


def _loaded(bench: Bench, tenancies: int) -> Pipeline:
    """Return a pipeline at rest: everything numbered and delivered."""
    url = bench.database(_DATABASE)
    with source.session(url) as connection:
        create_schema(connection)
        generate(connection, DemoSize(tenancies=tenancies, users=bench.scaled(_USERS, at_least=400)))
    pipeline = bench.pipeline(url, _DATABASE)
    install_source(pipeline)
    install_clickhouse(pipeline)
    with pipeline.sequencer() as sequencer, pipeline.clickhouse_worker() as worker:
        sequencer.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=_expect_no_errors)
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=_expect_all_delivered)
    settle(url)
    return pipeline


def _number(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=_expect_no_errors)


def _deliver(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=_expect_all_delivered)


def _expect_no_errors(result: PassResult) -> None:
    if result.errors:
        raise AssertionError(f"the sequencer failed: {result.errors}")


def _expect_all_delivered(results: list[SyncResult]) -> None:
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")


def _write(pipeline: Pipeline, stop: ProcessEvent, written: "Synchronized[int]") -> None:
    """Change a row of every table per transaction, as often as makes the rate."""
    rng = random.Random(7)  # noqa: S311 -- which row comes next, not a secret
    with pipeline.source("bench writer") as connection:
        changes = [(_update(*change), _keys(connection, *change)) for change in _CHANGES]
        started = time.perf_counter()
        while not stop.is_set():
            ahead = written.value / _CHANGES_PER_SECOND - (time.perf_counter() - started)
            if ahead > 0:
                stop.wait(ahead)
            with connection.pipeline(), connection.transaction():
                for update, keys in changes:
                    connection.execute(update, [f"changed {uuid.uuid4()}", *rng.choice(keys)])
            written.value += len(changes)


def _keys(connection: psycopg.Connection, table: str, key: tuple[str, ...], _column: str) -> list[tuple[UUID, ...]]:
    names = sql.SQL(", ").join(map(sql.Identifier, key))
    return connection.execute(sql.SQL("select {} from {}").format(names, sql.Identifier(table))).fetchall()


def _update(table: str, key: tuple[str, ...], column: str) -> sql.Composed:
    return sql.SQL("update {} set {} = %s where {}").format(
        sql.Identifier(table),
        sql.Identifier(column),
        sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key),
    )


def _probe(pipeline: Pipeline, seconds: float) -> list[float]:
    """Sign a user up and wait until ClickHouse shows it, again and again; return how long each took, in seconds."""
    waits: list[float] = []
    view = pipeline.clickhouse_names.view(pipeline.catalog.mapping("users"))
    # The whole sorting key, so that looking costs next to nothing.
    question = (
        f"select 1 from {view} where project_id = {{project:String}} and branch_id = {{branch:String}} "  # noqa: S608 -- our own name
        "and tenancy_id = {tenancy:UUID} and id = {user:UUID}"
    )
    rng = random.Random(7)  # noqa: S311 -- which tenancy comes next, not a secret
    with pipeline.source("bench probe") as connection, pipeline.clickhouse() as clickhouse:
        tenancies = connection.execute('select "id", "projectId", "branchId" from "Tenancy"').fetchall()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(waits) < _FEWEST_PROBES:
            user_id = uuid.uuid4()
            tenancy_id, project_id, branch_id = rng.choice(tenancies)
            connection.execute(_SIGN_UP, [user_id, tenancy_id])
            committed = time.perf_counter()
            sought: dict[str, object] = {
                "project": project_id, "branch": branch_id, "tenancy": str(tenancy_id), "user": str(user_id)
            }  # fmt: skip
            while not clickhouse.query(question, sought):
                if time.perf_counter() - committed > _LONGEST_WAIT_SECONDS:
                    raise AssertionError(f"user {user_id} did not arrive within {_LONGEST_WAIT_SECONDS} s")
                time.sleep(_POLL_SECONDS)
            waits.append(time.perf_counter() - committed)
    return waits
