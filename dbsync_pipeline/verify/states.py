"""What the source says about single keys: what their rows hold, and whether everybody has been told.

A row is settled for a destination when no change of it waits: it is not dirty, no touch is about to send it again, no
tombstone of its key waits for a number, and every number that it or its tombstones have is one that the destination
has reached. What the destination holds for a settled key is what the source holds, or it is damaged.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import PLACEMENT, Feed, feeds_of
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    column,
    expression,
    identity_object,
    join_clause,
    joined,
    ours,
    placed_tenancy,
    rebuilt_row,
    row_filter,
    same_columns,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import SOURCE, Column, DestinationKind, SyncMapping
from dbsync_pipeline.mappings.types import data_type
from dbsync_pipeline.verify.statements import source_key, source_texts, text_array


@dataclass(frozen=True)
class Key:
    """A row of a mapping, wherever it is: its tenancy and the text of each column of its key."""

    tenancy: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class RowState:
    """One key in the source.

    Attributes:
        texts: text of every column that is compared; None where the mapping has no such row.
        sequence_id: the row's; 0 where there is none.
        unnumbered: it is dirty, or a tombstone of it has no number.
        forgotten: it has no number, and is not dirty, so that it will never get one.
        touched: a change of another table is about to send it again.
        entombed: the highest sequence id of its tombstones; 0 where there is none.
        version: what changes with every change of the row, seen or not.
    """

    texts: tuple[str | None, ...] | None = None
    sequence_id: int = 0
    unnumbered: bool = False
    forgotten: bool = False
    touched: bool = False
    entombed: int = 0
    version: str = field(default="", compare=False)

    def settled(self, reached: int) -> bool:
        """Whether a destination that has reached a sequence id holds just this."""
        return not (self.unnumbered or self.touched) and max(self.sequence_id, self.entombed) <= reached


class States:
    """Reads the states of keys of one mapping, as a destination would see them, and has their rows sent again."""

    def __init__(
        self, catalog: Catalog, mapping: SyncMapping, columns: SyncColumns, kind: DestinationKind, destination_id: str
    ) -> None:
        self._catalog = catalog
        self._mapping = mapping
        self._columns = columns
        self._kind: DestinationKind = kind
        self._destination_id = destination_id

    def reached(self, connection: psycopg.Connection, tenancies: Iterable[str]) -> dict[str, int]:
        """Return how far the destination is complete for each tenancy that ever had something to deliver."""
        statement = sql.SQL(
            "select tenancy_id::text, reached from {pending} where destination_id = {destination} "
            "and mapping_id = {mapping} and tenancy_id = any({tenancies}::{type}[])"
        ).format(
            pending=ours("pending"),
            destination=sql.Literal(self._destination_id),
            mapping=sql.Literal(self._mapping.mapping_id),
            tenancies=sql.Literal(sorted(set(tenancies))),
            type=self._tenancy_type,
        )
        return dict(connection.execute(statement).fetchall())

    def read(self, connection: psycopg.Connection, keys: Sequence[Key]) -> dict[Key, RowState]:
        """Return the state of each key."""
        found: dict[Key, RowState] = dict.fromkeys(keys, RowState())
        for position, sequence_id, dirty, touched, texts, version in connection.execute(self.rows(keys)).fetchall():
            key = keys[int(position) - 1]
            state = found[key]
            # Where the tenancy is not part of the row, several may have the key, one of them at most the tenancy's.
            found[key] = RowState(
                state.texts if texts is None else tuple(texts),
                state.sequence_id if texts is None else sequence_id or 0,
                state.unnumbered or dirty,
                state.forgotten or (texts is not None and sequence_id is None and not dirty),
                state.touched or touched,
                version=f"{state.version} {version}",
            )
        for position, entombed, unnumbered in connection.execute(self.tombstones(keys)).fetchall():
            key = keys[int(position) - 1]
            state = found[key]
            found[key] = replace(state, unnumbered=state.unnumbered or unnumbered, entombed=entombed or 0)
        return found

    def elsewhere(self, connection: psycopg.Connection, keys: Sequence[Key]) -> set[Key]:
        """Return those keys that rows of other tenancies have."""
        statement = sql.SQL(
            "with {asked} select position from asked cross join {wanted} where exists ("
            "select from {table} as source where {same} and {owner} is distinct from asked.tenancy_id)"
        ).format(
            asked=self._asked(keys),
            wanted=self._wanted("wanted"),
            table=table_name(self._mapping.source),
            same=same_columns(self._key, SOURCE, "wanted"),
            owner=sql.SQL("null") if self._mapping.tenancy.column is None else column(self._mapping.tenancy.column),
        )
        return {keys[position - 1] for (position,) in connection.execute(statement)}

    def mark(self, connection: psycopg.Connection, keys: Sequence[Key]) -> None:
        """Mark the rows of keys dirty, so that they are sent again."""
        statement = sql.SQL(
            "with {asked} update {table} as source set {dirty} = true from asked cross join {wanted} where {same}"
        ).format(
            asked=self._asked(keys),
            table=table_name(self._mapping.source),
            dirty=sql.Identifier(self._columns.dirty),
            wanted=self._wanted("wanted"),
            same=self._same_row,
        )
        connection.execute(statement)

    def entomb(self, connection: psycopg.Connection, keys: Sequence[Key]) -> None:
        """Write tombstones for keys, whether or not there ever were such rows."""
        statement = sql.SQL(
            "with {asked} insert into {tombstone} (mapping_id, tenancy_id, identity) "
            "select {mapping}, asked.tenancy_id, {identity} from asked cross join {source}"
        ).format(
            asked=self._asked(keys),
            tombstone=ours("tombstone"),
            mapping=sql.Literal(self._mapping.mapping_id),
            identity=identity_object(self._mapping),
            source=self._wanted(SOURCE),
        )
        connection.execute(statement)

    def rows(self, keys: Sequence[Key]) -> sql.Composed:
        """Return the SELECT of (position of the key, sequence id, dirty, touched, texts, version), a line a row."""
        mapping = self._mapping
        present = sql.SQL("{filter} and {tenancy} = asked.tenancy_id and tenancy.tenancy_id is not null").format(
            filter=row_filter(mapping),
            tenancy=placed_tenancy(mapping) if mapping.has_placement else tenancy_value(mapping),
        )
        return sql.SQL(
            "with {asked} select asked.position, {sequence}, {dirty} and coalesce({filter}, false), {touched}, "
            "case when {present} then {texts} end, source.xmin::text "
            "from asked cross join {wanted} join {table} as source on {same} {joins} "
            "left join {tenancies} as tenancy on tenancy.tenancy_id = asked.tenancy_id and tenancy.deleted_at is null"
        ).format(
            asked=self._asked(keys),
            sequence=column(self._columns.sequence),
            dirty=column(self._columns.dirty),
            filter=row_filter(mapping),
            touched=joined((self._touched(feed) for feed in feeds_of(self._catalog, mapping)), " or "),
            present=present,
            texts=text_array(source_texts(self._catalog, mapping, self._kind)),
            wanted=self._wanted("wanted"),
            table=table_name(mapping.source),
            same=self._same_row,
            joins=joined((join_clause(join, outer=True) for join in mapping.joins), " "),
            tenancies=ours("tenancy"),
        )

    def tombstones(self, keys: Sequence[Key]) -> sql.Composed:
        """Return the SELECT of (position of the key, highest sequence id, whether one has none)."""
        # Those with a number and those without have an index each, and neither serves both.
        halves = (
            sql.SQL(
                "select t.tenancy_id, t.sequence_id, {key} as key from {tombstone} as t cross join {source} "
                "where t.mapping_id = {mapping} and t.sequence_id {half} "
                "and (t.tenancy_id = any(array(select tenancy_id from asked)) or t.tenancy_id is null)"
            ).format(
                key=text_array(source_key(self._mapping)),
                tombstone=ours("tombstone"),
                source=rebuilt_row(self._mapping.source, sql.SQL("t.identity"), SOURCE),
                mapping=sql.Literal(self._mapping.mapping_id),
                half=sql.SQL(half),
            )
            for half in ("is not null", "is null")
        )
        return sql.SQL(
            "with {asked}, buried as materialized ({halves}) "
            "select position, max(sequence_id), bool_or(sequence_id is null) from asked join buried using (key) "
            "where buried.tenancy_id = asked.tenancy_id or buried.tenancy_id is null group by position"
        ).format(asked=self._asked(keys), halves=joined(halves, " union all "))

    @property
    def _tenancy_type(self) -> sql.SQL:
        return expression(data_type(self._catalog.tenancy.type).postgres)

    @property
    def _key(self) -> tuple[str, ...]:
        return tuple(entry.source for entry in self._mapping.key_columns if entry.source is not None)

    @property
    def _same_row(self) -> sql.Composed:
        same = same_columns(self._key, SOURCE, "wanted")
        if self._mapping.tenancy.column is None:
            return same
        return sql.SQL("{} and {} = asked.tenancy_id").format(same, column(self._mapping.tenancy.column))

    def _asked(self, keys: Sequence[Key]) -> sql.Composed:
        return sql.SQL(
            "asked as materialized (select position, tenancy_id, "
            "array(select jsonb_array_elements_text(texts)) as key from unnest({tenancies}::{type}[], {keys}::jsonb[]) "
            "with ordinality as given (tenancy_id, texts, position))"
        ).format(
            tenancies=sql.Literal([key.tenancy for key in keys]),
            type=self._tenancy_type,
            keys=sql.Literal([json.dumps(key.values) for key in keys]),
        )

    def _wanted(self, alias: str) -> sql.Composed:
        """A row of the source's type with nothing but what a key of `asked` says."""
        values = {
            entry.source: _value(entry, f"asked.key[{position}]")
            for position, entry in enumerate(self._mapping.key_columns, start=1)
            if entry.source is not None
        }
        if self._mapping.tenancy.column is not None:
            values = {self._mapping.tenancy.column: sql.SQL("asked.tenancy_id"), **values}
        pairs = joined(sql.SQL("{}, {}").format(sql.Literal(name), value) for name, value in values.items())
        return rebuilt_row(self._mapping.source, sql.SQL("jsonb_build_object({})").format(pairs), alias)

    def _touched(self, feed: Feed) -> sql.Composed:
        """The condition that a touch of one feed concerns the row `source`."""
        placement = sql.SQL("")
        if feed.table == PLACEMENT:
            placement = sql.SQL(
                "join {placement} as placement on placement.mapping_id = {mapping} and placement.identity = {identity}"
            ).format(
                placement=table_name(PLACEMENT),
                mapping=sql.Literal(self._mapping.mapping_id),
                identity=identity_object(self._mapping),
            )
        return sql.SQL(
            "exists (select from {touch} as t cross join {feeding} {placement} where t.dependant_id = {feed} "
            "and {condition})"
        ).format(
            touch=ours("touch"),
            feeding=rebuilt_row(feed.table, sql.SQL("t.match"), "feeding"),
            placement=placement,
            feed=sql.Literal(feed.dependant_id),
            condition=feed.condition("feeding"),
        )


def _value(entry: Column, text: str) -> sql.Composable:
    """Return the SQL of a key column's value, of its text; where that is not Postgres's own, it is a timestamp's."""
    declared = entry.data_type.postgres
    if not declared.startswith("timestamp"):
        return expression(text)
    digits = int(declared.removeprefix("timestamp(").removesuffix(")"))
    return expression(f"'epoch'::timestamp + ({text})::bigint * interval '{10 ** (6 - digits)} microseconds'")
