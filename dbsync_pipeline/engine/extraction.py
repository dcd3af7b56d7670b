"""The queries that read slices of a mapping from the source.

A slice is a range of sequence ids of one tenancy; a query reads the slices of any number of tenancies. Live rows and
tombstones come from the same range in the same snapshot. A row is read for the tenancy that its own data names, and
only if that is the slice's (invariant I7).
"""

from collections.abc import Sequence
from functools import cached_property

from psycopg import sql

from dbsync_pipeline.destinations.base import Destination, ProjectedColumn, Slice
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    array,
    column,
    expression,
    join_clause,
    joined,
    ours,
    rebuilt_row,
    row_filter,
    same_columns,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping
from dbsync_pipeline.mappings.types import data_type


class Extractions:
    """The reading queries of all mappings."""

    def __init__(self, catalog: Catalog, columns: SyncColumns) -> None:
        self._catalog = catalog
        self._columns = columns
        self._made: dict[str, Extraction] = {}

    def of(self, mapping: SyncMapping) -> "Extraction":
        """Return those of a mapping; what of them is always the same is put together once."""
        made = self._made.get(mapping.code_version)
        if made is None:
            made = self._made[mapping.code_version] = Extraction(self._catalog, mapping, self._columns)
        return made


Slices = Sequence[Slice] | None
"""What is to be read; None where that is given when the query is executed, as `parameters` says."""


def parameters(slices: Sequence[Slice]) -> list[list[object]]:
    """Return what is given to a query for `$1` to `$4`."""
    return [
        [str(entry.pair.tenancy_id) for entry in slices],
        [entry.after for entry in slices],
        [entry.upto for entry in slices],
        [entry.first for entry in slices],
    ]


