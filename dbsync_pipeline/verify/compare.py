"""Compares the source with ClickHouse, per mapping and tenancy, without moving rows.

Each side counts its rows and adds up a hash of every column's canonical text; the sum does not depend on order, and
one altered value changes it. Both read what is there now: a comparison means something when nothing is waiting.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
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
from dbsync_pipeline.mappings.spec import Column, SyncMapping


@dataclass(frozen=True)
class Comparison:
    """One mapping, compared.

    Attributes:
        source_rows: rows that the source has for it.
        destination_rows: rows that ClickHouse shows.
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
    """Compare one mapping over all tenancies."""
    here = {
        tenancy_id: _Sum(rows, int(hashes))
        for tenancy_id, rows, hashes in connection.execute(source_checksums(catalog, mapping))
    }
    there = {
        tenancy_id: _Sum(rows, int(hashes))
        for tenancy_id, rows, hashes in clickhouse.query(clickhouse_checksums(catalog, mapping, names))
    }
    differing = sorted(
        tenancy_id for tenancy_id in here.keys() | there.keys() if here.get(tenancy_id) != there.get(tenancy_id)
    )
    return Comparison(
        mapping.mapping_id,
        sum(entry.rows for entry in here.values()),
        sum(entry.rows for entry in there.values()),
        tuple(differing),
    )


def source_checksums(catalog: Catalog, mapping: SyncMapping) -> sql.Composed:
    """Return the SELECT of (tenancy as text, rows, sum of hashes) over what the source has for a mapping."""
    texts = [f"(tenancy.columns->>'{entry.name}')" for entry in catalog.tenancy.columns]
    texts += [_source_text(entry) for entry in mapping.columns_for("clickhouse")]
    canonical = " || ".join(f"coalesce(octet_length({text})::text || ':' || {text}, '-')" for text in texts)
    return sql.SQL(
        "select tenancy_id::text, count(*), sum(('x' || left(md5(canonical), 16))::bit(64)::bigint) from ("
        "select tenancy.tenancy_id, {canonical} as canonical from {table} as source {joins} "
        "join {tenancies} as tenancy on tenancy.tenancy_id = {tenancy} "
        "where tenancy.deleted_at is null and {filter}) as rows group by tenancy_id"
    ).format(
        canonical=expression(canonical),
        table=table_name(mapping.source),
        joins=joined((join_clause(join) for join in mapping.joins), " "),
        tenancies=ours("tenancy"),
        tenancy=tenancy_value(mapping) if mapping.tenancy.column is None else column(mapping.tenancy.column),
        filter=row_filter(mapping),
    )


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


def _source_text(entry: Column) -> str:
    text = entry.data_type.checksum(entry.converted)
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
