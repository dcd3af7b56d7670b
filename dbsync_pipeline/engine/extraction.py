"""The queries that read slices of a mapping from the source.

A slice is a range of sequence ids of one tenancy; a query reads the slices of any number of tenancies. Live rows and
tombstones come from the same range in the same snapshot. A row is read for the tenancy that its own data names, and
only if that is the slice's (invariant I7).
"""

from collections.abc import Sequence

from psycopg import sql

from dbsync_pipeline.destinations.base import Destination, ProjectedColumn, Slice
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
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


class Extraction:
    """Generates the reading queries of one mapping."""

    def __init__(self, catalog: Catalog, mapping: SyncMapping, columns: SyncColumns) -> None:
        self.mapping = mapping
        self._columns = columns
        self._tenancy_type = sql.SQL(data_type(catalog.tenancy.type).postgres)  # pyright: ignore[reportArgumentType] -- from the type table

    def copy(
        self, projection: Sequence[ProjectedColumn], groups: Sequence[Sequence[Slice]], destination: Destination
    ) -> sql.Composed:
        """Return the COPY that yields the rows of all slices, as a destination wants them, in no particular order.

        Each group gets a plan of its own: a large slice by itself is read with the plan its size deserves, while
        small ones share one that probes indexes.
        """
        slices = [entry for group in groups for entry in group]
        parts = [
            *(self.live_rows(projection, group) for group in groups),
            self.tombstones(projection, slices),
            self._left_places(projection, slices, renamed=destination.rows_have_places),
        ]
        return sql.SQL("copy ({rows}) to stdout ({format})").format(
            rows=joined(parts, " union all "), format=expression(destination.copy_format)
        )

    def live_rows(self, projection: Sequence[ProjectedColumn], slices: Sequence[Slice]) -> sql.Composed:
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

    def extent(self, slices: Sequence[Slice], limit: int) -> sql.Composed:
        """Return the SELECT of (position of slice, live rows, tombstones, highest id) over the first `limit` of it."""
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
            limit=sql.Literal(limit),
        )

    def _numbered_rows(self, slices: Sequence[Slice]) -> sql.Composed:
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

    def tombstones(self, projection: Sequence[ProjectedColumn], slices: Sequence[Slice]) -> sql.Composed:
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

    def _left_places(
        self, projection: Sequence[ProjectedColumn], slices: Sequence[Slice], *, renamed: bool
    ) -> sql.Composed:
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

    def _slices(self, slices: Sequence[Slice]) -> sql.Composed:
        """One slice is written as constants, which the planner sees through; many as arrays."""
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
        return sql.SQL(
            "(select (ordinality - 1)::integer as position, tenancy_id, after, upto, first from unnest("
            "{tenancies}::{type}[], {after}::bigint[], {upto}::bigint[], {first}::boolean[]) "
            "with ordinality as given (tenancy_id, after, upto, first, ordinality)) as slice"
        ).format(
            tenancies=sql.Literal([str(entry.pair.tenancy_id) for entry in slices]),
            type=self._tenancy_type,
            after=sql.Literal([entry.after for entry in slices]),
            upto=sql.Literal([entry.upto for entry in slices]),
            first=sql.Literal([entry.first for entry in slices]),
        )


def _fence(slices: Sequence[Slice]) -> sql.SQL:
    """Keep the ranges of several slices in the index search: joined freely, all rows of a tenancy would be read."""
    return sql.SQL("offset 0") if len(slices) > 1 else sql.SQL("")
