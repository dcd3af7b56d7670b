"""Statements that count the rows that wait, for a number and for delivery, by each mapping's own filter.

Counts stop at a bound: during a first load they would be most of what the source does.
"""

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import feeds_of
from dbsync_pipeline.mappings.relation import SyncColumns, column, joined, row_filter, table_name
from dbsync_pipeline.mappings.spec import DestinationKind, SyncMapping

KINDS: tuple[DestinationKind, ...] = ("clickhouse", "postgres")

PLACES = sql.SQL("dbsync.pending p join dbsync.destination d using (destination_id)")
WAITS = sql.SQL("d.enabled and p.wanted > p.reached")
"""SQL that is true of a pending row with something to deliver."""


def countable_part(
    connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns
) -> tuple[Catalog, dict[str, str]]:
    """Leave out mappings whose tables are gone, or not what they were, and say of each what is wrong.

    Raises:
        DbsyncError: nothing is left.
    """

    def complaint(part: Catalog) -> str | None:
        try:
            connection.execute(sql.SQL("explain {}").format(count_unnumbered(part, columns, None, 1)))
        except psycopg.ProgrammingError as error:
            return error.diag.message_primary
        return None

    if (whole := complaint(catalog)) is None:
        return catalog, {}
    broken: dict[str, str] = {}
    for mapping in catalog.mappings:
        if (wrong := complaint(catalog.select([mapping.mapping_id]))) is not None:
            broken[mapping.mapping_id] = f"mapping {mapping.mapping_id}: what waits cannot be counted: {wrong}"
    fitting = [mapping.mapping_id for mapping in catalog.mappings if mapping.mapping_id not in broken]
    if not fitting:
        raise DbsyncError(whole, "Put the tables right, or adapt the mappings and run `dbsync init`.")
    return catalog.select(fitting), broken


def of_tenancy(owner: sql.Composable, tenancy: str | None) -> sql.Composable:
    """Return what is true of the rows of one tenancy, or of all."""
    if tenancy is None:
        return sql.SQL("true")
    return sql.SQL("{}::text = {}").format(owner, sql.Literal(tenancy))


def count_unnumbered(catalog: Catalog, columns: SyncColumns, tenancy: str | None, most: int) -> sql.Composed:
    """Return mapping, rows, tombstones and touches that have no number.

    Touches and rows placed by another table name no tenancy yet; they count for all tenancies together only.
    """

    def count(mapping: SyncMapping) -> sql.Composed:
        owner = sql.SQL("null") if mapping.tenancy.column is None else column(mapping.tenancy.column)
        dirty = sql.SQL("select from {} as source where {} and {} and {}").format(
            table_name(mapping.source), column(columns.dirty), row_filter(mapping), of_tenancy(owner, tenancy)
        )
        tombstones = sql.SQL(
            "select from dbsync.tombstone where mapping_id = {} and sequence_id is null and {}"
        ).format(sql.Literal(mapping.mapping_id), of_tenancy(sql.SQL("tenancy_id"), tenancy))
        touches = sql.SQL("select from dbsync.touch where dependant_id = any({}) and {}").format(
            sql.Literal([feed.dependant_id for feed in feeds_of(catalog, mapping)]), sql.Literal(tenancy is None)
        )
        counts = joined(_counted(rows, most) for rows in (dirty, tombstones, touches))
        return sql.SQL("select {}, {}").format(sql.Literal(mapping.mapping_id), counts)

    return joined((count(mapping) for mapping in catalog.mappings), " union all ")


def count_undelivered(catalog: Catalog, columns: SyncColumns, tenancy: str | None, most: int) -> sql.Composed:
    """Return mapping, kind of copy, rows and tombstones that wait, one pending row after the other until enough."""

    def count(mapping: SyncMapping, kind: str) -> sql.Composed:
        rows = sql.SQL(
            "select from {places} cross join lateral ({undelivered}) as undelivered "
            "where {waits} and p.mapping_id = {mapping} and d.kind = {kind} and {tenancy}"
        ).format(
            places=PLACES,
            undelivered=_undelivered(mapping, columns, most),
            waits=WAITS,
            mapping=sql.Literal(mapping.mapping_id),
            kind=sql.Literal(kind),
            tenancy=of_tenancy(sql.SQL("p.tenancy_id"), tenancy),
        )
        return sql.SQL("select {}, {}, {}").format(
            sql.Literal(mapping.mapping_id), sql.Literal(kind), _counted(rows, most)
        )

    return joined((count(mapping, kind) for mapping in catalog.mappings for kind in KINDS), " union all ")


def count_undelivered_of_pair(catalog: Catalog, columns: SyncColumns, most: int) -> sql.Composed:
    """Return the number of rows and tombstones that the pending row `p` stands for."""
    counts = (
        sql.SQL("when {} then {}").format(
            sql.Literal(mapping.mapping_id), _counted(_undelivered(mapping, columns, most), most)
        )
        for mapping in catalog.mappings
    )
    return sql.SQL("case p.mapping_id {} else 0 end").format(joined(counts, " "))


def _undelivered(mapping: SyncMapping, columns: SyncColumns, most: int) -> sql.Composed:
    """Return the rows and tombstones of the pending row `p`; the limits keep the planner at its tenancy's index."""
    if mapping.has_placement:
        rows = sql.SQL(
            "select from dbsync.placement q where q.tenancy_id = p.tenancy_id and q.mapping_id = p.mapping_id "
            "and q.sequence_id > p.reached"
        )
    else:
        rows = sql.SQL("select from {} as source where {} = p.tenancy_id and {} > p.reached and {}").format(
            table_name(mapping.source),
            column(mapping.tenancy.column or ""),
            column(columns.sequence),
            row_filter(mapping),
        )
    return sql.SQL(
        "({rows} limit {most}) union all (select from dbsync.tombstone t "
        "where t.tenancy_id = p.tenancy_id and t.mapping_id = p.mapping_id and t.sequence_id > p.reached limit {most})"
    ).format(rows=rows, most=sql.Literal(most))


def _counted(rows: sql.Composable, most: int) -> sql.Composed:
    return sql.SQL("(select count(*) from (({}) limit {}) as counted)").format(rows, sql.Literal(most))
