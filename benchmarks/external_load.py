"""How fast one tenancy's users reach its owner's Postgres, beside sling, dlt, a statement per row, and bare PostgreSQL.

All sides read the mapping's columns with its joins: ours by its own queries, the rivals from a view of the same, in
which documents are text for their sake. Ours is a worker from its first connection to its last checkpoint, into a table
with a primary key. The rivals make their tables themselves and count from their first connection to their end. Sling is
measured twice: told to make that key, so that both leave the same behind, and as it comes, without. Neither
interpreters nor imports count on any side; sling, a native program, has neither. A statement per row is the naive way:
rows read by one cursor, each written by a prepared INSERT .. ON CONFLICT that commits by itself, into the same table as
ours; a part of the rows shows its rate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

from psycopg import sql

from benchmarks.bench import Bench
from benchmarks.external_bare import bare_pipe, bare_upsert, statement_per_row
from benchmarks.external_place import (
    TARGET,
    VIEW,
    Load,
    Place,
    change,
    counted,
    deliver,
    expect_rows,
    highest_sequence,
    keep,
    make_tables,
    prepared,
)
from benchmarks.rivals import RIVAL_SCHEMA, installed_rivals
from benchmarks.row import Row, Target, in_turn, median_ratio
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE

_STATEMENTS = 10_000
_KEY = "id"


@dataclass(frozen=True)
class _Rival:
    """Another way to fill the target.

    Attributes:
        described: what it is, for a reader of the results.
        wanted: how many times its speed ours is to be; None where it is a limit and no rival.
    """

    name: str
    described: str
    wanted: float | None


_SLING = _Rival("sling", "sling, with the same primary key", 2)
_SLING_KEYLESS = _Rival("sling_keyless", "sling, whose table then has no key", 2)
_DLT = _Rival("dlt", "dlt, pyarrow backend, CSV", 6)
_NAIVE = _Rival("statement_per_row", "one INSERT .. ON CONFLICT per row", 50)
_PIPE = _Rival("bare", "bare COPY into COPY, then the key", None)
_UPSERT = _Rival("bare", "the same upsert alone, of rows already in the target", None)


@dataclass(frozen=True)
class _Side:
    """A rival with a table of its own; `load` returns seconds, and `table` is where the rows are then."""

    rival: _Rival
    table: sql.Identifier
    load: Callable[[str | None], float]

    @property
    def filled(self) -> str:
        """Name of the database that holds what it loaded first."""
        return f"{TARGET}_{self.rival.name}"


def first_load(bench: Bench) -> Iterator[Row]:
    """Measure each rival in turn with ours, each time into an empty database."""
    place = prepared(bench)
    loads: list[Load] = []
    contains = f"{place.users:,} users of one tenancy with their primary e-mail addresses"

    def ours(_round: int) -> Load:
        bench.database(TARGET)
        load = deliver(place)
        loads.append(replace(load, rows=counted(place, place.table, above=0)))
        return loads[-1]

    def beside(rival: _Rival, load: Callable[[], Load], note: str) -> Row:
        bench.say(f"first load to Postgres: beside {rival.described}")
        mine, theirs = in_turn(ours, lambda _round: load(), bench.rounds)
        expect_rows([*mine, *([] if rival is _NAIVE else theirs)], place.users)
        return _row("first_load_postgres", rival, mine, theirs, f"{contains}{note}")

    def side_loads(side: _Side) -> Load:
        bench.database(TARGET)
        seconds = side.load(None)
        return Load(counted(place, side.table, above=0), seconds)

    def pipe() -> Load:
        bench.database(TARGET)
        seconds = bare_pipe(place)
        return Load(counted(place, place.table, above=0), seconds)

    def naive() -> Load:
        bench.database(TARGET)
        make_tables(place)
        return Load(statements, statement_per_row(place, statements))

    for side in _sides(place):
        yield beside(side.rival, lambda of=side: side_loads(of), ", into an empty database.")
    statements = min(_STATEMENTS, place.users)
    yield beside(_NAIVE, naive, f"; the rival's first {statements:,}.")
    yield beside(_PIPE, pipe, "; the limit's without tenancies, checkpoints or a way to go on.")
    yield Row(
        name="memory_external_worker",
        value=max(load.megabytes for load in loads),
        unit="MB",
        target=Target("value", "<=", 300),
        contains="Peak resident memory of the worker's process during any of these loads, the interpreter included.",
    )
    place.drop()


def incremental(bench: Bench) -> Iterator[Row]:
    """Measure each rival in turn with ours, each time from a copy of what its own first load left."""
    place = prepared(bench)
    sides = _sides(place)
    bench.say("incremental to Postgres: first loads")
    for side in sides:
        bench.database(TARGET)
        side.load(SEQUENCE)
        keep(place, side.filled)
    bench.database(TARGET)
    deliver(place)
    ours_filled = f"{TARGET}_ours"
    keep(place, ours_filled)
    before = highest_sequence(place)
    changed = change(place)
    contains = f"{changed:,} changed rows of {place.users:,}, into a copy of what the side's own first load left"

    def ours(_round: int) -> Load:
        bench.database(TARGET, template=ours_filled)
        load = deliver(place)
        return replace(load, rows=counted(place, place.table, above=before))

    def beside(rival: _Rival, load: Callable[[], Load], note: str = ".") -> Row:
        bench.say(f"incremental to Postgres: beside {rival.described}")
        mine, theirs = in_turn(ours, lambda _round: load(), bench.rounds)
        expect_rows([*mine, *([] if rival is _NAIVE else theirs)], changed)
        return _row("incremental_postgres", rival, mine, theirs, f"{contains}{note}")

    def side_loads(side: _Side) -> Load:
        bench.database(TARGET, template=side.filled)
        seconds = side.load(SEQUENCE)
        return Load(counted(place, side.table, above=before), seconds)

    def naive() -> Load:
        bench.database(TARGET, template=ours_filled)
        return Load(statements, statement_per_row(place, statements, above=before))

    def upsert() -> Load:
        bench.database(TARGET, template=ours_filled)
        seconds = bare_upsert(place, above=before)
        return Load(counted(place, place.table, above=before), seconds)

    for side in sides:
        yield beside(side.rival, lambda of=side: side_loads(of))
    statements = min(_STATEMENTS, changed)
    yield beside(_NAIVE, naive, "; the rival's a part.")
    yield beside(_UPSERT, upsert, "; the limit's are neither read from the source nor carried to the target.")
    place.drop(ours_filled, *(side.filled for side in sides))


def _row(name: str, rival: _Rival, mine: list[Load], theirs: list[Load], contains: str) -> Row:
    ours, others = ([load.rows_per_second for load in loads] for loads in (mine, theirs))
    return Row(
        name=f"{name}_{rival.name}",
        value=median(ours),
        unit="rows/s",
        rival=rival.described,
        rival_value=median(others),
        ratio=median_ratio(ours, others),
        target=None if rival.wanted is None else Target("ratio", ">=", rival.wanted),
        contains=contains,
    )


def _sides(place: Place) -> list[_Side]:
    rivals = installed_rivals(place.bench.say)
    if rivals is None:
        return []
    table = sql.Identifier(RIVAL_SCHEMA, VIEW)

    def side(rival: _Rival, load: Callable[[str, str, str, str, str | None], float]) -> _Side:
        return _Side(rival, table, lambda cursor: load(place.source_url, place.target_url, VIEW, _KEY, cursor))

    return [side(_SLING, rivals.sling), side(_SLING_KEYLESS, rivals.sling_keyless), side(_DLT, rivals.dlt)]
