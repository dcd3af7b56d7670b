"""Begins the next turn's read of a large load while this turn's is written.

Before the source gives the first row of a large slice it has counted the slice and built its joins; meanwhile the
destination would stand still, as the source would while the destination commits. So a second session, with a view of
its own, reads on from where this turn will end, until a block has come, and waits with it.

**Why an older view does no harm.** What was read ahead is what a worker would deliver whose turn began when the view
was taken: every row of the slice that was not changed since, and a change has a number beyond the slice (I1). It is
taken only by a turn whose own view has the slice begin in the same place, in the same epoch, and as much a first load;
whatever happened to the pair in between, another worker's claim included, changes one of them. In any other case, and
when it fails, a turn reads for itself.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.base import ResendError, Slice
from dbsync_pipeline.engine.chunks import Chunk
from dbsync_pipeline.engine.snapshot import Snapshot, take_snapshot
from dbsync_pipeline.errors import DbsyncError

logger = logging.getLogger(__name__)

_FAILURES = (psycopg.Error, DbsyncError)

Plan = Callable[[Snapshot], tuple[Chunk, sql.Composed] | None]
"""Says what to read in a view, and by which COPY; None when it holds nothing that is worth it."""


@dataclass(frozen=True)
class Ahead:
    """A read that has begun.

    Attributes:
        chunk: what is in it.
        blocks: its rows, as `Snapshot.copy` gives them, once; a `ResendError` when they cannot be read to their end.
    """

    chunk: Chunk
    blocks: Iterator[bytes]
    _session: ExitStack

    def begins(self, entry: Slice) -> bool:
        """Whether it is the beginning of a slice."""
        mine = self.chunk.slice
        return (mine.pair, mine.epoch, mine.after, mine.first) == (entry.pair, entry.epoch, entry.after, entry.first)

    def close(self) -> None:
        """End its session; whether its rows came was seen when they did."""
        with suppress(*_FAILURES):
            self._session.close()


class ReadAhead:
    """One worker's read ahead, one at a time.

    Args:
        connect: opens a session on the source, in autocommit mode; there is one for as long as a read is under way.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection]]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
        self._begun: Future[Ahead | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._thread.shutdown()

    def begin(self, plan: Plan) -> None:
        """Read in the background, for the turn after this one."""
        self.drop()
        self._begun = self._thread.submit(self._open, plan)

    @contextmanager
    def taken(self, slices: Sequence[Slice]) -> Generator[Ahead | None]:
        """Give what was read ahead, if any of the slices begins with it; its view lasts as long as the context."""
        ahead = self._finished()
        if ahead is None:
            yield None
            return
        with closing(ahead):
            if any(ahead.begins(entry) for entry in slices):
                yield ahead
                return
        yield None

    def drop(self) -> None:
        """Forget what was read ahead."""
        ahead = self._finished()
        if ahead is not None:
            ahead.close()

    def _finished(self) -> Ahead | None:
        begun, self._begun = self._begun, None
        try:
            return None if begun is None else begun.result()
        except _FAILURES as error:
            # The turn that reads for itself meets the same, or does not.
            logger.info("could not read ahead: %s", DbsyncError(str(error)).what)
            return None

    def _open(self, plan: Plan) -> Ahead | None:
        with ExitStack() as session:
            snapshot = session.enter_context(take_snapshot(session.enter_context(self._connect())))
            planned = plan(snapshot)
            if planned is None:
                return None
            chunk, statement = planned
            blocks = session.enter_context(snapshot.copy(statement))
            begun = list(islice(blocks, 1))
            return Ahead(chunk, _repeatable(chain(begun, blocks)), session.pop_all())


def _repeatable(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass blocks on; what ends them early is no fault of a row, mapping or destination."""
    try:
        yield from blocks
    except _FAILURES as error:
        raise ResendError from error
