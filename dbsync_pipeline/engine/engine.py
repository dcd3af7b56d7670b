"""Delivers what is pending, for a batch of tenancies and their mappings, from one snapshot of the source.

What is right is decided here and nowhere else: a slice ends where the snapshot's order is complete (I1), begins at the
destination's own checkpoint (I5), and is marked delivered only after the destination has said that it is durable. When
a batch fails because of a row, it is cut in halves until the failing tenancy stands alone, so that the others are
delivered in the same cycle (I8).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg

from dbsync_pipeline.destinations.base import Destination, Pair, ResendError, Slice, SupersededError
from dbsync_pipeline.engine.chunks import LARGE_ROWS, Chunk, smallest_first
from dbsync_pipeline.engine.diagnosis import describe_failure
from dbsync_pipeline.engine.extraction import Extraction
from dbsync_pipeline.engine.gaps import Gaps
from dbsync_pipeline.engine.replica import Replica
from dbsync_pipeline.engine.sending import Sender, Sent, sending
from dbsync_pipeline.engine.snapshot import Snapshot, take_snapshot
from dbsync_pipeline.engine.throttle import Throttle
from dbsync_pipeline.engine.turns import TurnSize
from dbsync_pipeline.errors import (
    DbsyncError,
    IncompatibleTargetError,
    NotInstalledError,
    RefusedForNowError,
    UnreachableError,
)
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import SyncColumns
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.tracing import span

logger = logging.getLogger(__name__)


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


_Entry = TypeVar("_Entry", Slice, Chunk)


def _failed(mapping: SyncMapping, slices: Sequence[Slice], error: Exception) -> list[Delivery]:
    cause = error if isinstance(error, DbsyncError) else DbsyncError(str(error))
    message = f"mapping {mapping.mapping_id}: {cause}"
    return [Delivery(entry.pair, entry.after, entry.after, complete=False, error=message) for entry in slices]


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


class Engine:
    """Delivers to one destination; owns neither the source session nor the destination.

    Where the session is one of a replica, `replica` keeps it up to the claims. A turn delivers fewer rows than a chunk
    where a throttle allows fewer.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        catalog: Catalog,
        columns: SyncColumns,
        destination: Destination,
        gaps: Gaps,
        *,
        chunk_rows: int,
        clock: Callable[[], float] = time.monotonic,
        replica: Replica | None = None,
        throttles: Sequence[Throttle] = (),
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._columns = columns
        self._destination = destination
        self._gaps = gaps
        self._size = TurnSize(most=chunk_rows, least=LARGE_ROWS)
        self._clock = clock
        self._replica = replica
        self._throttles = throttles

    def sync(self, epochs: dict[Pair, int]) -> tuple[list[Delivery], int]:
        """Deliver the next chunk of every pair, smallest chunks first, until a turn's rows are delivered.

        Large loads therefore take many turns, between which small changes pass, and memory, the age of a snapshot and
        the time under a lease stay bounded.

        Args:
            epochs: the pairs to deliver, and the epoch each is in.

        Returns:
            What became of each pair, without those that have to wait for another turn; and the sequence id up to
            which the source was complete.

        Raises:
            UnreachableError: the destination or the source does not answer; nothing was marked as delivered.
            NotInstalledError: source or destination lack what `dbsync init` makes.
        """
        with span("sync", destination=self._destination.destination_id, pairs=len(epochs)) as turn:
            deliveries, complete_up_to = self._sync(epochs)
            said = {
                "destination": self._destination.destination_id,
                "pairs": len(deliveries),
                "rows": sum(delivery.upserted + delivery.deleted for delivery in deliveries),
                "failed": sum(delivery.error is not None for delivery in deliveries),
            }
            turn.set_attributes({f"dbsync.{name}": said[name] for name in ("rows", "failed")})
        logger.info("delivered", extra=said)
        return deliveries, complete_up_to

    def _sync(self, epochs: dict[Pair, int]) -> tuple[list[Delivery], int]:
        began = self._clock()
        if self._replica is not None:
            self._replica.catch_up()
        with take_snapshot(self._connection) as snapshot:
            # A changed mapping begins a new epoch; nobody may deliver its old form into that.
            require_installed(snapshot.connection, self._catalog)
            slices, deliveries = self._slices(epochs, snapshot)
            allowances = [throttle.take(self._size.most) for throttle in self._throttles]
            most = min([self._size.most, *allowances])
            rows = min(self._size.rows, most)
            chunks: list[Chunk] = []
            for mapping, of_mapping in self._by_mapping(slices, lambda entry: entry):
                try:
                    chunks += self._chunks(mapping, of_mapping, snapshot, rows)
                except psycopg.Error as error:
                    if snapshot.is_lost(error):
                        raise
                    # The mapping's own SQL fails: a column is gone, or a type has changed. No tenancy is at fault.
                    deliveries += _failed(mapping, of_mapping, error)
            waiting, chunks = chunks, smallest_first(chunks, rows, most=most)
            for throttle, allowance in zip(self._throttles, allowances, strict=True):
                throttle.settle(allowance, sum(chunk.rows for chunk in chunks))
            delivered: list[Slice] = []
            # Small changes of a mapping would otherwise become visible with the last row of its large loads.
            small = [chunk for chunk in chunks if not chunk.large]
            large = [chunk for chunk in chunks if chunk.large]
            with sending(snapshot, self._destination, self._clock) as sender:
                begun = [
                    (mapping, of_mapping, self._begin(mapping, of_mapping, sender))
                    for part in (small, large)
                    for mapping, of_mapping in self._by_mapping(part, lambda chunk: chunk.slice)
                ]
                for mapping, of_mapping, sent in begun:
                    for chunk, delivery in self._finish(mapping, of_mapping, sent, snapshot, sender):
                        deliveries.append(delivery)
                        if delivery.error is None:
                            delivered.append(chunk.slice)
            with span("checkpoint", pairs=len(delivered)):
                self._destination.record(delivered)
        if len(chunks) < len(waiting) or not all(chunk.complete for chunk in chunks):
            company = any(chunk.rows for chunk in small)
            self._size.note(sum(chunk.rows for chunk in chunks), self._clock() - began, company=company)
        return deliveries, snapshot.complete_up_to

    def _by_mapping(
        self, entries: list[_Entry], slice_of: Callable[[_Entry], Slice]
    ) -> Iterator[tuple[SyncMapping, list[_Entry]]]:
        for mapping in self._catalog.mappings:
            of_mapping = [entry for entry in entries if slice_of(entry).pair.mapping_id == mapping.mapping_id]
            if of_mapping:
                yield mapping, of_mapping

    def _slices(self, epochs: dict[Pair, int], snapshot: Snapshot) -> tuple[list[Slice], list[Delivery]]:
        """Return what is to be delivered, and the pairs that must not get it as their deletions would be missed."""
        checkpoints = self._destination.checkpoints(epochs)
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

    def _chunks(self, mapping: SyncMapping, slices: list[Slice], snapshot: Snapshot, rows: int) -> list[Chunk]:
        """Cut each slice to at most so many rows, so that a load of any size resumes where it stopped."""
        statement = Extraction(self._catalog, mapping, self._columns).extent(slices, rows)
        chunks: list[Chunk] = []
        with snapshot.outliving():
            for position, live, dead, highest in snapshot.connection.execute(statement):
                whole = slices[int(position)]
                complete = live + dead < rows
                chunks.append(Chunk(whole if complete else replace(whole, upto=highest), live, dead, complete))
        return chunks

    def _begin(self, mapping: SyncMapping, chunks: Sequence[Chunk], sender: Sender) -> Future[Sent] | None:
        """Send what is in the chunks, all of them small or all large, or nothing where nothing is."""
        full = [chunk for chunk in chunks if chunk.rows]
        if not full:
            return None
        slices = [chunk.slice for chunk in full]
        groups = [[entry] for entry in slices] if full[0].large else [slices]
        extraction = Extraction(self._catalog, mapping, self._columns)
        statement = extraction.copy(self._destination.projection(mapping), groups, self._destination.copy_format)
        return sender.send(mapping, slices, statement)

    def _finish(
        self,
        mapping: SyncMapping,
        chunks: Sequence[Chunk],
        sent: Future[Sent] | None,
        snapshot: Snapshot,
        sender: Sender,
    ) -> Iterator[tuple[Chunk, Delivery]]:
        """Tell what became of the chunks; those of a delivery that failed are sent again in halves."""
        for chunk in chunks:
            if not chunk.rows:
                yield chunk, Delivery(chunk.slice.pair, chunk.slice.after, chunk.slice.upto)
        if sent is None:
            return
        full = [chunk for chunk in chunks if chunk.rows]
        try:
            total = sent.result()
        except UnreachableError:
            raise
        except ResendError:
            yield from self._finish(mapping, full, self._begin(mapping, full, sender), snapshot, sender)
            return
        except SupersededError:
            # Whoever was faster speaks for all of them; what is left waits for another turn.
            return
        except (psycopg.ProgrammingError, NotInstalledError, IncompatibleTargetError, RefusedForNowError) as error:
            # No row is at fault, but a table or the mapping's own SQL; other mappings may well be delivered.
            yield from zip(full, _failed(mapping, [chunk.slice for chunk in full], error), strict=True)
            return
        except (psycopg.Error, DbsyncError) as error:
            if snapshot.is_lost(error):
                raise
            if len(full) > 1:
                middle = len(full) // 2
                for half in (full[:middle], full[middle:]):
                    yield from self._finish(mapping, half, self._begin(mapping, half, sender), snapshot, sender)
                return
            failed = full[0].slice
            extraction = Extraction(self._catalog, mapping, self._columns)
            message = describe_failure(extraction, failed, snapshot, self._destination, error)
            yield full[0], Delivery(failed.pair, failed.after, failed.after, error=message)
            return
        yield from _arrived(full, total)
