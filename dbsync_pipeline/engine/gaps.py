"""Destinations that come back from before a purge of tombstones.

One that was disabled, removed and added again, or restored from a backup may have a checkpoint from before tombstones
that are gone by now. From those that are left it would not learn which of its rows were deleted. So before anything is
delivered to it, what it holds and the source does not is entombed anew. That is in the source before the checkpoint
moves: a checkpoint above the purge says that nothing is missing, whoever died when.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from dbsync_pipeline.destinations.base import Checkpoint, Pair, Slice
from dbsync_pipeline.engine.snapshot import Snapshot
from dbsync_pipeline.mappings.spec import SyncMapping

Sweep = Callable[[SyncMapping, Sequence[str]], None]
"""Has entombed whatever a destination holds of some tenancies, by their ids as text, and the source does not."""


class Gaps:
    """What one worker has found and closed."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._closed: dict[Pair, int] = {}

    def find(
        self, slices: Iterable[Slice], checkpoints: Mapping[Pair, Checkpoint], snapshot: Snapshot
    ) -> dict[Slice, int]:
        """Return the slices whose destination lacks tombstones that are gone, and up to where these are."""
        purged = snapshot.purged([entry.pair for entry in slices if not entry.first])
        gaps: dict[Slice, int] = {}
        for entry in slices:
            upto = purged.get(entry.pair, 0)
            # Of any epoch: delivering again begins at nothing, and takes nothing away.
            checkpoint = checkpoints.get(entry.pair)
            if entry.first or (checkpoint.sequence_id if checkpoint is not None else 0) >= upto:
                self._closed.pop(entry.pair, None)
            elif self._closed.get(entry.pair, 0) < upto:
                gaps[entry] = upto
        return gaps

    def close(self, mapping: SyncMapping, gaps: Mapping[Slice, int]) -> None:
        """Have removed what is left behind; a load that takes many turns has to be swept once only.

        Raises:
            DbsyncError: source and destination cannot be compared; nothing may be delivered then.
        """
        self._sweep(mapping, [str(entry.pair.tenancy_id) for entry in gaps])
        self._closed |= {entry.pair: upto for entry, upto in gaps.items()}
