"""Read your writes: waits until a destination holds everything of a tenancy up to some point.

The point is a sequence id, or the moment of the call. Then whatever was committed and has no number yet is noted, and
what is noted has to be numbered first. That a row is numbered shows in its number, which only ever grows, so a row that
goes on changing keeps nobody waiting. What the sequencer has passed is pending in the transaction that numbered it; so
is what it has made up for, where something could not be captured.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import BehindError, DestinationError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import feeds_of
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    column,
    dirty_condition,
    identity_object,
    rebuilt_row,
    same_columns,
    table_name,
)
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping
from dbsync_pipeline.missed import read_missed

_SHORTEST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25
_MOST_NOTED = 20_000
"""Rows of one table that are noted one by one; as long as more wait, it is enough to know that."""

# The id is compared as what it is, of those that may have it: no index serves its text, or the tenancy alone.
_RECEIVES = """
d.enabled and (d.tenancy_id is null or d.tenancy_id = %(tenancy)s)
    and (%(destination)s::text is null or d.destination_id = %(destination)s)
"""
_UNANNOUNCED = (
    "select d.destination_id from dbsync.destination d where not d.announced and "  # noqa: S608 -- made of constants
    + _RECEIVES
    + " limit 1"
)
_BEHIND = (
    """
select p.destination_id, p.mapping_id, p.reached, p.paused, p.last_error
from dbsync.destination d join dbsync.pending p using (destination_id)
where p.tenancy_id = %(tenancy)s and p.wanted > p.reached and p.reached < %(sequence_id)s and
"""
    + _RECEIVES
    + """
order by p.last_error is null, p.destination_id, p.mapping_id
limit 1
"""
)

# Before anything else is delivered there, a copy is compared with the source; see `engine.gaps`.
_COMPARED = (
    """
