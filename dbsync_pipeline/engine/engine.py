"""Delivers what is pending, for a batch of tenancies and their mappings, from one snapshot of the source.

What is right is decided here and nowhere else: a slice ends where the snapshot's order is complete (I1), begins at the
destination's own checkpoint (I5), and is marked delivered only after the destination has said that it is durable. When
a batch fails because of a row, it is cut in halves until the failing tenancy stands alone, so that the others are
delivered in the same cycle (I8).
"""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.base import (
    BINARY,
    Checkpoint,
    Destination,
    Pair,
    ResendError,
    Slice,
    SupersededError,
)
from dbsync_pipeline.engine.ahead import Ahead, ReadAhead
from dbsync_pipeline.engine.chunks import LARGE_ROWS, Chunk, large_left, smallest_first
from dbsync_pipeline.engine.diagnosis import describe_failure
from dbsync_pipeline.engine.extraction import Extractions, parameters
from dbsync_pipeline.engine.gaps import Gaps
from dbsync_pipeline.engine.replica import Replica
from dbsync_pipeline.engine.sending import Sender, Sent, sending
from dbsync_pipeline.engine.snapshot import Snapshot, take_snapshot
from dbsync_pipeline.engine.throttle import Throttle
from dbsync_pipeline.engine.turns import FIRST_ROWS, TurnSize
from dbsync_pipeline.errors import (
    DbsyncError,
    IncompatibleTargetError,
    NotInstalledError,
    RefusedForNowError,
    UnreachableError,
)
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import check_installed, require_installed
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.tracing import span

logger = logging.getLogger(__name__)

GiveBack = Callable[[Collection[Pair]], None]
"""Takes pairs of which nothing was sent."""

_FEW_ROWS = 20
"""Up to so many are read by a prepared query, which spares them a plan; all are held, and a row may be large."""

_LEAST_SHARE = 1_000
"""Up to so many rows each of the pairs that a turn may deliver is measured, however many there are."""


@dataclass(frozen=True)
class Delivery:
    """What became of one pair in one cycle.

    Attributes:
        after: sequence id it started above.
        reached: sequence id up to which it is durable now.
        upserted: live rows delivered.
        deleted: tombstones delivered.
        bytes_sent: its share of what was sent, by rows, where several tenancies went together.
        seconds: how long the delivery it was part of took.
        complete: nothing of what the snapshot held is left.
        error: why nothing was delivered; then `reached` is `after`.
        passes: the error is of a table or database that cannot be written now, whatever the rows.
    """

    pair: Pair
    after: int
    reached: int
    upserted: int = 0
    deleted: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    complete: bool = True
    error: str | None = None
    passes: bool = False


_Entry = TypeVar("_Entry", Slice, Chunk)


def _failed(mapping: SyncMapping, slices: Sequence[Slice], error: Exception) -> list[Delivery]:
    cause = error if isinstance(error, DbsyncError) else DbsyncError(str(error))
    message = f"mapping {mapping.mapping_id}: {cause}"
    passes = isinstance(error, RefusedForNowError)
    return [
        Delivery(entry.pair, entry.after, entry.after, complete=False, error=message, passes=passes) for entry in slices
    ]


def _arrived(chunks: Sequence[Chunk], sent: Sent) -> Iterator[tuple[Chunk, Delivery]]:
    rows = sum(chunk.rows for chunk in chunks)
    for chunk in chunks:
        yield (
            chunk,
            Delivery(
                chunk.slice.pair,
                chunk.slice.after,
                chunk.slice.upto,
                upserted=chunk.live,
                deleted=chunk.dead,
                bytes_sent=sent.bytes * chunk.rows // rows,
                seconds=sent.seconds,
                complete=chunk.complete,
            ),
        )


def _in_company(chosen: Sequence[Chunk]) -> bool:
    """Whether small changes go with a turn."""
    return any(chunk.rows and not chunk.large for chunk in chosen)


