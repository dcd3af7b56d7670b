"""The loop of a sync worker: claim what is pending, deliver it, give it back.

One worker serves one destination. A cycle that finds nothing pauses until the sequencer wakes it, or, should that get
lost, for a little longer each time; one that fails because a database does not answer gives its claims back with their
back-off and goes on, so that the daemon paths never end because of an outage.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Event

from dbsync_pipeline.destinations.base import Destination, Pair
from dbsync_pipeline.engine.engine import Delivery, Engine
from dbsync_pipeline.engine.throttle import Throttle
from dbsync_pipeline.errors import DbsyncError, NotInstalledError, RefusedForNowError, UnreachableError
from dbsync_pipeline.pending.claims import PendingItem
from dbsync_pipeline.pending.queue import PendingQueue
from dbsync_pipeline.pending.tally import Outcome

_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_LONGEST_GATHERING_SECONDS = 0.1
_LONGEST_OUTAGE_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class SyncResult:
    """A delivery and the pending row it was for.

    Attributes:
        outage: what kept all of the batch from its destination, where nobody's row is at fault.
    """

    item: PendingItem
    delivery: Delivery
    destination_id: str
    outage: DbsyncError | None = None

    @property
    def still_pending(self) -> bool:
        """Whether the pair has more to deliver than was delivered."""
        return self.item.wanted > self.delivery.reached


@dataclass(frozen=True)
class Selection:
    """What a worker restricts itself to; None means everything."""

    tenancies: list[str] | None = None
    mappings: list[str] | None = None


class SyncCycle:
    """One worker's turns."""

    def __init__(
        self,
        queue: PendingQueue,
        engine: Engine,
        destination: Destination,
        *,
        batch_size: int,
        selection: Selection | None = None,
        throttles: Sequence[Throttle] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._destination = destination
        self._batch_size = batch_size
        self._selection = selection or Selection()
        self._throttles = throttles
        self._sleep = sleep

    def run_once(self) -> list[SyncResult]:
        """Do one turn; return what became of each claimed pair, nothing when there was nothing to claim.

        Raises:
            UnreachableError: the source does not answer; the claims end with the session.
            NotInstalledError: the source is not, or no longer, what this worker's mappings need; so do they then.
        """
        # Before the claim, so that nothing is held meanwhile.
        for throttle in self._throttles:
            if seconds := throttle.seconds():
                self._sleep(seconds)
        items = self._queue.claim(
            self._batch_size, tenancies=self._selection.tenancies, mappings=self._selection.mappings
        )
        if not items:
            self._engine.rest()
            return []
        by_pair = {Pair(item.tenancy_id, item.mapping_id): item for item in items}
        try:
            epochs = {pair: item.epoch for pair, item in by_pair.items()}
            deliveries, complete_up_to = self._engine.sync(epochs, self._give_back, self._queue.renew)
        except NotInstalledError:
            raise
        except DbsyncError as error:
            # Nobody's row is at fault: when a destination that did not answer is back, all of them must be tried soon.
            errors = {(item.tenancy_id, item.mapping_id): str(error) for item in items}
            longest = (
                _LONGEST_OUTAGE_PAUSE_SECONDS if isinstance(error, UnreachableError | RefusedForNowError) else None
            )
            self._queue.back_off(errors, outage_seconds=longest)
            return [
                SyncResult(
                    item,
                    Delivery(pair, 0, 0, complete=False, error=str(error)),
                    self._destination.destination_id,
                    outage=error,
                )
                for pair, item in by_pair.items()
            ]
        done = [delivery for delivery in deliveries if delivery.error is None]
        self._queue.complete(
            {(entry.pair.tenancy_id, entry.pair.mapping_id): entry.reached for entry in done},
            complete_up_to=complete_up_to,
            outcomes=(Outcome(entry.pair.mapping_id, entry.upserted, entry.deleted) for entry in done),
        )
        for passes, longest in ((False, None), (True, _LONGEST_OUTAGE_PAUSE_SECONDS)):
            failed = [entry for entry in deliveries if entry.error is not None and entry.passes == passes]
            errors = {(entry.pair.tenancy_id, entry.pair.mapping_id): entry.error or "" for entry in failed}
            self._queue.back_off(errors, outage_seconds=longest)
        self._give_back(by_pair.keys() - {delivery.pair for delivery in deliveries})
        return [SyncResult(by_pair[entry.pair], entry, self._destination.destination_id) for entry in deliveries]

    def _give_back(self, pairs: Collection[Pair]) -> None:
        """Leave what had no room in the turn to the next one, this worker's or another's."""
        self._queue.give_back([(pair.tenancy_id, pair.mapping_id) for pair in pairs])

    def retry_now(self) -> None:
        """Make what rests after a failure due at once, within the selection."""
        self._queue.retry_now(tenancies=self._selection.tenancies, mappings=self._selection.mappings)

    def run(
        self,
        *,
        stop: Event,
        max_seconds: float,
        idle_seconds: float,
        report: Callable[[list[SyncResult]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take turns until stopped, out of time, or idle for long. What is claimed is always finished.

        A turn over a hundred pairs costs hardly more than one over a single pair. So one that has delivered all there
        was is followed by a pause about as long as itself, for more to gather: under load this halves what turns cost.
        A stop is noticed between two turns, so after the longest pause at the latest.
        """
        self._queue.listen()
        started = last_work = clock()
        pause = _SHORTEST_PAUSE_SECONDS
        while not stop.is_set():
            began = clock()
            results = self.run_once()
            report(results)
            now = clock()
            if results:
                last_work, pause = now, _SHORTEST_PAUSE_SECONDS
                if len(results) < self._batch_size and not any(result.still_pending for result in results):
                    self._gather(stop, min(now - began, _LONGEST_GATHERING_SECONDS, idle_seconds))
            elif now - last_work >= idle_seconds:
                return
            else:
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
                self._queue.wait(pause)
            if now - started >= max_seconds:
                return

    def _gather(self, stop: Event, seconds: float) -> None:
        """Pause for half of the time, then until the sequencer has just finished a pass, or the time is up."""
        stop.wait(seconds / 2)
        self._queue.wait(0)
        self._queue.wait(seconds / 2)
