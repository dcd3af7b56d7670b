"""A deployment at work, and how long a commit of its application takes to become visible in a copy.

A sequencer and the workers run in processes of their own. A writer in another keeps 500 changes a second going over
all tenancies; beside it a probe signs up a user in one of them and asks the copy for it until it is there, again and
again. All of it shares the machine, which is part of what is measured.
"""

import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event as ProcessEvent
from statistics import quantiles
from threading import Event
from typing import cast
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, expect_no_errors
from benchmarks.row import Row, Target
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.pipeline import Pipeline

_CHANGES_PER_SECOND = 500
_SECONDS = 60
_WARM_UP_SECONDS = 5
_LONGEST_WAIT_SECONDS = 30
_FEWEST_PROBES = 2
_POLL_SECONDS = 0.02
_FOREVER = float("inf")

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


Worker = Callable[[Pipeline, ProcessEvent], None]
"""Delivers until the event is set; a function of a module, as it runs in another process."""

Looks = Callable[[UUID, UUID], bool]
"""Tells whether a tenancy's copy shows a user."""


def measure(
    name: str,
    *,
    bench: Bench,
    pipeline: Pipeline,
    worker: Worker,
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
        worker: delivers to the copies.
        looks: the question a probe asks.
        tenancies: who is probed, in a random order.
        contains: whose rows change.
        targets: seconds by percentile.
    """
    spawning = multiprocessing.get_context("spawn")
    stop, written = spawning.Event(), spawning.Value("q")
    processes = [
        spawning.Process(target=_number, args=(pipeline, stop)),
        spawning.Process(target=worker, args=(pipeline, stop)),
        spawning.Process(target=_write, args=(pipeline, stop, written)),
    ]
    for process in processes:
        process.start()
    try:
        _probe(pipeline, looks, tenancies, bench.scaled(_WARM_UP_SECONDS))
        before, started = written.value, time.perf_counter()
        waits = _probe(pipeline, looks, tenancies, bench.scaled(_SECONDS))
        rate = (written.value - before) / (time.perf_counter() - started)
    finally:
        stop.set()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        raise AssertionError("a process failed; its error stands above")
    percentiles = quantiles(waits, n=100, method="inclusive")
    for percent in (50, 95, 99):
        yield Row(
            name=f"{name}_p{percent}",
            value=percentiles[percent - 1],
            unit="s",
            target=Target("value", "<=", targets[percent]) if percent in targets else None,
            contains=f"{len(waits)} probes, one after the other, beside {rate:,.0f} changes/s in "
            f"{len(_CHANGES)} tables and {contains}; a probe looks every {_POLL_SECONDS * 1000:.0f} ms.",
        )


def expect_all_delivered(results: list[SyncResult]) -> None:
    """Fail where a delivery has failed."""
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")


def _number(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=expect_no_errors)


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


def _probe(pipeline: Pipeline, looks: Looks, tenancies: Sequence[UUID], seconds: float) -> list[float]:
    """Sign a user up and wait until its copy shows it, again and again; return how long each took, in seconds."""
    waits: list[float] = []
    rng = random.Random(7)  # noqa: S311 -- which tenancy comes next, not a secret
    with pipeline.source("bench probe") as connection:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(waits) < _FEWEST_PROBES:
            user_id, tenancy_id = uuid.uuid4(), rng.choice(tenancies)
            connection.execute(_SIGN_UP, [user_id, tenancy_id])
            committed = time.perf_counter()
            while not looks(tenancy_id, user_id):
                if time.perf_counter() - committed > _LONGEST_WAIT_SECONDS:
                    raise AssertionError(f"user {user_id} did not arrive within {_LONGEST_WAIT_SECONDS} s")
                time.sleep(_POLL_SECONDS)
            waits.append(time.perf_counter() - committed)
    return waits
