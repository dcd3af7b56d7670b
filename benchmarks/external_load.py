"""How fast one tenancy's users reach its owner's Postgres, beside sling, dlt, and a statement per row.

Every row is numbered already; source and target are databases of one server, with commits that survive a crash. All
sides read the mapping's columns with its joins: ours by its own queries, the rivals from a view of the same, in which
documents are text for their sake. Ours is a worker from its first connection to its last checkpoint, into a table with
a primary key. The rivals make their tables themselves and count from their first connection to their end. Neither
interpreters nor imports count on any side; sling, a native program, has neither. A statement per row is the naive way:
rows read by one cursor, each written by a prepared INSERT .. ON CONFLICT that commits by itself, into the same table as
ours; a part of the rows shows its rate.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median
from threading import Event

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, generated_source, number_all, settle
from benchmarks.first_load import live_rows
from benchmarks.rivals import RIVAL_SCHEMA, installed_rivals
from benchmarks.row import Row, Target, in_turn, median_ratio
from benchmarks.worker import in_new_process, peak_memory
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.destinations.base import ProjectedColumn
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.destinations.postgres.destination import PostgresDestination
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.pipeline import Pipeline

_USERS = 1_000_000
_CHANGED_PER_HUNDRED = 10
_STATEMENTS = 10_000
_MAPPING = "users"
_KEY = "id"
_OUR_KEY = ("tenancy_id", "id")
_VIEW = "bench_users"
_SOURCE = "bench_external_source"
_TARGET = "bench_external_target"
_FOREVER = float("inf")


@dataclass(frozen=True)
class _Load:
    rows: int
    seconds: float
    megabytes: float = 0.0

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True)
class _Place:
    """A source with one large tenancy, and the target that its owner configured."""

    bench: Bench
    pipeline: Pipeline
    destination_id: str
    users: int

    @property
    def source_url(self) -> str:
        return self.bench.postgres.url(_SOURCE)

    @property
    def target_url(self) -> str:
        return self.bench.postgres.url(_TARGET)


@dataclass(frozen=True)
class _Side:
    """One way to fill the target; `load` returns seconds, and `table` is where the rows are then."""

    name: str
    table: sql.Identifier
    load: Callable[[str | None], float]

    @property
    def filled(self) -> str:
        """Name of the database that holds what it loaded first."""
        return f"{_TARGET}_{self.name}"


def first_load(bench: Bench) -> Iterator[Row]:
    """Measure each rival in turn with ours, each time into an empty database."""
    place = _prepared(bench)

    def ours(_round: int) -> _Load:
        bench.database(_TARGET)
        load = _deliver(place)
        return replace(load, rows=_counted(place, _our_table(place), above=0))

    def rival(side: _Side) -> _Load:
        bench.database(_TARGET)
        seconds = side.load(None)
        return _Load(_counted(place, side.table, above=0), seconds)

    loads: list[_Load] = []
    contains = f"{place.users:,} users of one tenancy with their primary e-mail addresses"
    for side in _sides(place):
        bench.say(f"first load to Postgres: beside {side.name}")
        mine, theirs = in_turn(ours, lambda _round, of=side: rival(of), bench.rounds)
        _expect_rows([*mine, *theirs], place.users)
        loads += mine
        yield _row("first_load_postgres", side.name, mine, theirs, f"{contains}, into an empty database.")
    bench.say("first load to Postgres: beside a statement per row")
    statements = min(_STATEMENTS, place.users)

    def naive(_round: int) -> _Load:
        bench.database(_TARGET)
        _make_tables(place)
        return _Load(statements, _statement_per_row(place, statements))

    mine, theirs = in_turn(ours, naive, bench.rounds)
    loads += mine
    _expect_rows(mine, place.users)
    yield _row(
        "first_load_postgres", "statement_per_row", mine, theirs, f"{contains}; the rival's first {statements:,}."
    )
    yield Row(
        name="memory_external_worker",
        value=max(load.megabytes for load in loads),
        unit="MB",
        target=Target("value", "<=", 300),
        contains="Peak resident memory of the worker's process during any of these loads, the interpreter included.",
    )
    bench.drop(_SOURCE, _TARGET)


def incremental(bench: Bench) -> Iterator[Row]:
    """Measure each rival in turn with ours, each time from a copy of what its own first load left."""
    place = _prepared(bench)
    sides = _sides(place)
    bench.say("incremental to Postgres: first loads")
    for side in sides:
        bench.database(_TARGET)
        side.load(SEQUENCE)
        _keep(place, side.filled)
    bench.database(_TARGET)
    _deliver(place)
    ours_filled = f"{_TARGET}_ours"
    _keep(place, ours_filled)
    before = _highest_sequence(place)
    changed = _change(place)

    def ours(_round: int) -> _Load:
        bench.database(_TARGET, template=ours_filled)
        load = _deliver(place)
        return replace(load, rows=_counted(place, _our_table(place), above=before))

    def rival(side: _Side) -> _Load:
        bench.database(_TARGET, template=side.filled)
        seconds = side.load(SEQUENCE)
        return _Load(_counted(place, side.table, above=before), seconds)

    contains = f"{changed:,} changed rows of {place.users:,}, into a copy of what the side's own first load left."
    for side in sides:
        bench.say(f"incremental to Postgres: beside {side.name}")
        mine, theirs = in_turn(ours, lambda _round, of=side: rival(of), bench.rounds)
        _expect_rows([*mine, *theirs], changed)
        yield _row("incremental_postgres", side.name, mine, theirs, contains)
    bench.say("incremental to Postgres: beside a statement per row")
    statements = min(_STATEMENTS, changed)

    def naive(_round: int) -> _Load:
        bench.database(_TARGET, template=ours_filled)
        return _Load(statements, _statement_per_row(place, statements, above=before))

    mine, theirs = in_turn(ours, naive, bench.rounds)
    yield _row("incremental_postgres", "statement_per_row", mine, theirs, f"{contains[:-1]}; the rival's a part.")
    bench.drop(_SOURCE, _TARGET, ours_filled, *(side.filled for side in sides))


def _row(name: str, rival: str, mine: list[_Load], theirs: list[_Load], contains: str) -> Row:
    wanted, described = {
        "sling": (2, "sling"),
        "dlt": (6, "dlt, pyarrow backend, CSV"),
        "statement_per_row": (50, "one INSERT .. ON CONFLICT per row"),
    }[rival]
    return Row(
        name=f"{name}_{rival}",
        value=median(load.rows_per_second for load in mine),
        unit="rows/s",
        rival=described,
        rival_value=median(load.rows_per_second for load in theirs),
        ratio=median_ratio([load.rows_per_second for load in mine], [load.rows_per_second for load in theirs]),
        target=Target("ratio", ">=", wanted),
        contains=contains,
    )


def _prepared(bench: Bench) -> _Place:
    users = bench.scaled(_USERS, at_least=1_000)
    bench.say(f"external Postgres: a tenancy of {users:,} users, every row numbered")
    url = generated_source(bench, _SOURCE, DemoSize(tenancies=1, users=users, users_only=True))
    pipeline = bench.pipeline(url)
    with pipeline.source("bench") as connection:
        connection.execute(
            "insert into dbsync.destination (tenancy_id, name, connection, mappings) "
            """select "id", 'bench', %s, %s from "Tenancy" """,
            [bench.postgres.url(_TARGET), [_MAPPING]],
        )
        (database,) = databases_of(connection)
        number_all(pipeline)
        rows = live_rows(pipeline, pipeline.catalog.mapping(_MAPPING), _readable(pipeline))
        connection.execute(sql.SQL("create view {} as {}").format(sql.Identifier("public", _VIEW), rows))
    settle(url)
    return _Place(bench, pipeline, database.destination_id, users)


def _readable(pipeline: Pipeline) -> list[ProjectedColumn]:
    """Return what a copy shows, with documents as text: dlt asks for that, and its driver cannot read all of them."""
    mapping = pipeline.catalog.mapping(_MAPPING)
    documents = {entry.name for entry in mapping.columns_for("postgres") if entry.data_type.postgres == "jsonb"}
    destination = PostgresDestination(
        "",
        lambda: None,
        pipeline.external_session,
        pipeline.catalog,
        pipeline.external_tables,
        begin_again=lambda _mappings: None,
    )
    return [
        replace(entry, live=f"({entry.live})::text") if entry.name in documents else entry
        for entry in destination.projection(mapping)
    ]


def _sides(place: _Place) -> list[_Side]:
    rivals = installed_rivals(place.bench.say)
    if rivals is None:
        return []
    table = sql.Identifier(RIVAL_SCHEMA, _VIEW)

    def side(name: str, load: Callable[[str, str, str, str, str | None], float]) -> _Side:
        return _Side(name, table, lambda cursor: load(place.source_url, place.target_url, _VIEW, _KEY, cursor))

    return [side("sling", rivals.sling), side("dlt", rivals.dlt)]


def _our_table(place: _Place) -> sql.Identifier:
    return place.pipeline.external_tables.table(place.pipeline.catalog.mapping(_MAPPING))


def _deliver(place: _Place) -> _Load:
    """Deliver all there is, as if the source did not know how far the target is."""
    with place.pipeline.source("bench") as connection:
        connection.execute("update dbsync.pending set reached = default, claims = default")
    seconds, megabytes = in_new_process(_work, place.pipeline, place.destination_id)
    return _Load(0, seconds, megabytes)


def _work(pipeline: Pipeline, destination_id: str) -> tuple[float, float]:
    results: list[SyncResult] = []
    started = time.perf_counter()
    with pipeline.external_worker(destination_id, Selection(mappings=[_MAPPING])) as worker:
        worker.run(stop=Event(), max_seconds=_FOREVER, idle_seconds=0, report=results.extend)
        seconds = time.perf_counter() - started
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")
    return seconds, peak_memory()


def _statement_per_row(place: _Place, rows: int, above: int = 0) -> float:
    """Write so many rows, one by one, and return the seconds that took."""
    names = [entry.name for entry in _readable(place.pipeline)]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    read = sql.SQL("select {} from {} where {} > {}").format(
        columns, sql.Identifier("public", _VIEW), sql.Identifier(SEQUENCE), sql.Literal(above)
    )
    write = sql.SQL(
        "insert into {table} as target ({columns}) values ({values}) on conflict (tenancy_id, id) do update "
        "set {changes} where target.{sequence} < excluded.{sequence}"
    ).format(
        table=_our_table(place),
        columns=columns,
        values=sql.SQL(", ").join(sql.Placeholder() for _ in names),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names if name not in _OUR_KEY
        ),
        sequence=sql.Identifier(SEQUENCE),
    )
    started = time.perf_counter()
    with (
        psycopg.connect(place.source_url) as reading,
        psycopg.connect(place.target_url, autocommit=True) as writing,
        reading.cursor("rows") as cursor,
        writing.cursor() as writer,
    ):
        cursor.itersize = 1_000
        for row in islice(cursor.execute(read), rows):
            writer.execute(write, row, prepare=True)
        return time.perf_counter() - started


def _make_tables(place: _Place) -> None:
    """Make our tables in the target, and nothing else."""
    with place.pipeline.source("bench") as connection:
        (database,) = databases_of(connection)
    place.pipeline.inspect_external(replace(database, mappings=[_MAPPING]), prepare=True)


def _change(place: _Place) -> int:
    """Change some users, number them, and return how many."""
    with place.pipeline.source("bench") as connection:
        changed = connection.execute(
            """update "ProjectUser" set "displayName" = 'Changed' where hashtext("projectUserId"::text) %% 100 """
            "between 0 and %s",
            # Half of all hashes are negative, and so are their remainders.
            [2 * _CHANGED_PER_HUNDRED - 1],
        ).rowcount
    number_all(place.pipeline)
    settle(place.source_url)
    return changed


def _highest_sequence(place: _Place) -> int:
    with place.pipeline.source("bench") as connection:
        row = connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
    assert row is not None
    return row[0]


def _keep(place: _Place, name: str) -> None:
    """Keep the target under another name, as if it had been idle for long."""
    settle(place.target_url)
    place.bench.database(name, template=_TARGET)


def _counted(place: _Place, table: sql.Identifier, *, above: int) -> int:
    with psycopg.connect(place.target_url) as connection:
        query = sql.SQL("select count(*) from {} where {} > %s").format(table, sql.Identifier(SEQUENCE))
        row = connection.execute(query, [above]).fetchone()
    assert row is not None
    return row[0]


def _expect_rows(loads: list[_Load], rows: int) -> None:
    if {load.rows for load in loads} != {rows}:
        raise AssertionError(f"{rows} rows should have arrived, not {loads}")
