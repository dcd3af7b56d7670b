"""Carries rows from the source to a destination, the small deliveries of several mappings beside each other.

A session of Postgres reads one COPY at a time, while a destination may take many inserts at once, each of which costs
it mostly waiting. So what fits into one block is read and left to a thread, and the next mapping is read meanwhile;
what is larger streams through, so that memory stays flat. All threads have ended when the context ends. Where the
destination takes one delivery at a time, what fits into a block is kept until all of a turn can be sent together.
While a slow destination is waited for, the claims are kept.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from itertools import chain, islice

from dbsync_pipeline.destinations.base import Batch, Destination, Slice
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.tracing import span

_LOOK_AFTER_CLAIMS_SECONDS = 0.5


@dataclass(frozen=True)
class Sent:
    """What a delivery amounted to: bytes, and seconds from the beginning of the COPY to the acknowledgement."""

    bytes: int
    seconds: float


@dataclass(frozen=True)
class _Waiting:
    """A batch that waits for others, since when, and what will tell what became of it."""

    batch: Batch
    started: float
    sent: Future[Sent]


class Sender:
    """Sends the rows of one turn to one destination."""

    def __init__(
        self,
        destination: Destination,
        pool: ThreadPoolExecutor,
        keep: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._destination = destination
        self._pool = pool
        self._keep = keep
        self._clock = clock
        self._waiting: list[_Waiting] = []

    def send(
        self, mapping: SyncMapping, slices: Sequence[Slice], reading: AbstractContextManager[Iterator[bytes]]
    ) -> Future[Sent]:
        """Read the rows now, and return what `wait` will tell of whether they are durable, or why they are not.

        Args:
            mapping: whose rows they are.
            slices: what they are all the rows of.
            reading: opens the read, and says at its end whether it was whole.

        Raises:
            UnreachableError: the destination does not answer, as was seen at once.
        """
        self._keep()
        started = self._clock()
        sent: Future[Sent] = Future()
        try:
            # What streams is loaded while it is extracted.
            with span("extract", mapping=mapping.mapping_id), reading as blocks:
                first = list(islice(blocks, 2))
                if len(first) < 2:  # noqa: PLR2004 -- one block or none
                    total = None
                else:
                    self._send_together()
                    total = self._deliver(mapping, slices, chain(first, self._kept(blocks)), started)
        except UnreachableError:
            raise
        except Exception as error:  # noqa: BLE001 -- handed to whoever asks for the result
            sent.set_exception(error)
            return sent
        # Only now has the source said that these were all rows.
        if total is not None:
            sent.set_result(total)
        elif self._destination.deliveries_at_once > 1:
            # The thread's span belongs to the same turn.
            return self._pool.submit(copy_context().run, self._deliver, mapping, slices, iter(first), started)
        else:
            self._waiting.append(_Waiting(Batch(mapping, slices, b"".join(first)), started, sent))
        return sent

    def wait(self, sent: Future[Sent]) -> Sent:
        """Return what became of a delivery when it has ended, or raise its error."""
        self._send_together()
        while not wait([sent], _LOOK_AFTER_CLAIMS_SECONDS).done:
            self._keep()
        return sent.result()

    def _send_together(self) -> None:
        """Send the batches that wait for each other."""
        kept, self._waiting = self._waiting, []
        if not kept:
            return
        self._keep()
        with span("load", mappings=len(kept), pairs=sum(len(entry.batch.slices) for entry in kept)) as loading:
            together = self._destination.deliver_together([entry.batch for entry in kept])
            loading.set_attribute("dbsync.together", together)
        for entry in kept:
            batch = entry.batch
            try:
                if together:
                    entry.sent.set_result(Sent(len(batch.block), self._clock() - entry.started))
                else:
                    self._keep()
                    blocks = iter([batch.block] if batch.block else [])
                    entry.sent.set_result(self._deliver(batch.mapping, batch.slices, blocks, entry.started))
            except UnreachableError:
                raise
            except Exception as error:  # noqa: BLE001 -- handed to whoever asks for the result
                entry.sent.set_exception(error)

    def _kept(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._keep()
            yield block

    def _deliver(self, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes], started: float) -> Sent:
        """Deliver in one go; the source's own error comes before what it led to."""
        counted = _Counted(blocks)
        with span("load", mapping=mapping.mapping_id, pairs=len(slices)) as loading:
            try:
                self._destination.deliver(mapping, slices, iter(counted))
            except Exception as error:
                if counted.error is not None and counted.error is not error:
                    raise counted.error from error
                raise
            loading.set_attribute("dbsync.bytes", counted.bytes)
        return Sent(counted.bytes, self._clock() - started)


@contextmanager
def sending(
    destination: Destination, keep: Callable[[], None], clock: Callable[[], float] = time.monotonic
) -> Generator[Sender]:
    """Open a sender; at the end nothing is on its way any more.

    `keep` is called by the thread that sends, again and again.
    """
    with ThreadPoolExecutor(destination.deliveries_at_once, thread_name_prefix="deliver") as pool:
        try:
            yield Sender(destination, pool, keep, clock)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Counted:
    """Passes blocks on, counts their bytes, and keeps the source's error, which the destination's driver may wrap."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.bytes = 0
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for block in self._blocks:
                self.bytes += len(block)
                yield block
        except Exception as error:
            self.error = error
            raise
