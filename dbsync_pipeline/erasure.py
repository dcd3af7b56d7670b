"""Erases a deleted tenancy: every version of its rows, its checkpoints, and what the source remembers of it.

It begins when ClickHouse has got the tenancy's deletions. Then nothing of it is left to claim, and whoever has claimed
something or still sees the source as it was is waited for, so that nobody brings a row back. What is erased has
sequence ids up to the mark of that moment: a tenancy that comes back meanwhile has higher ones, and loses nothing. The
tenancy's own row goes last, as it is what says that there is something to do; so this may end anywhere, and begin anew.

One row a mapping stays, in dbsync.purged: an external database that was kept, or forgotten earlier, must not be trusted
if the tenancy ever comes back to it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from dbsync_pipeline.completeness import wait_until
from dbsync_pipeline.controls import between_batches
from dbsync_pipeline.destinations.clickhouse.erasing import ClickHouseErasure
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.destinations.postgres import erasing
from dbsync_pipeline.engine.snapshot import open_views
from dbsync_pipeline.errors import BehindError, DbsyncError, DestinationError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE, DISTRUST, expression, ours, table_name
from dbsync_pipeline.mappings.types import data_type
from dbsync_pipeline.pending.standing import is_claimed
from dbsync_pipeline.pipeline import Pipeline

PATIENCE_SECONDS = 60.0
"""How long what is under way is waited for."""

_LOOK_AGAIN_SECONDS = 0.1

_SOURCE = "source"
_BOOKS = ("tombstone", "pending", "pause", "verified", "destination", "tenancy")
"""Not `placement`: what is there of it are rows that the application has left behind, and goes with them."""

_DUE = """
select tenancy_id::text from dbsync.tenancy where deleted_at < clock_timestamp() - make_interval(secs => %s)
order by deleted_at
"""

_IS_THERE: LiteralString = """
select exists (select from dbsync.tenancy where tenancy_id = {id} and deleted_at is null)
    or exists (select from {table} as source where {column} = {id})
"""
_WAIT_NO_LONGER: LiteralString = """
with waiting as materialized (
    select destination_id, mapping_id from dbsync.pending where tenancy_id = {id} and wanted > reached
    -- The same order as everyone else who changes several of these rows.
    order by destination_id, tenancy_id, mapping_id
    for update
)
update dbsync.pending p set wanted = p.reached, attempts = 0, last_error = null from waiting
where p.tenancy_id = {id} and (p.destination_id, p.mapping_id) = (waiting.destination_id, waiting.mapping_id)
"""
_CLOSE: tuple[LiteralString, ...] = (
    DISTRUST,
    _WAIT_NO_LONGER,
    "delete from dbsync.tombstone where tenancy_id = {id}",
)
_FORGET_TENANCY: LiteralString = "delete from dbsync.tenancy where tenancy_id = {id} and deleted_at is not null"
_FORGET: tuple[LiteralString, ...] = (
    "delete from dbsync.destination where tenancy_id = {id}",
    "delete from dbsync.pending where tenancy_id = {id}",
    "delete from dbsync.pause where tenancy_id = {id}",
    "delete from dbsync.verified where tenancy_id = {id}",
)


@dataclass(frozen=True)
class ErasedTable:
    """What one table held of the tenancy.

    Attributes:
        destination_id: a destination, or `source`.
        before: rows, in ClickHouse all versions of them, or checkpoints, or entries.
        after: the same, counted when it was done.
    """

    destination_id: str
    table: str
    before: int
    after: int


@dataclass
class Erased:
    """The proof.

    Attributes:
        kept: external databases that the settings say to leave as they are; they are forgotten.
        errors: destination -> why the tenancy is not erased there; then it has to be erased again.
    """

    tenancy: str
    tables: list[ErasedTable] = field(default_factory=list[ErasedTable])
    kept: list[str] = field(default_factory=list[str])
    errors: dict[str, str] = field(default_factory=dict[str, str])

    def require_complete(self) -> None:
        """Raise what kept the tenancy from being erased everywhere.

        Raises:
            DbsyncError: something did.
        """
        for destination_id, error in self.errors.items():
            raise DbsyncError(
                f"tenancy {self.tenancy} is not erased in {destination_id}: {error}",
                "Erase it again; what is done is not done twice.",
            )


def due(connection: psycopg.Connection, *, days: float) -> list[str]:
    """Return the tenancies that were deleted longer ago than some days and are not erased, the first first."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_DUE, [days * 86_400]).fetchall()


