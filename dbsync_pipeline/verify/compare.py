"""Compares the source with a copy, per mapping and tenancy, without moving rows.

Each side counts its rows and adds up a hash of every column's canonical text; the sum does not depend on order, and
one altered value changes it. Both read what is there now: a comparison means something when nothing is waiting.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.configured import ExternalDatabase
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.tables import TENANCY, ExternalTables
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import (
    column,
    expression,
    join_clause,
    joined,
    ours,
    row_filter,
    table_name,
    tenancy_value,
)
from dbsync_pipeline.mappings.spec import Column, DestinationKind, SyncMapping, TenancyId


@dataclass(frozen=True)
class Comparison:
    """One mapping, compared.

    Attributes:
        source_rows: rows that the source has for it.
        destination_rows: rows that the copy shows.
        differing: tenancies, as text, whose rows are not the same on both sides.
    """

    mapping_id: str
    source_rows: int
    destination_rows: int
    differing: tuple[str, ...]


@dataclass(frozen=True)
class _Sum:
    rows: int
    hashes: int


def compare(
    connection: psycopg.Connection,
    clickhouse: ClickHouse,
    catalog: Catalog,
    mapping: SyncMapping,
    names: tables.ClickHouseNames,
) -> Comparison:
    """Compare one mapping with ClickHouse, over all tenancies."""
    return _comparison(
        mapping,
        connection.execute(source_checksums(catalog, mapping, "clickhouse")),
        clickhouse.query(clickhouse_checksums(catalog, mapping, names)),
    )


def compare_external(
    connection: psycopg.Connection,
    session: ExternalSession,
    catalog: Catalog,
    mapping: SyncMapping,
    *,
    database: ExternalDatabase,
    external_tables: ExternalTables,
) -> Comparison:
    """Compare one mapping of one tenancy with an external database.

    Raises:
        UnreachableError: the database does not answer, or not in time.
        NotInstalledError: the mapping's table is missing there.
    """
    here = connection.execute(source_checksums(catalog, mapping, "postgres", tenancy_id=database.tenancy_id))
    with session.turn() as external:
        there = external.execute(external_checksums(mapping, external_tables, database.tenancy_id)).fetchall()
    return _comparison(mapping, here, there)


def _comparison(
    mapping: SyncMapping, source_sums: Iterable[tuple[str, int, int]], destination_sums: Iterable[tuple[str, int, int]]
) -> Comparison:
    here, there = (
        {tenancy: _Sum(rows, int(hashes)) for tenancy, rows, hashes in sums} for sums in (source_sums, destination_sums)
    )
    differing = sorted(tenancy for tenancy in here.keys() | there.keys() if here.get(tenancy) != there.get(tenancy))
    return Comparison(
        mapping.mapping_id,
        sum(entry.rows for entry in here.values()),
        sum(entry.rows for entry in there.values()),
        tuple(differing),
    )


def source_checksums(
    catalog: Catalog, mapping: SyncMapping, kind: DestinationKind, *, tenancy_id: TenancyId | None = None
) -> sql.Composed:
    """Return the SELECT of (tenancy as text, rows, sum of hashes) over what the source has for a kind of destination.

    Args:
        catalog: the mappings in use.
        mapping: the one to sum up.
        kind: whose columns; ClickHouse also has the tenancy's.
        tenancy_id: whose rows; None means everybody's.
    """
    texts = [_postgres_text(entry, entry.converted) for entry in mapping.columns_for(kind)]
    if kind == "clickhouse":
        texts = [*(f"(tenancy.columns->>'{entry.name}')" for entry in catalog.tenancy.columns), *texts]
    rows = sql.SQL(
        "{table} as source {joins} join {tenancies} as tenancy on tenancy.tenancy_id = {tenancy} "
        "where tenancy.deleted_at is null{whose} and {filter}"
    ).format(
        table=table_name(mapping.source),
        joins=joined((join_clause(join) for join in mapping.joins), " "),
        tenancies=ours("tenancy"),
        tenancy=tenancy_value(mapping) if mapping.tenancy.column is None else column(mapping.tenancy.column),
        whose=sql.SQL("" if tenancy_id is None else " and tenancy.tenancy_id = {}").format(sql.Literal(tenancy_id)),
        filter=row_filter(mapping),
    )
    return _postgres_checksums(sql.SQL("tenancy.tenancy_id"), texts, rows)


def external_checksums(mapping: SyncMapping, external_tables: ExternalTables, tenancy_id: TenancyId) -> sql.Composed:
    """Return the same SELECT over a mapping's table in an external database, for one tenancy."""
    texts = [_postgres_text(entry, f'target."{entry.name}"') for entry in mapping.columns_for("postgres")]
    owner = column(TENANCY, "target")
    rows = sql.SQL("{table} as target where {owner} = {tenancy}").format(
        table=external_tables.table(mapping), owner=owner, tenancy=sql.Literal(tenancy_id)
    )
    return _postgres_checksums(owner, texts, rows)


def _postgres_checksums(owner: sql.Composable, texts: Iterable[str], rows: sql.Composable) -> sql.Composed:
    canonical = " || ".join(f"coalesce(octet_length({text})::text || ':' || {text}, '-')" for text in texts)
    return sql.SQL(
        "select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint) from ("
        "select {owner}, {canonical} as canonical from {rows}) as rows group by tenancy_id"
    ).format(owner=owner, canonical=expression(canonical), rows=rows)


def clickhouse_checksums(catalog: Catalog, mapping: SyncMapping, names: tables.ClickHouseNames) -> str:
    """Return the same SELECT over a mapping's view."""
    texts = [tables.name(entry.name) for entry in catalog.tenancy.columns]
    texts += [_clickhouse_text(entry) for entry in mapping.columns_for("clickhouse")]
    canonical = ", ".join(f"ifNull(concat(toString(length({text})), ':', {text}), '-')" for text in texts)
    return (
        f"select toString({tables.TENANCY}), count(), "  # noqa: S608 -- names and types of our own tables
        f"sum(toInt256(reinterpretAsInt64(reverse(substring(MD5(concat({canonical})), 1, 8))))) "
        f"from {names.view(mapping)} group by {tables.TENANCY}"
    )


def _postgres_text(entry: Column, value: str) -> str:
    text = entry.data_type.checksum(value)
    for key in entry.unverified_json_keys:
        text = f"regexp_replace({text}, '{_json_member(key)}', '')"
    return text


def _clickhouse_text(entry: Column) -> str:
    text = entry.data_type.clickhouse_checksum(tables.name(entry.name))
    for key in entry.unverified_json_keys:
        text = f"replaceRegexpOne({text}, {tables.literal(_json_member(key))}, '')"
    return text


def _json_member(key: str) -> str:
    """A pattern, the same for both databases, of a member of an object as jsonb prints it."""
    return f'"{key}": [^,}}]*'
