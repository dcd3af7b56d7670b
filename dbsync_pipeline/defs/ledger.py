"""What was delivered and not reported to Dagster yet, summed up for each pair.

A worker's thread writes here after every cycle; the run's own thread takes from here at its own pace, because an event
costs Dagster 10 to 20 ms and a delivery must not wait for that. Only what the destination has made durable gets in.
"""

from dataclasses import dataclass, replace
from threading import Lock

import dagster as dg

from dbsync_pipeline.defs.specs import copy_key
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.engine.cycle import SyncResult

_ERROR_TEXTS_KEPT = 100


@dataclass(frozen=True)
class Advance:
    """How far a pair has come, over any number of deliveries.

    Attributes:
        sequence_from: everything up to this id was durable before.
        sequence_to: everything up to this id is durable now.
        seconds: time taken by the deliveries it was part of.
        lag_seconds: the greatest age that a change had when it was durable, since it was numbered.
        still_pending: more was waiting when the last delivery ended.
    """

    destination_id: str
    sequence_from: int
    sequence_to: int
    rows_upserted: int = 0
    rows_deleted: int = 0
    bytes: int = 0
    seconds: float = 0.0
    lag_seconds: float = 0.0
    still_pending: bool = False

    @classmethod
    def of(cls, result: SyncResult) -> "Advance":
        """Return what one delivery achieved."""
        delivery = result.delivery
        return cls(
            result.destination_id,
            delivery.after,
            delivery.reached,
            delivery.upserted,
            delivery.deleted,
            delivery.bytes_sent,
            delivery.seconds,
            result.item.waited_seconds + delivery.seconds,
            result.still_pending,
        )

    def then(self, later: "Advance") -> "Advance":
        """Return this and a later one as one."""
        return replace(
            later,
            # A resync starts from below.
            sequence_from=min(self.sequence_from, later.sequence_from),
            rows_upserted=self.rows_upserted + later.rows_upserted,
            rows_deleted=self.rows_deleted + later.rows_deleted,
            bytes=self.bytes + later.bytes,
            seconds=self.seconds + later.seconds,
            lag_seconds=max(self.lag_seconds, later.lag_seconds),
        )

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """The metadata of the materialization; numbers are plotted over time."""
        rows = self.rows_upserted + self.rows_deleted
        return {
            "destination": dg.MetadataValue.text(self.destination_id),
            "sequence_from": dg.MetadataValue.int(self.sequence_from),
            "sequence_to": dg.MetadataValue.int(self.sequence_to),
            "rows_upserted": dg.MetadataValue.int(self.rows_upserted),
            "rows_deleted": dg.MetadataValue.int(self.rows_deleted),
            "bytes": dg.MetadataValue.int(self.bytes),
            "duration_seconds": dg.MetadataValue.float(round(self.seconds, 3)),
            "rows_per_second": dg.MetadataValue.float(round(rows / self.seconds, 1) if self.seconds else 0.0),
            "lag_seconds": dg.MetadataValue.float(round(self.lag_seconds, 3)),
            "still_pending": dg.MetadataValue.bool(self.still_pending),
        }

    def materialization(self, pair: Pair) -> dg.AssetMaterialization:
        """Return the event of one partition; the sequence id is its data version."""
        return dg.AssetMaterialization(
            copy_key(self.destination_id, pair.mapping_id),
            partition=str(pair.tenancy_id),
            metadata=self.metadata,
            tags={"dagster/data_version": str(self.sequence_to)},
        )


_Lane = tuple[str, Pair]
"""A pair on its way to one destination, named by its id."""


class Ledger:
    """The sums of one run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._advances: dict[_Lane, Advance] = {}
        self._failing: dict[_Lane, str] = {}
        self._new_errors: list[str] = []
        self._known_errors: set[str] = set()

    def add(self, results: list[SyncResult]) -> None:
        """Take in what one cycle did."""
        with self._lock:
            for result in results:
                delivery = result.delivery
                lane = (result.destination_id, delivery.pair)
                if delivery.error is not None:
                    self._failing[lane] = delivery.error
                    self._complain(delivery.pair, delivery.error)
                    continue
                self._failing.pop(lane, None)
                if delivery.reached > delivery.after:
                    advance = Advance.of(result)
                    before = self._advances.get(lane)
                    # In its old place: a busy pair must come first some time, too.
                    self._advances[lane] = advance if before is None else before.then(advance)

    def _complain(self, pair: Pair, error: str) -> None:
        if error not in self._known_errors and len(self._known_errors) < _ERROR_TEXTS_KEPT:
            self._known_errors.add(error)
            self._new_errors.append(f"tenancy {pair.tenancy_id}, mapping {pair.mapping_id} is not delivered: {error}")

    @property
    def outstanding(self) -> int:
        """Pairs that have advanced and not been taken."""
        return len(self._advances)

    @property
    def failing(self) -> list[tuple[Pair, str]]:
        """The pairs whose last delivery somewhere failed, with the reason."""
        with self._lock:
            return [(pair, error) for (_, pair), error in self._failing.items()]

    def take(self, most: int) -> list[tuple[Pair, Advance]]:
        """Remove and return advances, those that have waited longest first."""
        with self._lock:
            lanes = list(self._advances)[:most]
            return [(lane[1], self._advances.pop(lane)) for lane in lanes]

    def take_errors(self) -> list[str]:
        """Remove and return a line for every error text not seen before, naming one of its pairs."""
        with self._lock:
            errors, self._new_errors = self._new_errors, []
            return errors
