"""Compares the source with a copy while both are being written, without moving the rows.

**Narrowing.** Each side sums up hashes by tenancy; of tenancies that differ, by bucket of keys; of buckets that differ,
row by row. What is left is keys that differ, or differed while somebody wrote: nothing is concluded from that yet.

**Why what is reported is real.** The two databases cannot be read at the same instant, and comparing "everything up to
number N" on both sides does not help: a row that changes leaves N behind on one side first. So each key is judged by
itself, at a number that both sides have reached. The source is asked for its state, with how far the destination had
come (`reached`, which follows what is durable and is read in the same snapshot); then the copy is read; then the
source again. The key is comparable if its state was *settled* (see `states`), and is the same after as before. Then:

* Every change of the row that the first look could see has a number that the copy had reached by then, so the copy
  holds that version or a newer one. A change of a joined table counts: it leaves a touch, in its own transaction, that
  goes only in the transaction that gives the row a higher number.
* A newer version could only come from a change that the second look would see: as another number, the dirty flag, a
  touch, a tombstone, or other values.

So the copy has to hold just what the source held, and it is damaged if it does not. A key that is not settled is
counted as waiting and not judged: what is on its way will overwrite it, or be judged another time. Rows beyond
`reached` are left out of the source's sums, so that a load in progress is not looked at row by row; the copy's sums
leave nothing out, because a damaged row may carry any number.

**What never gets a number** would wait for ever. Keys found waiting for the sequencer are looked at again until it has
taken them, or the patience is over; a row with neither number nor flag is reported at once.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice
from typing import Any, TypeVar

import psycopg

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import SyncColumns
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.verify.copies import Answer, Copy
from dbsync_pipeline.verify.differences import Difference, Kind, Verified
from dbsync_pipeline.verify.record import Outcome, bounds
from dbsync_pipeline.verify.statements import MOST_BUCKETS, Buckets, column_names, source_rows
from dbsync_pipeline.verify.states import Key, RowState, States

MOST_LISTED = 100
"""Differences kept of one mapping in one destination; all are counted, and repaired."""

PATIENCE_SECONDS = 10.0
"""How long the sequencer gets for what waits for it."""

_HASHES_AT_ONCE = 20_000
_TENANCIES_AT_ONCE = 2_000
"""Named in one query: of 7,000, its text is longer than what ClickHouse takes by its default."""

_KEYS_AT_ONCE = 500
_ROWS_A_BUCKET = 256
_MOST_WATCHED = 1_000
_LOOK_AGAIN_SECONDS = 0.25

_Item = TypeVar("_Item")
_Repair = Callable[[list[Difference]], None]
_Sums = defaultdict[Any, tuple[int, int]]


class Verification:
    """Compares one mapping with one copy.

    Args:
        connection: a session on the source, in autocommit mode.
        catalog: the mappings in use.
        columns: names of the sync columns.
        mapping: the mapping.
        copy: the copy, restricted to the same tenancies.
        tenancies: whom to look at, of those that the source knows; None means all.
        repair: takes the differences as they are found, in parts; None leaves them.
        patience_seconds: how long what waits for the sequencer may go on doing so.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        catalog: Catalog,
        columns: SyncColumns,
        mapping: SyncMapping,
        copy: Copy,
        *,
        tenancies: Sequence[str] | None,
        repair: _Repair | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._columns = columns
        self._mapping = mapping
        self._copy = copy
        self._tenancies = tenancies
        self._repair = repair
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._states = States(catalog, mapping, columns, copy.kind, copy.destination_id)
        self._names = column_names(catalog, mapping, copy.kind)
        self._places = [entry.name for entry in catalog.tenancy.columns] if copy.kind == "clickhouse" else []
        self._listed: list[Difference] = []
        self._differing = Counter[str]()
        self._waiting = Counter[str]()
        self._bounds: dict[str, int] = {}
        self._rows: tuple[_Sums, _Sums] = (_by_first([]), _by_first([]))
        self._watched: dict[Key, RowState] = {}

    def run(self) -> Verified:
        """Compare, and return what was found.

        Raises:
            UnreachableError: a database does not answer.
            NotInstalledError: something is missing there.
        """
        # Before the rows are read: what there is of them is at least that.
        self._bounds = bounds(
            self._connection, self._catalog, self._mapping, self._copy.destination_id, self._tenancies
        )
        self._rows = here, there = _by_first(self._source_sums()), _by_first(self._copy.sums())
        differing = {name: max(here[name][0], there[name][0]) for name in here | there if here[name] != there[name]}
        for keys in _in_parts(self._differing_keys(differing), _KEYS_AT_ONCE):
            self._judge(keys)
        self._find_strangers()
        self._find_ahead()
        self._watch()
        return Verified(
            self._copy.destination_id,
            self._mapping.mapping_id,
            sum(rows for rows, _ in here.values()),
            sum(rows for rows, _ in there.values()),
            self._differing.total(),
            tuple(self._listed),
            self._waiting.total(),
        )

    def outcomes(self) -> list[Outcome]:
        """Return what has come of it for each tenancy that was looked at, of those that the source knows."""
        here, there = self._rows
        # A database of a tenancy's owner is that tenancy's, and so is what it should not hold.
        everything = self._differing.total() if self._copy.kind == "postgres" else 0
        return [
            Outcome(
                tenancy,
                sequence_id,
                here[tenancy][0],
                there[tenancy][0],
                everything or self._differing[tenancy],
                self._waiting[tenancy],
            )
            for tenancy, sequence_id in self._bounds.items()
        ]

    def _source_sums(self) -> Answer:
        return self._connection.execute(self._rows_of(self._tenancies).sums()).fetchall()

    def _rows_of(self, tenancies: Sequence[str] | None) -> Any:
        return source_rows(
            self._catalog,
            self._mapping,
            self._copy.kind,
            self._columns,
            destination_id=self._copy.destination_id,
            tenancies=tenancies,
        )

    def _differing_keys(self, tenancies: dict[str, int]) -> Iterator[Key]:
        """Yield the keys of tenancies that differ: of several small ones at once, of a large one bucket by bucket."""
        small: list[str] = []
        rows_of_small = 0
        for tenancy, rows in sorted(tenancies.items(), key=lambda entry: entry[1]):
            if rows > _HASHES_AT_ONCE:
                for buckets in self._differing_buckets(tenancy, rows):
                    yield from self._different_hashes([tenancy], buckets)
                continue
            if len(small) == _TENANCIES_AT_ONCE or (small and rows_of_small + rows > _HASHES_AT_ONCE):
                yield from self._different_hashes(small, Buckets())
                small, rows_of_small = [], 0
            small.append(tenancy)
            rows_of_small += rows
        if small:
            yield from self._different_hashes(small, Buckets())

    def _differing_buckets(self, tenancy: str, rows: int) -> Iterator[Buckets]:
        count = min(MOST_BUCKETS, 1 << (rows // _ROWS_A_BUCKET).bit_length())
        here = _by_first(self._connection.execute(self._rows_of([tenancy]).buckets(count)).fetchall())
        there = _by_first(self._copy.buckets(tenancy, count))
        differing = sorted(bucket for bucket in here | there if here[bucket] != there[bucket])
        for chosen in _in_parts(differing, max(1, _HASHES_AT_ONCE * count // rows)):
            yield Buckets(count, tuple(chosen))

    def _different_hashes(self, tenancies: Sequence[str], buckets: Buckets) -> Iterator[Key]:
        here = _hashes(self._connection.execute(self._rows_of(tenancies).hashes(buckets)).fetchall())
        there = _hashes(self._copy.hashes(tenancies, buckets))
        return (key for key in here | there if here[key] != there[key])

    def _judge(self, keys: Sequence[Key]) -> None:
        with self._connection.transaction():
            self._connection.execute("set transaction isolation level repeatable read read only")
            reached = self._states.reached(self._connection, (key.tenancy for key in keys))
            before = self._states.read(self._connection, keys)
        there = self._copy.rows(keys)
        after = self._states.read(self._connection, keys)
        found: list[Difference] = []
        extra: list[tuple[Key, Difference]] = []
        for key in keys:
            state = before[key]
            if state != after[key] or not (state.forgotten or state.settled(reached.get(key.tenancy, 0))):
                self._waiting[key.tenancy] += 1
                if state.unnumbered and len(self._watched) < _MOST_WATCHED:
                    self._watched[key] = state
            elif (difference := self._difference(key, state, there.get(key, []))) is not None:
                if difference.kind is Kind.EXTRA and state.texts is None:
                    extra.append((key, difference))
                else:
                    found.append(difference)
        self._note([*found, *self._named(extra)])

    def _difference(
        self, key: Key, state: RowState, rows: list[tuple[int, tuple[str | None, ...]]]
    ) -> Difference | None:
        if state.forgotten:
            return self._told(key, Kind.NEVER_NUMBERED)
        wrong = [row for row in rows if row[1] != state.texts]
        if not wrong:
            return self._told(key, Kind.MISSING) if state.texts is not None and not rows else None
        sequence_id, texts = wrong[0]
        if state.texts is None:
            return self._told(key, Kind.RESURRECTED if state.entombed else Kind.EXTRA, texts=texts)
        differing = (here != there for here, there in zip(state.texts, texts, strict=True))
        columns = tuple(compress(self._names, differing))
        if len(rows) > 1:
            return self._told(key, Kind.EXTRA, columns, texts)
        return self._told(key, Kind.STALE if sequence_id < state.sequence_id else Kind.ALTERED, columns, texts)

    def _told(
        self,
        key: Key,
        kind: Kind,
        columns: tuple[str, ...] = (),
        texts: Sequence[str | None] = (),
        *,
        repairable: bool = True,
    ) -> Difference:
        named = dict(zip(self._mapping.key, key.values, strict=True)) if key.values else {}
        place = {name: text for name, text in zip(self._places, texts, strict=False) if text is not None}
        return Difference(key.tenancy, named, kind, columns, place, repairable)

    def _named(self, extra: list[tuple[Key, Difference]]) -> list[Difference]:
        """Call those rows that the source has for another tenancy by their name."""
        if not extra:
            return []
        elsewhere = self._states.elsewhere(self._connection, [key for key, _ in extra])
        return [
            Difference(
                entry.tenancy, entry.key, Kind.WRONG_TENANCY if key in elsewhere else entry.kind, (), entry.place
            )
            for key, entry in extra
        ]

    def _find_strangers(self) -> None:
        strangers = self._copy.strangers(MOST_LISTED)
        self._note([self._told(key, Kind.WRONG_TENANCY, repairable=False) for key in strangers])

    def _find_ahead(self) -> None:
        newest = self._copy.newest()
        if newest is None:
            return
        tenancy, sequence_id = newest
        row = self._connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
        if row is not None and sequence_id > row[0]:
            self._note([self._told(Key(tenancy, ()), Kind.AHEAD)])

    def _watch(self) -> None:
        """Look again at what waits for the sequencer, until nothing does or the patience is over."""
        started = self._clock()
        while self._watched and self._clock() - started < self._patience_seconds:
            self._sleep(_LOOK_AGAIN_SECONDS)
            now = self._states.read(self._connection, list(self._watched))
            self._watched = {
                key: state
                for key, state in self._watched.items()
                if now[key].unnumbered and now[key].version == state.version
            }
        self._waiting.subtract(key.tenancy for key in self._watched)
        self._note([self._told(key, Kind.NEVER_NUMBERED) for key in self._watched])

    def _note(self, differences: list[Difference]) -> None:
        self._differing.update(difference.tenancy for difference in differences)
        self._listed += differences[: MOST_LISTED - len(self._listed)]
        if self._repair is not None and differences:
            self._repair(differences)


def _in_parts(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def _by_first(answer: Answer) -> _Sums:
    sums: _Sums = defaultdict(lambda: (0, 0))
    sums.update((name, (rows, int(hashes))) for name, rows, hashes in answer)
    return sums


def _hashes(answer: Iterable[tuple[str, Sequence[str], int]]) -> defaultdict[Key, Counter[int]]:
    found: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    for tenancy, key, row_hash in answer:
        found[Key(tenancy, tuple(key))][row_hash] += 1
    return found