select exists (
    select from dbsync.destination d join dbsync.pending p using (destination_id)
    join dbsync.purged u on u.tenancy_id = p.tenancy_id and u.mapping_id = p.mapping_id
    where p.tenancy_id = %(tenancy)s and p.wanted > p.reached and p.reached < u.sequence_id and
"""
    + _RECEIVES
    + ")"
)


@dataclass(frozen=True)
class _Unnumbered:
    """Rows of one source table that had to be numbered; `identities` with the number that each had.

    Where there were too many, not all of them. They are noted again then: what was noted and has no number yet is
    among them.
    """

    mappings: Sequence[SyncMapping]
    identities: list[tuple[object, int | None]]

    @property
    def too_many(self) -> bool:
        return len(self.identities) > _MOST_NOTED


def wait_until(
    connection: psycopg.Connection,
    catalog: Catalog,
    columns: SyncColumns,
    tenancy: str,
    *,
    sequence_id: int | None = None,
    destination_id: str | None = None,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Return when a destination holds everything of a tenancy up to a point.

    Args:
        connection: a session on the source, in autocommit mode.
        catalog: the mappings in use.
        columns: names of the sync columns.
        tenancy: its id as text.
        sequence_id: the point; None means everything committed by now.
        destination_id: who has to hold it; None means everybody who receives the tenancy.
        timeout_seconds: how long to wait.
        clock: tells seconds.
        sleep: waits for some.

    Returns:
        The sequence id up to which everything of the tenancy is there.

    Raises:
        DestinationError: there is no such tenancy or destination.
        BehindError: it took longer than that.
    """
    _require(connection, tenancy, destination_id)
    deadline = clock() + timeout_seconds
    pause = _SHORTEST_PAUSE_SECONDS

    def until(obstacle: Callable[[], str | None]) -> None:
        nonlocal pause
        while (found := obstacle()) is not None:
            if clock() >= deadline:
                raise BehindError(f"tenancy {tenancy} is behind: {found}", "`dbsync status` shows what it waits for.")
            sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    while True:
        # First, as it may be of any tenancy, and what it is gets its number by being made up for.
        until(lambda: _not_captured(connection, catalog))
        compared = _to_be_compared(connection, tenancy, destination_id)
        if sequence_id is None:
            numbering = _Numbering(connection, catalog, columns, tenancy)
            until(numbering.obstacle)
            sequence_id = _last_sequence_id(connection)
        wanted = sequence_id
        until(partial(_not_numbered, connection, wanted))
        until(partial(_not_delivered, connection, tenancy, wanted, destination_id))
        if not compared:
            return wanted
        # What the comparison has found to be gone comes after that.
        sequence_id = None


class _Numbering:
    """What of a tenancy has no number at one moment."""

    def __init__(self, connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns, tenancy: str) -> None:
        self._connection = connection
        self._columns = columns
        self._feeds = [feed.dependant_id for mapping in catalog.mappings for feed in feeds_of(catalog, mapping)]
        self._tenancy = tenancy
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read read only")
            self._rows = [
                _Unnumbered(mappings, self._dirty(mappings))
                for mappings in map(catalog.mappings_of, catalog.source_tables)
            ]
            row = connection.execute(
                "select coalesce((select max(tombstone_id) from dbsync.tombstone where sequence_id is null), 0), "
                "coalesce((select max(touch_id) from dbsync.touch), 0)"
            ).fetchone()
        assert row is not None
        self._tombstone, self._touch = row

    def obstacle(self) -> str | None:
        """Say what is still without a number; None when nothing is."""
        # Touches first: a touch leaves in the transaction that numbers its rows.
        waiting = self._connection.execute(
            "select exists (select from dbsync.touch where touch_id <= %s and dependant_id = any(%s)), "
            "exists (select from dbsync.tombstone where sequence_id is null and tombstone_id <= %s "
            "and (tenancy_id = %s or tenancy_id is null))",
            [self._touch, self._feeds, self._tombstone, self._tenancy],
        ).fetchone()
        if waiting != (False, False):
            return "changes that feed other rows, or deletions, wait for the sequencer"
        while self._rows:
            rows = self._rows[-1]
            if rows.too_many:
                rows = self._rows[-1] = _Unnumbered(rows.mappings, self._dirty(rows.mappings))
            if rows.too_many or self._still_dirty(rows):
                return f"rows of {rows.mappings[0].source} wait for the sequencer"
            self._rows.pop()
        return None

    def _dirty(self, mappings: Sequence[SyncMapping]) -> list[tuple[object, int | None]]:
        # Where another table says whose a row is, all of them count.
        owned = [mapping.tenancy.column for mapping in mappings if mapping.tenancy.column is not None]
        whose = sql.SQL("")
        if len(owned) == len(mappings):
            whose = sql.SQL(" and {} = {}").format(column(owned[0]), sql.Literal(self._tenancy))
        statement = sql.SQL(
            "select {identity}::text, {sequence} from {table} as source where {dirty}{whose} limit {limit}"
        ).format(
            identity=identity_object(mappings[0]),
            sequence=column(self._columns.sequence),
            table=table_name(mappings[0].source),
            dirty=dirty_condition(mappings, self._columns),
            whose=whose,
            limit=sql.Literal(_MOST_NOTED + 1),
        )
        return self._connection.execute(statement).fetchall()

    def _still_dirty(self, rows: _Unnumbered) -> bool:
        if not rows.identities:
            return False
        mapping = rows.mappings[0]
        statement = sql.SQL(
            "select exists (select from unnest({identities}::jsonb[], {numbers}::bigint[]) "
            "as noted (identity, number) "
            "cross join {noted_row} join {table} as source on {same} "
            "where {dirty} and {sequence} is not distinct from noted.number)"
        ).format(
            identities=sql.Literal([identity for identity, _ in rows.identities]),
            numbers=sql.Literal([number for _, number in rows.identities]),
            noted_row=rebuilt_row(mapping.source, sql.SQL("noted.identity"), "noted_row"),
            table=table_name(mapping.source),
            same=same_columns(mapping.identity, SOURCE, "noted_row"),
            dirty=column(self._columns.dirty),
            sequence=column(self._columns.sequence),
        )
        return self._connection.execute(statement).fetchone() == (True,)


def _require(connection: psycopg.Connection, tenancy: str, destination_id: str | None) -> None:
    row = connection.execute(
        "select exists (select from dbsync.tenancy where tenancy_id::text = %(tenancy)s), "
        "%(destination)s::text is null or exists (select from dbsync.destination "
        "where destination_id = %(destination)s and enabled "
        "and (tenancy_id is null or tenancy_id::text = %(tenancy)s))",
        {"tenancy": tenancy, "destination": destination_id},
    ).fetchone()
    known, receives = row if row is not None else (False, False)
    if not known:
        raise DestinationError(f"no tenancy {tenancy!r}", "Its id is that of the application's own table.")
    if not receives:
        raise DestinationError(
            f"no destination {destination_id!r} receives tenancy {tenancy}",
            "It is `clickhouse`, or an id that `dbsync destination list` shows as enabled.",
        )


def _not_captured(connection: psycopg.Connection, catalog: Catalog) -> str | None:
    return next(map(str, read_missed(connection, catalog).values()), None)


def _to_be_compared(connection: psycopg.Connection, tenancy: str, destination_id: str | None) -> bool:
    parameters = {"tenancy": tenancy, "destination": destination_id}
    return connection.execute(_COMPARED, parameters).fetchone() == (True,)


def _last_sequence_id(connection: psycopg.Connection) -> int:
    row = connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
    return row[0] if row is not None else 0


def _not_numbered(connection: psycopg.Connection, sequence_id: int) -> str | None:
    last = _last_sequence_id(connection)
    return None if last >= sequence_id else f"the last sequence id is {last}, not {sequence_id}"


def _not_delivered(
    connection: psycopg.Connection, tenancy: str, sequence_id: int, destination_id: str | None
) -> str | None:
    parameters = {"tenancy": tenancy, "sequence_id": sequence_id, "destination": destination_id}
    # First, as what a destination is to get is pending from the moment on at which it is announced.
    unannounced = connection.execute(_UNANNOUNCED, parameters).fetchone()
    if unannounced is not None:
        return f"{unannounced[0]} is new or was changed, and waits for the sequencer"
    row = connection.execute(_BEHIND, parameters).fetchone()
    if row is None:
        return None
    destination, mapping_id, reached, paused, error = row
    why = ", paused" if paused else "" if error is None else f", failing: {error}"
    return f"{mapping_id} in {destination} has reached {reached} of {sequence_id}{why}"