@dataclass
class _Turn:
    """What one turn reads by, and sends by."""

    snapshot: Snapshot
    ahead: Ahead | None
    sender: Sender

    def ahead_apart(self, chunks: list[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
        """Tell the chunk that was read ahead, which goes by itself, from the others."""
        begun = [chunk for chunk in chunks if self.ahead is not None and chunk == self.ahead.chunk]
        return begun, [chunk for chunk in chunks if chunk not in begun]

    def take_ahead(self, chunks: Sequence[Chunk]) -> Iterator[bytes] | None:
        """Return the rows of chunks if they were read ahead; only once, as a second attempt reads them itself."""
        if self.ahead is None or list(chunks) != [self.ahead.chunk]:
            return None
        blocks, self.ahead = self.ahead.blocks, None
        return blocks


class Engine:
    """Delivers to one destination; owns neither the source session nor the destination.

    Where the session is one of a replica, `replica` keeps it up to the claims. A turn delivers fewer rows than a chunk
    where a throttle allows fewer.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        catalog: Catalog,
        extractions: Extractions,
        destination: Destination,
        gaps: Gaps,
        *,
        ahead: ReadAhead,
        chunk_rows: int,
        first_rows: int = FIRST_ROWS,
        clock: Callable[[], float] = time.monotonic,
        replica: Replica | None = None,
        throttles: Sequence[Throttle] = (),
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._extractions = extractions
        self._destination = destination
        self._gaps = gaps
        self._ahead = ahead
        self._size = TurnSize(most=chunk_rows, least=LARGE_ROWS, first=first_rows)
        self._clock = clock
        self._replica = replica
        self._throttles = throttles

    def sync(
        self,
        epochs: dict[Pair, int],
        give_back: GiveBack = lambda _pairs: None,
        keep: Callable[[], None] = lambda: None,
    ) -> tuple[list[Delivery], int]:
        """Deliver the next chunk of every pair, smallest chunks first, until a turn's rows are delivered.

        Large loads therefore take many turns, between which small changes pass, and memory, the age of a snapshot and
        the time under a lease stay bounded.

        Args:
            epochs: the pairs to deliver, and the epoch each is in.
            give_back: takes pairs that this turn leaves to others, before it delivers the rest.
            keep: keeps the others away from the rest; called often while that is delivered, by this thread.

        Returns:
            What became of each pair, without those that have to wait for another turn; and the sequence id up to
            which the source was complete.

        Raises:
            UnreachableError: the destination or the source does not answer; nothing was marked as delivered.
            NotInstalledError: source or destination lack what `dbsync init` makes.
        """
        with span("sync", destination=self._destination.destination_id, pairs=len(epochs)) as turn:
            deliveries, complete_up_to = self._sync(epochs, give_back, keep)
            said = {
                "destination": self._destination.destination_id,
                "pairs": len(deliveries),
                "rows": sum(delivery.upserted + delivery.deleted for delivery in deliveries),
                "failed": sum(delivery.error is not None for delivery in deliveries),
            }
            turn.set_attributes({f"dbsync.{name}": said[name] for name in ("rows", "failed")})
        logger.info("delivered", extra=said)
        return deliveries, complete_up_to

    def _sync(
        self, epochs: dict[Pair, int], give_back: GiveBack, keep: Callable[[], None]
    ) -> tuple[list[Delivery], int]:
        began = self._clock()
        if self._replica is not None:
            self._replica.catch_up()
        require_installed(self._connection, self._catalog)
        # Before the view is taken: whatever a destination holds by the checkpoint that is moved from here is in it.
        checkpoints = self._destination.checkpoints(epochs)
        with take_snapshot(self._connection) as snapshot:
            # A changed mapping begins a new epoch; nobody may deliver its old form into that.
            check_installed(snapshot.installed, self._catalog)
            slices, deliveries = self._slices(epochs, checkpoints, snapshot)
            allowances = [throttle.take(self._size.most) for throttle in self._throttles]
            most = min([self._size.most, *allowances])
            rows = min(self._size.rows, most)
            with self._ahead.taken(slices) as ahead:
                chunks, waiting, failed = self._cut(slices, ahead, snapshot, rows)
                chosen = smallest_first(chunks, rows, most=most)
                # By pair, of which each has one chunk: to compare those of 1,000 pairs with each other took 0.3 s.
                going = {chunk.slice.pair for chunk in chosen}
                waiting += [chunk.slice for chunk in chunks if chunk.slice.pair not in going]
                left = large_left(chosen, waiting)
                # What is read ahead of the next turn is kept for it; other workers may have the rest meanwhile.
                give_back([entry.pair for entry in waiting if entry is not left])
                for throttle, allowance in zip(self._throttles, allowances, strict=True):
                    throttle.settle(allowance, sum(chunk.rows for chunk in chosen))
                deliveries += failed
                delivered: list[Slice] = []
                with sending(self._destination, keep, self._clock) as sender:
                    for chunk, delivery in self._deliver(chosen, left, _Turn(snapshot, ahead, sender)):
                        deliveries.append(delivery)
                        if delivery.error is None:
                            delivered.append(chunk.slice)
                with span("checkpoint", pairs=len(delivered)):
                    self._destination.record(delivered)
        if waiting or not all(chunk.complete for chunk in chosen):
            self._size.note(sum(chunk.rows for chunk in chosen), self._clock() - began, company=_in_company(chosen))
        return deliveries, snapshot.complete_up_to

    def rest(self) -> None:
        """Keep nothing open between turns, as there is nothing to do for now."""
        self._ahead.drop()

    def _cut(
        self, slices: list[Slice], ahead: Ahead | None, snapshot: Snapshot, rows: int
    ) -> tuple[list[Chunk], list[Slice], list[Delivery]]:
        """Return chunks enough for a turn, the slices that were not measured for it, and what could not be cut.

        What that reads does not grow with how much waits: all slices are measured up to an even share of the turn, and
        of those that hold more, one after the other, until there is enough. They come in no order, so that none has to
        wait until another is over, however large that is.
        """
        uncut = [entry for entry in slices if ahead is None or not ahead.begins(entry)]
        share = min(rows, max(rows // max(1, len(uncut)), _LEAST_SHARE))
        measured, failed = self._measure(uncut, snapshot, share)
        larger = {chunk.slice.pair for chunk in measured if share < rows and not chunk.complete}
        chunks = [chunk for chunk in measured if chunk.slice.pair not in larger]
        if ahead is not None:
            chunks.append(ahead.chunk)
        waiting = [entry for entry in uncut if entry.pair in larger]
        random.shuffle(waiting)
        # What is read ahead comes at once, and so will another part in the next turn; this one need not be full.
        enough = rows if ahead is None else rows // 2
        while waiting and sum(chunk.rows for chunk in chunks) < enough:
            found, refused = self._measure([waiting.pop(0)], snapshot, rows)
            chunks += found
            failed += refused
        return chunks, waiting, failed

    def _measure(self, slices: list[Slice], snapshot: Snapshot, rows: int) -> tuple[list[Chunk], list[Delivery]]:
        """Cut slices to so many rows at most; return what could not be cut, too."""
        groups = [*self._by_mapping(slices, lambda entry: entry)]
        try:
            return self._chunks(groups, snapshot, rows), []
        except psycopg.Error as error:
            if snapshot.is_lost(error):
                raise
        chunks: list[Chunk] = []
        failed: list[Delivery] = []
        for mapping, of_mapping in groups:
            try:
                chunks += self._chunks([(mapping, of_mapping)], snapshot, rows)
            except psycopg.Error as error:
                if snapshot.is_lost(error):
                    raise
                # The mapping's own SQL fails: a column is gone, or a type has changed. No tenancy is at fault.
                failed += _failed(mapping, of_mapping, error)
        return chunks, failed

    def _deliver(self, chosen: Sequence[Chunk], left: Slice | None, turn: _Turn) -> Iterator[tuple[Chunk, Delivery]]:
        """Send the chosen chunks, and tell what became of them."""
        # Small changes of a mapping would otherwise become visible with the last row of its large loads.
        small = [chunk for chunk in chosen if not chunk.large]
        begun = [*self._begin_all(small, turn)]
        if left is not None:
            self._read_ahead(left, self._size.rows if _in_company(chosen) else self._size.alone)
        for part in turn.ahead_apart([chunk for chunk in chosen if chunk.large]):
            begun += self._begin_all(part, turn)
        for mapping, of_mapping, sent in begun:
            yield from self._finish(mapping, of_mapping, sent, turn)

    def _read_ahead(self, left: Slice, rows: int) -> None:
        """Begin to read what the next turn will want, unless a throttle may want less of it."""
        mapping = self._catalog.mapping(left.pair.mapping_id)

        def plan(snapshot: Snapshot) -> tuple[Chunk, sql.Composed] | None:
            upto = snapshot.complete_up_to
            if upto <= left.after:
                return None
            (chunk,) = self._chunks([(mapping, [replace(left, upto=upto, complete_up_to=upto)])], snapshot, rows)
            return (chunk, self._statement(mapping, [chunk])) if chunk.large else None

        if not self._throttles:
            self._ahead.begin(plan)

    def _by_mapping(
        self, entries: list[_Entry], slice_of: Callable[[_Entry], Slice]
    ) -> Iterator[tuple[SyncMapping, list[_Entry]]]:
        for mapping in self._catalog.mappings:
            of_mapping = [entry for entry in entries if slice_of(entry).pair.mapping_id == mapping.mapping_id]
            if of_mapping:
                yield mapping, of_mapping

    def _slices(
        self, epochs: dict[Pair, int], checkpoints: Mapping[Pair, Checkpoint], snapshot: Snapshot
    ) -> tuple[list[Slice], list[Delivery]]:
        """Return what is to be delivered, and the pairs that must not get it as their deletions would be missed."""
        fresh = snapshot.claimed_once(self._destination.destination_id, epochs.keys() - checkpoints.keys())
        slices: list[Slice] = []
        for pair, epoch in epochs.items():
            checkpoint = checkpoints.get(pair)
            after = checkpoint.sequence_id if checkpoint is not None and checkpoint.epoch == epoch else 0
            upto = snapshot.complete_up_to
            slices.append(Slice(pair, epoch, after, upto, first=pair in fresh, complete_up_to=upto))
        gaps = self._gaps.find(slices, checkpoints, snapshot)
        failed: list[Delivery] = []
        for mapping, of_mapping in self._by_mapping([*gaps], lambda entry: entry):
            try:
                self._gaps.close(mapping, {entry: gaps[entry] for entry in of_mapping})
            except UnreachableError:
                raise
            except DbsyncError as error:
                failed += _failed(mapping, of_mapping, error)
        refused = {delivery.pair for delivery in failed}
        return [entry for entry in slices if entry.pair not in refused], failed

    def _chunks(self, groups: Sequence[tuple[SyncMapping, list[Slice]]], snapshot: Snapshot, rows: int) -> list[Chunk]:
        """Cut each slice to at most so many rows, so that a load of any size resumes where it stopped."""
        chunks: list[Chunk] = []
        queries = [(self._extractions.of(mapping).extents, [*parameters(slices), rows]) for mapping, slices in groups]
        for (_, slices), extents in zip(groups, snapshot.ask(queries), strict=True):
            for position, live, dead, highest in extents:
                whole = slices[int(position)]
                complete = live + dead < rows
                chunks.append(Chunk(whole if complete else replace(whole, upto=highest), live, dead, complete))
        return chunks

    def _begin_all(
        self, chunks: list[Chunk], turn: _Turn
    ) -> Iterator[tuple[SyncMapping, list[Chunk], Future[Sent] | None]]:
        for mapping, of_mapping in self._by_mapping(chunks, lambda chunk: chunk.slice):
            yield mapping, of_mapping, self._begin(mapping, of_mapping, turn)

    def _begin(self, mapping: SyncMapping, chunks: Sequence[Chunk], turn: _Turn) -> Future[Sent] | None:
        """Send what is in the chunks, all of them small or all large, or nothing where nothing is."""
        full = [chunk for chunk in chunks if chunk.rows]
        if not full:
            return None
        blocks = turn.take_ahead(full)
        reading = self._reading(mapping, full, turn.snapshot) if blocks is None else nullcontext(blocks)
        return turn.sender.send(mapping, [chunk.slice for chunk in full], reading)

    def _reading(
        self, mapping: SyncMapping, chunks: Sequence[Chunk], snapshot: Snapshot
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Return what reads the rows of chunks in the form that the destination takes."""
        few = sum(chunk.rows for chunk in chunks) <= _FEW_ROWS
        if few and self._destination.copy_format == BINARY:
            projection, renamed = self._destination.projection(mapping), self._destination.rows_have_places
            query = self._extractions.of(mapping).select(projection, renamed=renamed)
            return snapshot.select(query, parameters([chunk.slice for chunk in chunks]))
        return snapshot.copy(self._statement(mapping, chunks))

    def _statement(self, mapping: SyncMapping, chunks: Sequence[Chunk]) -> sql.Composed:
        """Return the COPY of chunks, all of them small or all large."""
        slices = [chunk.slice for chunk in chunks]
        groups = [[entry] for entry in slices] if chunks[0].large else [slices]
        projection = self._destination.projection(mapping)
        return self._extractions.of(mapping).copy(projection, groups, self._destination)

    def _finish(
        self, mapping: SyncMapping, chunks: Sequence[Chunk], sent: Future[Sent] | None, turn: _Turn
    ) -> Iterator[tuple[Chunk, Delivery]]:
        """Tell what became of the chunks; those of a delivery that failed are sent again in halves."""
        for chunk in chunks:
            if not chunk.rows:
                yield chunk, Delivery(chunk.slice.pair, chunk.slice.after, chunk.slice.upto)
        if sent is None:
            return
        full = [chunk for chunk in chunks if chunk.rows]
        try:
            total = turn.sender.wait(sent)
        except UnreachableError:
            raise
        except ResendError:
            yield from self._finish(mapping, full, self._begin(mapping, full, turn), turn)
            return
        except SupersededError:
            # Whoever was faster speaks for all of them; what is left waits for another turn.
            return
        except (psycopg.ProgrammingError, NotInstalledError, IncompatibleTargetError, RefusedForNowError) as error:
            # No row is at fault, but a table or the mapping's own SQL; other mappings may well be delivered.
            yield from zip(full, _failed(mapping, [chunk.slice for chunk in full], error), strict=True)
            return
        except (psycopg.Error, DbsyncError) as error:
            if turn.snapshot.is_lost(error):
                raise
            if len(full) > 1:
                middle = len(full) // 2
                for half in (full[:middle], full[middle:]):
                    yield from self._finish(mapping, half, self._begin(mapping, half, turn), turn)
                return
            failed = full[0].slice
            message = describe_failure(self._extractions.of(mapping), failed, turn.snapshot, self._destination, error)
            yield full[0], Delivery(failed.pair, failed.after, failed.after, error=message)
            return
        yield from _arrived(full, total)
