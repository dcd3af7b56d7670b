"""Stops the real sequencer and the real worker between any two of their steps.

Nothing is imitated: sessions, statements and inserts are the real ones. A wrapper around the session, and one around
the destination, only tell when a boundary is reached; who listens decides whether to go on, to wait, or to pull the
plug. Work that waits runs in a thread of its own, one thread at a time, so that every interleaving can be repeated.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Self, cast

import psycopg

from dbsync_pipeline import source
from dbsync_pipeline.destinations.base import Batch, Checkpoint, Destination, Pair, ProjectedColumn, Slice
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.destinations.configured import read_database
from dbsync_pipeline.destinations.postgres.destination import PostgresDestination
from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.engine.ahead import ReadAhead
from dbsync_pipeline.engine.cycle import Selection, SyncCycle
from dbsync_pipeline.engine.engine import Engine
from dbsync_pipeline.engine.gaps import Gaps
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pending.again import begin_again
from dbsync_pipeline.pending.queue import PendingQueue, RetryPolicy
from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline_tests.harness import External, Harness

DEADLINE_SECONDS = 30.0
_RETRY = RetryPolicy(0.000_001, 0.000_001)

Tell = Callable[[str], None]


def ignore(boundary: str) -> None:
    """Go on at every boundary."""


class Watched:
    """A session that tells before each statement, before each commit, and after it."""

    def __init__(self, connection: psycopg.Connection, tell: Tell) -> None:
        self._connection = connection
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any, **options: Any) -> psycopg.Cursor[Any]:
        self._tell("statement")
        return self._connection.execute(*arguments, **options)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        self._tell("cursor")
        return self._connection.cursor(*arguments, **options)

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Generator[psycopg.Transaction]:
        self._tell("begin")
        with self._connection.transaction(*arguments, **options) as transaction:
            yield transaction
            self._tell("commit")
        self._tell("committed")


class WatchedDestination(Destination):
    """A destination, telling before each call and after it; what is delivered has been read from the source by then."""

    def __init__(self, inner: Destination, tell: Tell) -> None:
        self.inner = inner
        self._tell = tell
        self.delivered: list[tuple[SyncMapping, Sequence[Slice], list[bytes]]] = []

    @property
    def destination_id(self) -> str:
        return self.inner.destination_id

    @property
    def copy_format(self) -> str:
        return self.inner.copy_format

    @property
    def rows_have_places(self) -> bool:
        return self.inner.rows_have_places

    def projection(self, mapping: SyncMapping) -> Sequence[ProjectedColumn]:
        return self.inner.projection(mapping)

    def checkpoints(self, pairs: Iterable[Pair]) -> dict[Pair, Checkpoint]:
        self._tell("checkpoints")
        return self.inner.checkpoints(pairs)

    def deliver(self, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]) -> None:
        self._tell("extract")
        bytes_of_old = list(blocks)
        self._tell("deliver")
        self.inner.deliver(mapping, slices, iter(bytes_of_old))
        self.delivered.append((mapping, slices, bytes_of_old))
        self._tell("delivered")

    def deliver_together(self, batches: Sequence[Batch]) -> bool:
        self._tell("extract")
        self._tell("deliver")
        together = self.inner.deliver_together(batches)
        if together:
            self.delivered += [(batch.mapping, batch.slices, [batch.block]) for batch in batches]
            self._tell("delivered")
        return together

    def record(self, slices: Iterable[Slice]) -> None:
        self._tell("record")
        self.inner.record(slices)
        self._tell("recorded")

    def refusal(self, mapping: SyncMapping, columns: Sequence[ProjectedColumn], blocks: Iterator[bytes]) -> str | None:
        return self.inner.refusal(mapping, columns, blocks)


class WatchedSequencer:
    """A sequencer on a session of its own."""

    def __init__(self, pipeline: Harness, *, batch_size: int = 5_000, tell: Tell = ignore) -> None:
        self.connection = source.connect(pipeline.url, application_name="test sequencer")
        # It promises not to wait for the application, so a wait is a failure.
        self.connection.execute("set lock_timeout = '3s'")
        watched = cast("psycopg.Connection", Watched(self.connection, tell))
        self.sequencer = Sequencer(watched, pipeline.catalog, pipeline.pipeline.columns, batch_size=batch_size)

    @property
    def sessions(self) -> list[int]:
        """Process ids of its backends."""
        return [self.connection.info.backend_pid]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()


class WatchedWorker:
    """A sync worker on sessions of its own."""

    def __init__(
        self,
        pipeline: Harness,
        *,
        chunk_rows: int = 250_000,
        batch_size: int = 2_000,
        selection: Selection | None = None,
        external: External | None = None,
        tell: Tell = ignore,
    ) -> None:
        self.reading = source.connect(pipeline.url, application_name="dbsync test worker")
        self.queueing = source.connect(pipeline.url, application_name="test worker queue")
        self.queueing.execute("set lock_timeout = '3s'")
        self._opened = ExitStack()
        reading = cast("psycopg.Connection", Watched(self.reading, tell))
        queueing = cast("psycopg.Connection", Watched(self.queueing, tell))
        self.destination = WatchedDestination(self._open(pipeline, external), tell)
        sweeping = (
            partial(pipeline.pipeline.sweep_clickhouse, pipeline.clickhouse)
            if external is None
            else partial(pipeline.pipeline.sweep_external, external.destination_id)
        )
        ahead = ReadAhead(partial(source.session, pipeline.url, application_name="test worker ahead"))
        engine = Engine(
            reading,
            pipeline.catalog,
            pipeline.pipeline.extractions,
            self.destination,
            Gaps(partial(sweeping, self.queueing)),
            ahead=self._opened.enter_context(ahead),
            chunk_rows=chunk_rows,
        )
        self.queue = PendingQueue(queueing, self.destination.destination_id, lease_seconds=60, retry=_RETRY)
        self.cycle = SyncCycle(self.queue, engine, self.destination, batch_size=batch_size, selection=selection)

    def _open(self, pipeline: Harness, external: External | None) -> Destination:
        if external is None:
            clickhouse = self._opened.enter_context(ClickHouse(pipeline.server.clickhouse.url))
            return ClickHouseDestination(clickhouse, pipeline.catalog, pipeline.names)
        inner = PostgresDestination(
            external.destination_id,
            partial(read_database, self.queueing, external.destination_id),
            KeptSessions(pipeline.pipeline.external_session, most=0, idle_seconds=0),
            pipeline.catalog,
            pipeline.pipeline.external_merges,
            begin_again=partial(begin_again, self.queueing, external.destination_id),
        )
        self._opened.callback(inner.close)
        return inner

    @property
    def sessions(self) -> list[int]:
        """Process ids of its backends."""
        return [self.reading.info.backend_pid, self.queueing.info.backend_pid]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reading.close()
        self.queueing.close()
        self._opened.close()


class Steps:
    """Work that runs one boundary at a time, in a thread that waits in between.

    `wait` is what the work has to be told to call. `boundary` is where it waits, None once it has ended; `error` is
    what it ended with.
    """

    def __init__(self) -> None:
        self.boundary: str | None = "start"
        self.error: BaseException | None = None
        self._result: Any = None
        self._free = True
        self._go = threading.Semaphore(0)
        self._there = threading.Semaphore(0)

    def start(self, work: Callable[[], object]) -> Self:
        """Begin; nothing of the work is done before the first `advance`."""
        self._free = False
        self._thread = threading.Thread(target=self._run, args=[work], daemon=True)
        self._thread.start()
        return self

    def _run(self, work: Callable[[], object]) -> None:
        self._go.acquire()
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that looks on.
            self.error = error
        self.boundary = None
        self._there.release()

    def wait(self, boundary: str) -> None:
        """Stop here until told to go on; called by the work itself."""
        if self._free:
            return
        self.boundary = boundary
        self._there.release()
        self._go.acquire()

    def advance(self) -> str | None:
        """Let it run to the next boundary, and return that."""
        if self.boundary is not None:
            last = self.boundary
            self._go.release()
            assert self._there.acquire(timeout=DEADLINE_SECONDS), f"stuck behind {last!r}"
        return self.boundary

    def until(self, boundary: str) -> None:
        """Let it run to the next boundary of that name."""
        while self.advance() != boundary:
            assert self.boundary is not None, f"ended before {boundary!r}: {self.error!r}"

    def finish(self) -> Any:
        """Let it run to its end; return its result or raise its error."""
        self._free = True
        self.advance()
        self._thread.join(DEADLINE_SECONDS)
        if self.error is not None:
            raise self.error
        return self._result

    def abandon(self) -> None:
        """Let it run to its end, whatever that is."""
        with suppress(Exception):
            self.finish()


def kill(pipeline: Harness, sessions: Iterable[int]) -> None:
    """End sessions as an administrator would, and wait until they are gone."""
    for session in sessions:
        pipeline.rows("select pg_terminate_backend(%s, 10000)", session)


def expire_leases(pipeline: Harness) -> None:
    """Let an hour pass, as far as leases can tell."""
    pipeline.admin.execute(
        "update dbsync.pending set lease_until = now() - interval '1 hour' where lease_until is not null"
    )


def stop_in_the_middle(pipeline: Harness, delete: Callable[[], None]) -> tuple[Steps, WatchedWorker]:
    """Stop a worker that has rows in its hands; they are deleted then, and another worker delivers that."""
    pipeline.sequence()
    work = Steps()
    worker = WatchedWorker(pipeline, tell=work.wait)
    work.start(worker.cycle.run_once)
    work.until("deliver")
    delete()
    pipeline.sequence()
    expire_leases(pipeline)
    pipeline.sync()
    return work, worker
