"""How far behind each mapping is, from cheap queries on the source.

Waiting for the sequencer and waiting for delivery are told apart, because their causes are. Counts are of rows, by the
mapping's own filter, not of distances between sequence ids.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import feeds_of
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE, SyncColumns, column, joined, row_filter, table_name
from dbsync_pipeline.mappings.spec import SyncMapping

_LONGEST_COUNT = 100_000


@dataclass(frozen=True)
class MappingStatus:
    """One mapping in one destination.

    Attributes:
        waiting_for_sequencer: rows, tombstones and touches without a sequence id.
        waiting_for_delivery: numbered rows and tombstones that the destination does not have yet; counting stops at
            100,000 a tenancy.
        pending_tenancies: tenancies with something to deliver.
        lag_seconds: age of the oldest undelivered change since it was numbered; 0 when there is none.
        failing_tenancies: those whose last attempt failed.
        last_error: one of their errors.
        paused_tenancies: those that wait although something is to be delivered.
    """

    mapping_id: str
    destination_id: str
    waiting_for_sequencer: int
    waiting_for_delivery: int
    pending_tenancies: int
    lag_seconds: float
    failing_tenancies: int
    last_error: str | None
    paused_tenancies: int


def read_status(
    connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns, *, tenancy: str | None = None
) -> list[MappingStatus]:
    """Return the state of every mapping, of all tenancies or of one.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    require_installed(connection, catalog)
    delivery = {row[0]: row[1:] for row in connection.execute(_delivery(catalog, columns, tenancy))}
    waiting = dict(connection.execute(_unnumbered(catalog, columns, tenancy)).fetchall())
    return [
        MappingStatus(
            mapping.mapping_id,
            CLICKHOUSE,
            waiting[mapping.mapping_id],
            *delivery.get(mapping.mapping_id, (0, 0, 0.0, 0, None, 0)),
        )
        for mapping in catalog.mappings
    ]


def _of_tenancy(owner: sql.Composable, tenancy: str | None) -> sql.Composable:
    if tenancy is None:
        return sql.SQL("true")
    return sql.SQL("{}::text = {}").format(owner, sql.Literal(tenancy))


def _unnumbered(catalog: Catalog, columns: SyncColumns, tenancy: str | None) -> sql.Composed:
    """Touches and rows placed by another table name no tenancy yet; they count for all tenancies together only."""

    def count(mapping: SyncMapping) -> sql.Composed:
        owner = sql.SQL("null") if mapping.tenancy.column is None else column(mapping.tenancy.column)
        dirty = sql.SQL("(select count(*) from {} as source where {} and {} and {})").format(
            table_name(mapping.source), column(columns.dirty), row_filter(mapping), _of_tenancy(owner, tenancy)
        )
        tombstones = sql.SQL(
            "(select count(*) from dbsync.tombstone where mapping_id = {} and sequence_id is null and {})"
        ).format(sql.Literal(mapping.mapping_id), _of_tenancy(sql.SQL("tenancy_id"), tenancy))
        touches = sql.SQL("(select count(*) from dbsync.touch where dependant_id = any({}) and {})").format(
            sql.Literal([feed.dependant_id for feed in feeds_of(catalog, mapping)]), sql.Literal(tenancy is None)
        )
        return sql.SQL("select {}, {} + {} + {}").format(sql.Literal(mapping.mapping_id), dirty, tombstones, touches)

    return joined((count(mapping) for mapping in catalog.mappings), " union all ")


def _delivery(catalog: Catalog, columns: SyncColumns, tenancy: str | None) -> sql.Composed:
    rows = joined(
        (
            sql.SQL(
                "when {} then (select count(*) from (({} limit {}) union all (select 1 from dbsync.tombstone t "
                "where t.tenancy_id = p.tenancy_id and t.mapping_id = p.mapping_id and t.sequence_id > p.reached "
                "limit {})) as undelivered)"
            ).format(
                sql.Literal(mapping.mapping_id),
                _undelivered(mapping, columns),
                sql.Literal(_LONGEST_COUNT),
                sql.Literal(_LONGEST_COUNT),
            )
            for mapping in catalog.mappings
        ),
        " ",
    )
    return sql.SQL(
        "select p.mapping_id, sum(case p.mapping_id {rows} end)::bigint, count(*), "
        "extract(epoch from max(clock_timestamp() - p.pending_since))::double precision, "
        "count(p.last_error), max(p.last_error), count(*) filter (where p.paused) "
        "from dbsync.pending p where p.destination_id = {destination} and p.wanted > p.reached and {tenancy} "
        "group by p.mapping_id"
    ).format(rows=rows, destination=sql.Literal(CLICKHOUSE), tenancy=_of_tenancy(sql.SQL("p.tenancy_id"), tenancy))


def _undelivered(mapping: SyncMapping, columns: SyncColumns) -> sql.Composable:
    if mapping.has_placement:
        return sql.SQL(
            "select 1 from dbsync.placement q where q.tenancy_id = p.tenancy_id and q.mapping_id = p.mapping_id "
            "and q.sequence_id > p.reached"
        )
    return sql.SQL("select 1 from {} as source where {} = p.tenancy_id and {} > p.reached and {}").format(
        table_name(mapping.source), column(mapping.tenancy.column or ""), column(columns.sequence), row_filter(mapping)
    )


def total_waiting(status: Iterable[MappingStatus]) -> int:
    """Return how many rows wait for anything."""
    return sum(entry.waiting_for_sequencer + entry.waiting_for_delivery for entry in status)