def erase(
    pipeline: Pipeline,
    tenancy: str,
    *,
    delivery_seconds: float = PATIENCE_SECONDS,
    workers_seconds: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Erased:
    """Erase a tenancy; one that is erased already, or never was, only has its absence proved.

    Args:
        pipeline: the deployment.
        tenancy: its id as text.
        delivery_seconds: how long to wait for its deletions to be delivered.
        workers_seconds: how long to wait after that for workers that began before.
        clock: tells seconds.
        sleep: waits for some.

    Returns:
        What there was and is; `errors` says what is left to do.

    Raises:
        DestinationError: it is no tenancy's id, or the source has that tenancy.
        BehindError: its deletions are not delivered to ClickHouse, or a worker is still at it.
        NotInstalledError: source or ClickHouse lack what `dbsync init` makes.
        UnreachableError: source or ClickHouse does not answer.
    """
    with pipeline.source("erase") as connection:
        require_installed(connection, pipeline.catalog)
        books = _Books(connection, pipeline.catalog, tenancy)
        books.require_gone()
        before = books.count()
        if before["tenancy"]:
            wait_until(
                connection,
                pipeline.catalog,
                pipeline.columns,
                tenancy,
                destination_id=CLICKHOUSE,
                timeout_seconds=delivery_seconds,
                clock=clock,
                sleep=sleep,
            )
        upto = books.close()
        with pipeline.reading() as reading:
            _wait_for_workers(connection, reading, tenancy, until=clock() + workers_seconds, clock=clock, sleep=sleep)
        done = Erased(tenancy)
        done.tables += _erase_clickhouse(pipeline, tenancy, upto)
        _erase_external(pipeline, connection, done, upto)
        if books.is_there():
            done.errors[_SOURCE] = "it has come back; what it had before is gone, what it has now stays"
        else:
            done.errors |= {entry.destination_id: "some of it is left" for entry in done.tables if entry.after}
        if not done.errors:
            books.forget()
        after = books.count()
    done.tables += [ErasedTable(_SOURCE, f"dbsync.{book}", before[book], after[book]) for book in _BOOKS]
    return done


class _Books:
    """What the source remembers of one tenancy."""

    def __init__(self, connection: psycopg.Connection, catalog: Catalog, tenancy: str) -> None:
        self._connection = connection
        self._tenancy = tenancy
        tenancy_id = sql.SQL("{}::{}").format(
            sql.Literal(tenancy), expression(data_type(catalog.tenancy.type).postgres)
        )
        self._names = {
            "id": tenancy_id,
            "pairs": sql.SQL("p.tenancy_id = {}").format(tenancy_id),
            "table": table_name(catalog.tenancy.table),
            "column": sql.Identifier("source", catalog.tenancy.id),
        }

    def require_gone(self) -> None:
        try:
            is_there = self.is_there()
        except psycopg.DataError:
            raise DestinationError(
                f"no tenancy {self._tenancy!r}", "Its id is that of the application's own table."
            ) from None
        if is_there:
            raise DestinationError(
                f"tenancy {self._tenancy} is there in the source",
                "Only one that the application has deleted is erased.",
            )

    def is_there(self) -> bool:
        """Whether the application has the tenancy."""
        return self._connection.execute(self._named(_IS_THERE)).fetchone() == (True,)

    def count(self) -> dict[str, int]:
        """Return how many entries each book has of it."""
        counts = sql.SQL(", ").join(
            sql.SQL("(select count(*) from {} where tenancy_id = {})").format(ours(book), self._names["id"])
            for book in _BOOKS
        )
        row = self._connection.execute(sql.SQL("select {}").format(counts)).fetchone()
        assert row is not None
        return dict(zip(_BOOKS, row, strict=True))

    def close(self) -> int:
        """Leave nothing of it to be claimed; return up to which sequence id it is to be erased."""
        with between_batches(self._connection):
            self.require_gone()
            for statement in _CLOSE:
                self._connection.execute(self._named(statement))
            row = self._connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
        return row[0] if row is not None else 0

    def forget(self) -> None:
        """Remove the rest, the tenancy itself last of all, unless it has come back."""
        with between_batches(self._connection):
            # Whoever brings it back at this moment is waited for.
            self._connection.execute(self._named(_FORGET_TENANCY))
            self.require_gone()
            for statement in _FORGET:
                self._connection.execute(self._named(statement))

    def _named(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(**self._names)


def _wait_for_workers(
    connection: psycopg.Connection,
    reading: psycopg.Connection,
    tenancy: str,
    *,
    until: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Wait for those who have claimed something of it, and for those whose lease is over but who still see it."""
    seen = open_views(reading)
    while is_claimed(connection, tenancy) or seen & open_views(reading):
        if clock() >= until:
            raise BehindError(
                f"tenancy {tenancy} is not erased: a worker that began before is still delivering",
                "Erase it again when that has ended; `dbsync status` shows what is delivered.",
            )
        sleep(_LOOK_AGAIN_SECONDS)


def _erase_clickhouse(pipeline: Pipeline, tenancy: str, upto: int) -> Iterator[ErasedTable]:
    with pipeline.clickhouse() as clickhouse:
        holdings = ClickHouseErasure(clickhouse, pipeline.catalog, pipeline.clickhouse_names, tenancy)
        for table in holdings.tables():
            before = after = holdings.rows(table)
            if before:
                holdings.erase(table, upto)
                after = holdings.rows(table)
            yield ErasedTable(CLICKHOUSE, table, before, after)


def _erase_external(pipeline: Pipeline, connection: psycopg.Connection, done: Erased, upto: int) -> None:
    extent, names = pipeline.settings.erase_external, pipeline.external_tables
    for database in databases_of(connection, [done.tenancy]):
        if extent == "keep":
            done.kept.append(database.destination_id)
            continue
        try:
            with closing(pipeline.external_session(database.connection)) as session:
                counts = erasing.erase(session, names, database.tenancy_id, upto, drop=extent == "tables")
        except DbsyncError as error:
            # It is tried again with the tenancy; the others do not wait for it.
            done.errors[database.destination_id] = error.what
        else:
            done.tables += [ErasedTable(database.destination_id, table, *found) for table, found in counts.items()]
