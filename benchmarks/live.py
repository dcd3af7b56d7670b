"""A deployment at work: a sequencer, a worker and an application that writes, each in a process of its own.

The writer keeps 500 changes a second going over all tenancies. All of it shares the machine, which is part of what is
measured; `probes` asks how long a commit takes to become visible.
"""

import multiprocessing
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event as ProcessEvent
from threading import Event
from types import TracebackType
from typing import Self, cast
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, expect_no_errors, generated_source, install_clickhouse, number_all, settle
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.pipeline import Pipeline

CHANGES_PER_SECOND = 500
_FOREVER = float("inf")

# A table of the application, the key of a row of it, and a column that copies show. Names of users and teams and
# addresses are shown beside other rows, too.
CHANGES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("ProjectUser", ("tenancyId", "projectUserId"), "displayName"),
    ("ContactChannel", ("tenancyId", "projectUserId", "id"), "value"),
    ("Team", ("tenancyId", "teamId"), "displayName"),
    ("ProjectUserOAuthAccount", ("tenancyId", "id"), "providerAccountId"),
    ("EmailOutbox", ("tenancyId", "id"), "themeId"),
)

Work = Callable[..., None]
"""Takes a pipeline, an event that ends it, and more; a function of a module, as it runs in another process."""


@dataclass(frozen=True)
class _Member:
    process: BaseProcess
    stop: ProcessEvent


class Deployment:
    """What is at work while the context lasts.

    Args:
        pipeline: a deployment at rest.
        deliver: the worker; without one, whoever numbers and delivers has been started already.
        writing: whether the application writes, too.
    """

    def __init__(self, pipeline: Pipeline, deliver: Work | None, *, writing: bool = True) -> None:
        self._pipeline = pipeline
        self._deliver = deliver
        self._writing = writing
        self._spawning = multiprocessing.get_context("spawn")
        self._written = self._spawning.Value("q")
        self._members: dict[str, _Member] = {}

    def __enter__(self) -> Self:
        if self._deliver is not None:
            self._start("sequencer", _number)
            self._start("worker", self._deliver)
        if self._writing:
            self._start("writer", _write, self._written)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members.values():
            member.stop.set()
        for member in self._members.values():
            member.process.join()
        if kind is None and any(member.process.exitcode for member in self._members.values()):
            raise AssertionError("a process failed; its error stands above")

    @property
    def written(self) -> int:
        """How many rows the writer has changed."""
        return self._written.value

    @property
    def pids(self) -> dict[str, int]:
        """The processes by what they do."""
        return {name: member.process.pid or 0 for name, member in self._members.items()}

    def replace_worker(self) -> None:
        """Kill the worker, as a crash would, and start its successor once it is gone."""
        assert self._deliver is not None
        killed = self._members["worker"].process
        killed.kill()
        killed.join()
        self._start("worker", self._deliver)

    def _start(self, name: str, work: Work, *arguments: object) -> None:
        # Each has an event of its own, as one that is killed may leave its event locked.
        stop = self._spawning.Event()
        process = self._spawning.Process(target=work, args=(self._pipeline, stop, *arguments))
        self._members[name] = _Member(process, stop)
        process.start()


def loaded(bench: Bench, database: str, size: DemoSize) -> Pipeline:
    """Return a pipeline at rest: everything numbered and delivered to ClickHouse."""
    url = generated_source(bench, database, size)
    pipeline = bench.pipeline(url, database)
    install_clickhouse(pipeline)
    number_all(pipeline)
    deliver_all(pipeline)
    settle(url)
    return pipeline


def deliver_all(pipeline: Pipeline) -> None:
    """Deliver everything that waits for ClickHouse."""
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=expect_all_delivered)


def deliver(pipeline: Pipeline, stop: ProcessEvent) -> None:
    """Deliver to ClickHouse until the event is set."""
    with pipeline.clickhouse_worker() as worker:
        worker.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=expect_all_delivered)


def expect_all_delivered(results: list[SyncResult]) -> None:
    """Fail where a delivery has failed."""
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")


def expect_all_served(line: str) -> None:
    """Fail where the dispatcher has something to say about a database."""
    raise AssertionError(f"a database could not be served: {line}")


def _number(pipeline: Pipeline, stop: ProcessEvent) -> None:
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=cast("Event", stop), max_seconds=_FOREVER, idle_seconds=_FOREVER, report=expect_no_errors)


def _write(pipeline: Pipeline, stop: ProcessEvent, written: "Synchronized[int]") -> None:
    """Change a row of every table per transaction, as often as makes the rate."""
    rng = random.Random(7)  # noqa: S311 -- which row comes next, not a secret
    with pipeline.source("bench writer") as connection:
        changes = [(_update(*change), _keys(connection, *change)) for change in CHANGES]
        started = time.perf_counter()
        while not stop.is_set():
            ahead = written.value / CHANGES_PER_SECOND - (time.perf_counter() - started)
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
