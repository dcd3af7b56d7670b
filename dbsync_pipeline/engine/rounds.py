"""Delivers few changes each to many destinations of a kind: one claim, one view and one query of a mapping for all.

Many databases that change all the time would else cost the source a claim, a view and a query of each mapping for each
of them, which is more than the changes themselves. A round takes those whose session is open, begins where the pending
table says that each has come to, and leaves it to the destination to refuse where that is not so. What is not plain is
left to a worker of that destination alone: a first load, many rows, tombstones that are gone, anything that fails.

The loop that begins rounds also ends them, while the rows are sent by threads, so that a destination that hangs delays
no other (I8). A slice ends where its round's view is complete (I1), and is marked as delivered when it is durable.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

import psycopg

from dbsync_pipeline import binary_copy
from dbsync_pipeline.binary_copy import Columns
from dbsync_pipeline.destinations.base import Pair, ProjectedColumn, ReadyDestination, Rows, Slice
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.engine.engine import Delivery
from dbsync_pipeline.engine.extraction import Extractions, parameters
from dbsync_pipeline.engine.snapshot import Snapshot, take_snapshot
from dbsync_pipeline.errors import DbsyncError, UnreachableError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import check_installed
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId
from dbsync_pipeline.pending.claims import Key
from dbsync_pipeline.pending.shared import SharedItem, SharedQueue
from dbsync_pipeline.pending.tally import Outcome
from dbsync_pipeline.tracing import span

logger = logging.getLogger(__name__)

_FEW_ROWS = 20
"""Of a pair; from so many on, a worker of its own takes hardly longer."""

_MOST_ROWS = 500
"""Of a round: all of them are held at once, and a row may be large."""

_MOST_PAIRS = 1_000

_DOUBT_SECONDS = 10.0
"""So long a destination is left to workers of its own after an attempt in vain, or all of them after one at reading."""

# A statement waits for whoever changes a table of the application, and the loop that begins rounds with it.
_READ_IN_TIME = "set local lock_timeout = '500ms'; set local statement_timeout = '5s'"


@dataclass(frozen=True)
class Begun:
    """What has become of the destinations that a round was to serve; those of neither kind, others are serving.

    Attributes:
        sending: what sends the rows of each, to be called by a thread.
        alone: those that need a worker of their own.
    """

    sending: Mapping[str, Callable[[], None]]
    alone: Collection[str]


@dataclass(frozen=True)
class _Share:
    """A pair of one destination, what of it goes with the round, and how many rows and tombstones these are."""

    item: SharedItem
    slice: Slice
    live: int
    dead: int


@dataclass(frozen=True)
class _Parcel:
    """What one destination gets of a round, and up to where that is all there is."""

    destination: ReadyDestination
    shares: Sequence[_Share]
    rows: Sequence[Rows]
    upto: int


@dataclass(frozen=True)
class _Sent:
    """What became of a parcel, and how long that took."""

    parcel: _Parcel
    written: bool
    seconds: float


@dataclass
class _Claimed:
    """What a round has claimed; which of its destinations need a worker of their own, and which have to wait."""

    items: dict[str, list[SharedItem]]
    alone: set[str] = field(default_factory=set[str])
    later: set[str] = field(default_factory=set[str])

    def plain(self) -> list[SharedItem]:
        """Return the items of the destinations that need no worker of their own."""
        return [item for name, items in self.items.items() if name not in self.alone for item in items]


class Rounds:
    """The rounds of one process; all but what `Begun.sending` does is for one thread.

    Args:
        queue: claims for all destinations.
        catalog: the mappings in use.
        extractions: what reads rows.
        projection: the columns that a destination of the kind takes of a mapping.
        reading: gives a session that freezes a view.
        ready: returns those of some destinations that can be written at once.
        report: takes in what became of each pair.
    """

    def __init__(
        self,
        queue: SharedQueue,
        catalog: Catalog,
        extractions: Extractions,
        *,
        projection: Callable[[SyncMapping], Sequence[ProjectedColumn]],
        reading: Callable[[], AbstractContextManager[psycopg.Connection]],
        ready: Callable[[Sequence[str]], dict[str, ReadyDestination]],
        report: Callable[[list[SyncResult]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._catalog = catalog
        self._extractions = extractions
        self._projection = projection
        self._reading = reading
        self._ready = ready
        self._report = report
        self._clock = clock
        # Until when.
        self._doubted: dict[str, float] = {}
        self._rests_until = 0.0
        self._sent: SimpleQueue[_Sent] = SimpleQueue()

    def begin(self, destination_ids: Sequence[str]) -> Begun:
        """Claim and read what waits for some destinations.

        Raises:
            UnreachableError: the session that claims is gone, and the claims with it.
            NotInstalledError: the source is not, or no longer, what these mappings need.
        """
        now = self._clock()
        self._doubted = {name: until for name, until in self._doubted.items() if now < until}
        trusted = [name for name in destination_ids if name not in self._doubted and now >= self._rests_until]
        ready = self._ready(trusted) if trusted else {}
        alone = {name for name in destination_ids if name not in ready}
        if not ready:
            return Begun({}, alone)
        with span("round", destinations=len(ready)) as current:
            claimed = self._claim(list(ready))
            parcels = self._parcels(claimed, ready)
            current.set_attribute("dbsync.pairs", sum(len(parcel.shares) for parcel in parcels))
        left = claimed.alone | claimed.later
        self._queue.give_back([_key(item) for name in left for item in claimed.items[name]])
        sending = {parcel.destination.destination_id: partial(self._send, parcel) for parcel in parcels}
        return Begun(sending, alone | claimed.alone)

    def finish(self) -> None:
        """End the claims of what was sent meanwhile, and keep the others."""
        sent = [*self._taken()]
        for upto in {entry.parcel.upto for entry in sent if entry.written}:
            self._complete([entry for entry in sent if entry.written and entry.parcel.upto == upto], upto)
        refused = [entry.parcel for entry in sent if not entry.written]
        if refused:
            doubted = [parcel.destination.destination_id for parcel in refused]
            self._doubted |= dict.fromkeys(doubted, self._clock() + _DOUBT_SECONDS)
            self._queue.give_back([_key(share.item) for parcel in refused for share in parcel.shares])
            logger.info("left to workers of their own", extra={"destinations": len(refused)})
        self._queue.renew()

    def _claim(self, names: list[str]) -> _Claimed:
        items: defaultdict[str, list[SharedItem]] = defaultdict(list)
        for item in self._queue.claim(names, _MOST_PAIRS):
            items[item.destination_id].append(item)
        first = {name for name, of_one in items.items() if any(item.reached == 0 for item in of_one)}
        return _Claimed(items, first)

    def _parcels(self, claimed: _Claimed, ready: Mapping[str, ReadyDestination]) -> list[_Parcel]:
        """Read the rows of what is claimed, and note which destinations cannot be served so."""
        if not claimed.plain():
            return []
        try:
            with self._reading() as connection, take_snapshot(connection) as snapshot:
                connection.execute(_READ_IN_TIME)
                check_installed(snapshot.installed, self._catalog)
                shares = self._shares(claimed, snapshot)
                rows = self._rows(shares, snapshot)
        except (psycopg.Error, UnreachableError):
            # Some mapping's own SQL fails, its table is locked, or the session is gone: workers find out, and say so.
            claimed.alone |= claimed.items.keys()
            self._rests_until = self._clock() + _DOUBT_SECONDS
            return []
        return [
            _Parcel(ready[name], of_one, [self._rows_of(share, rows) for share in of_one], snapshot.complete_up_to)
            for name, of_one in shares.items()
        ]

    def _rows_of(self, share: _Share, rows: Mapping[str, Mapping[TenancyId, Columns]]) -> Rows:
        pair = share.slice.pair
        return self._catalog.mapping(pair.mapping_id), rows.get(pair.mapping_id, {}).get(pair.tenancy_id, [])

    def _shares(self, claimed: _Claimed, snapshot: Snapshot) -> dict[str, list[_Share]]:
        """Measure what is claimed; a destination is left out where a pair has many rows or lacks tombstones.

        What comes when there are rows enough waits for the next round.
        """
        upto = snapshot.complete_up_to
        items = claimed.plain()
        purged = snapshot.purged({_pair(item) for item in items})
        claimed.alone |= {
            item.destination_id for item in items if item.reached < purged.get(_pair(item), 0) or item.reached >= upto
        }
        groups = [*self._by_mapping(claimed.plain())]
        queries = [
            (self._extractions.of(mapping).extents, [*parameters([_slice(item, upto) for item in of_one]), _FEW_ROWS])
            for mapping, of_one in groups
        ]
        shares: defaultdict[str, list[_Share]] = defaultdict(list)
        for (_, of_one), extents in zip(groups, snapshot.ask(queries), strict=True):
            for position, live, dead, _ in extents:
                item = of_one[int(position)]
                shares[item.destination_id].append(_Share(item, _slice(item, upto), live, dead))
                if live + dead >= _FEW_ROWS:
                    claimed.alone.add(item.destination_id)
        rows = 0
        for name in (name for name in claimed.items if name not in claimed.alone):
            rows += sum(share.live + share.dead for share in shares[name])
            if rows > _MOST_ROWS:
                claimed.later.add(name)
        return {name: of_one for name, of_one in shares.items() if name not in claimed.alone | claimed.later}

    def _rows(
        self, shares: Mapping[str, Sequence[_Share]], snapshot: Snapshot
    ) -> Mapping[str, Mapping[TenancyId, Columns]]:
        """Return mapping -> tenancy -> rows, from where the copy of the tenancy that lacks most has come to."""
        lacking: defaultdict[str, dict[TenancyId, Slice]] = defaultdict(dict)
        for share in (share for of_one in shares.values() for share in of_one):
            pair = share.slice.pair
            known = lacking[pair.mapping_id].get(pair.tenancy_id, share.slice)
            if share.live + share.dead:
                lacking[pair.mapping_id][pair.tenancy_id] = min(known, share.slice, key=lambda entry: entry.after)
        wanted = {mapping_id: [*slices.values()] for mapping_id, slices in lacking.items() if slices}
        queries = [self._query(self._catalog.mapping(mapping_id), slices) for mapping_id, slices in wanted.items()]
        return dict(zip(wanted, snapshot.by_tenancy(queries), strict=True))

    def _query(self, mapping: SyncMapping, slices: Sequence[Slice]) -> tuple[bytes, Sequence[object]]:
        return self._extractions.of(mapping).select(self._projection(mapping), renamed=False), parameters(slices)

    def _by_mapping(self, items: Iterable[SharedItem]) -> Iterable[tuple[SyncMapping, list[SharedItem]]]:
        found: defaultdict[str, list[SharedItem]] = defaultdict(list)
        for item in items:
            found[item.mapping_id].append(item)
        return [(self._catalog.mapping(mapping_id), of_one) for mapping_id, of_one in found.items()]

    def _send(self, parcel: _Parcel) -> None:
        started, written = self._clock(), False
        with span("load", destination=parcel.destination.destination_id, pairs=len(parcel.shares)):
            try:
                # Why not, a worker of its own finds out and notes.
                with suppress(DbsyncError):
                    written = parcel.destination.deliver([share.slice for share in parcel.shares], parcel.rows)
            finally:
                self._sent.put(_Sent(parcel, written, self._clock() - started))

    def _taken(self) -> Iterable[_Sent]:
        while True:
            try:
                yield self._sent.get_nowait()
            except Empty:
                return

    def _complete(self, sent: Sequence[_Sent], upto: int) -> None:
        shares = [share for entry in sent for share in entry.parcel.shares]
        self._queue.complete(
            {_key(share.item): upto for share in shares},
            complete_up_to=upto,
            outcomes=[Outcome(share.item.mapping_id, share.live, share.dead) for share in shares],
        )
        for entry in sent:
            self._report([*_results(entry)])
        rows = sum(share.live + share.dead for share in shares)
        logger.info("delivered", extra={"destinations": len(sent), "pairs": len(shares), "rows": rows})


def _results(sent: _Sent) -> Iterable[SyncResult]:
    size = sum(binary_copy.size(columns) for _, columns in sent.parcel.rows)
    rows = sum(share.live + share.dead for share in sent.parcel.shares)
    for share in sent.parcel.shares:
        delivery = Delivery(
            share.slice.pair,
            share.slice.after,
            share.slice.upto,
            upserted=share.live,
            deleted=share.dead,
            bytes_sent=size * (share.live + share.dead) // max(rows, 1),
            seconds=sent.seconds,
        )
        yield SyncResult(share.item, delivery, share.item.destination_id)


def _pair(item: SharedItem) -> Pair:
    return Pair(item.tenancy_id, item.mapping_id)


def _key(item: SharedItem) -> Key:
    return item.destination_id, item.tenancy_id, item.mapping_id


def _slice(item: SharedItem, upto: int) -> Slice:
    return Slice(_pair(item), item.epoch, item.reached, upto, first=False, complete_up_to=upto)