class Extraction:
    """Generates the reading queries of one mapping."""

    def __init__(self, catalog: Catalog, mapping: SyncMapping, columns: SyncColumns) -> None:
        self.mapping = mapping
        self._columns = columns
        self._selections: dict[tuple[tuple[ProjectedColumn, ...], bool], bytes] = {}
        self._tenancy_type = sql.SQL(data_type(catalog.tenancy.type).postgres)  # pyright: ignore[reportArgumentType] -- from the type table

    def copy(
        self, projection: Sequence[ProjectedColumn], groups: Sequence[Sequence[Slice]], destination: Destination
    ) -> sql.Composed:
        """Return the COPY that yields the rows of all slices, as a destination wants them, in no particular order.

        Each group gets a plan of its own: a large slice by itself is read with the plan its size deserves, while
        small ones share one that probes indexes.
        """
        slices = [entry for group in groups for entry in group]
        live = [self.live_rows(projection, group) for group in groups]
        return sql.SQL("copy ({rows}) to stdout ({format})").format(
            rows=self._all_rows(projection, live, slices, renamed=destination.rows_have_places),
            format=expression(destination.copy_format),
        )

    def select(self, projection: Sequence[ProjectedColumn], *, renamed: bool) -> bytes:
        """Return the SELECT of the same rows, to be prepared: to plan it takes ten times as long as to read a few.

        `renamed` says that rows have places, as `Destination.rows_have_places` does.
        """
        which = tuple(projection), renamed
        made = self._selections.get(which)
        if made is None:
            rows = self._all_rows(projection, [self.live_rows(projection, None)], None, renamed=renamed)
            made = self._selections[which] = rows.as_bytes(None)
        return made

    def _all_rows(
        self, projection: Sequence[ProjectedColumn], live: list[sql.Composed], slices: Slices, *, renamed: bool
    ) -> sql.Composed:
        parts = [
            *live,
            self.tombstones(projection, slices),
            self._left_places(projection, slices, renamed=renamed),
        ]
        return joined(parts, " union all ")

    def live_rows(self, projection: Sequence[ProjectedColumn], slices: Slices) -> sql.Composed:
        """Return the SELECT of the rows that exist."""
        return sql.SQL(
            "select {values} from {slices} join {tenancies} as tenancy using (tenancy_id) {rows} "
            "cross join lateral (select {sequence} as sequence_id) as row_number {joins} "
            "where tenancy.deleted_at is null and {filter} and {tenancy} = slice.tenancy_id"
        ).format(
            values=joined(expression(entry.live) for entry in projection),
            slices=self._slices(slices),
            tenancies=ours("tenancy"),
            rows=self._numbered_rows(slices),
            sequence=column(self._columns.sequence),
            joins=joined((join_clause(join) for join in self.mapping.joins), " "),
            filter=row_filter(self.mapping),
            tenancy=tenancy_value(self.mapping),
        )

    @cached_property
    def extents(self) -> bytes:
        """The same SELECT as `extent`, to be prepared; `$5` is its limit."""
        return self._extent(None, sql.SQL("$5")).as_bytes(None)

    def extent(self, slices: Sequence[Slice], limit: int) -> sql.Composed:
        """Return the SELECT of (position of slice, live rows, tombstones, highest id) over the first `limit` of it."""
        return self._extent(slices, sql.Literal(limit))

    def _extent(self, slices: Slices, limit: sql.Composable) -> sql.Composed:
        rows = (
            sql.SQL(
                "select p.sequence_id from {} as p where p.mapping_id = {} and p.tenancy_id = slice.tenancy_id"
            ).format(ours("placement"), sql.Literal(self.mapping.mapping_id))
            if self.mapping.has_placement
            else sql.SQL("select {} as sequence_id from {} as source where {} = slice.tenancy_id and {}").format(
                column(self._columns.sequence),
                table_name(self.mapping.source),
                column(self.mapping.tenancy.column or ""),
                row_filter(self.mapping),
            )
        )
        numbered = sql.SQL("p.sequence_id") if self.mapping.has_placement else column(self._columns.sequence)
        return sql.SQL(
            "select slice.position, extent.* from {slices} cross join lateral ("
            "select count(*) filter (where not gone) as live, count(*) filter (where gone) as dead, "
            "max(sequence_id) as highest from ("
            "(select numbered.sequence_id, false as gone from ("
            "{rows} and {numbered} > slice.after and {numbered} <= slice.upto order by 1 limit {limit}) as numbered) "
            "union all "
            "(select t.sequence_id, true from {tombstone} as t where t.mapping_id = {mapping} and not slice.first "
            "and t.tenancy_id = slice.tenancy_id and t.sequence_id > slice.after and t.sequence_id <= slice.upto "
            "order by 1 limit {limit}) order by 1 limit {limit}) as chunk) as extent"
        ).format(
            slices=self._slices(slices),
            rows=rows,
            numbered=numbered,
            tombstone=ours("tombstone"),
            mapping=sql.Literal(self.mapping.mapping_id),
            limit=limit,
        )

    def _numbered_rows(self, slices: Slices) -> sql.Composed:
        names = {
            "source": table_name(self.mapping.source),
            "sequence": column(self._columns.sequence),
            "placement": ours("placement"),
            "mapping": sql.Literal(self.mapping.mapping_id),
            "fence": _fence(slices),
        }
        if not self.mapping.has_placement:
            return sql.SQL(
                "cross join lateral (select * from {source} as source where {owner} = slice.tenancy_id "
                "and {sequence} > slice.after and {sequence} <= slice.upto {fence}) as source"
            ).format(owner=column(self.mapping.tenancy.column or ""), **names)
        return sql.SQL(
            "cross join lateral (select * from {placement} where mapping_id = {mapping} "
            "and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto {fence}) "
            "as placement cross join {placed} join {source} as source on {same}"
        ).format(
            placed=rebuilt_row(self.mapping.source, sql.SQL("placement.identity"), "placed"),
            same=same_columns(self.mapping.identity, SOURCE, "placed"),
            **names,
        )

    def tombstones(self, projection: Sequence[ProjectedColumn], slices: Slices) -> sql.Composed:
        """Return the SELECT of the rows that are gone, wherever they may have been; a first load leaves them out."""
        return sql.SQL(
            "select {values} from {slices} join {tenancies} as known using (tenancy_id) "
            "cross join lateral ("
            "select known.tenancy_id, jsonb_array_elements(known.former || known.columns) as columns) as tenancy "
            "cross join lateral (select * from {tombstone} where mapping_id = {mapping} "
            "and tenancy_id = slice.tenancy_id and sequence_id > slice.after and sequence_id <= slice.upto {fence}) "
            "as t "
            "cross join lateral (select t.sequence_id) as row_number "
            "cross join {source} where not slice.first"
        ).format(
            values=joined(expression(entry.tombstone) for entry in projection),
            slices=self._slices(slices),
            tenancies=ours("tenancy"),
            tombstone=ours("tombstone"),
            mapping=sql.Literal(self.mapping.mapping_id),
            fence=_fence(slices),
            source=rebuilt_row(self.mapping.source, sql.SQL("t.identity"), SOURCE),
        )

    def _left_places(self, projection: Sequence[ProjectedColumn], slices: Slices, *, renamed: bool) -> sql.Composed:
        """Rows that exist are gone from where their tenancy was before, and from everywhere once it is deleted.

        A renamed tenancy leaves no place behind where rows do not have one.

        That the rows ask for the place, within `offset 0`, has none of them read before there is one: without it, a
        slice written as constants would be read a second time to be joined with nothing, a fifth of the reading.
        """
        return sql.SQL(
            "select {values} from {slices} join {tenancies} as known using (tenancy_id) "
            "cross join lateral (select known.tenancy_id, place.columns from jsonb_array_elements("
            "known.former || known.columns) as place (columns) "
            "where known.deleted_at is not null{or_renamed}) as tenancy "
            "cross join lateral (select source.* from (select) as here {rows} "
            "where {filter} and tenancy.columns is not null offset 0) as source "
            "cross join lateral (select {sequence} as sequence_id) as row_number where not slice.first"
        ).format(
            values=joined(expression(entry.tombstone) for entry in projection),
            slices=self._slices(slices),
            tenancies=ours("tenancy"),
            rows=self._numbered_rows(slices),
            sequence=column(self._columns.sequence),
            filter=row_filter(self.mapping),
            or_renamed=sql.SQL(" or place.columns <> known.columns" if renamed else ""),
        )

    def _slices(self, slices: Slices) -> sql.Composed:
        """One slice is written as constants, which the planner sees through; many as arrays."""
        if slices is None:
            return self._arrays(sql.SQL("$1"), sql.SQL("$2"), sql.SQL("$3"), sql.SQL("$4"))
        if len(slices) == 1:
            return sql.SQL(
                "(select 0 as position, {tenancy}::{type} as tenancy_id, {after}::bigint as after, "
                "{upto}::bigint as upto, {first} as first) as slice"
            ).format(
                tenancy=sql.Literal(str(slices[0].pair.tenancy_id)),
                type=self._tenancy_type,
                after=sql.Literal(slices[0].after),
                upto=sql.Literal(slices[0].upto),
                first=sql.Literal(slices[0].first),
            )
        return self._arrays(*map(array, parameters(slices)))

    def _arrays(
        self, tenancies: sql.Composable, after: sql.Composable, upto: sql.Composable, first: sql.Composable
    ) -> sql.Composed:
        return sql.SQL(
            "(select (ordinality - 1)::integer as position, tenancy_id, after, upto, first from unnest("
            "{tenancies}::{type}[], {after}::bigint[], {upto}::bigint[], {first}::boolean[]) "
            "with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice"
        ).format(tenancies=tenancies, type=self._tenancy_type, after=after, upto=upto, first=first)


def _fence(slices: Slices) -> sql.SQL:
    """Keep the ranges of several slices in the index search: joined freely, all rows of a tenancy would be read."""
    return sql.SQL("offset 0") if slices is None or len(slices) > 1 else sql.SQL("")
