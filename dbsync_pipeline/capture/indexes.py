"""The indexes that the pipeline needs on the application's tables.

Three kinds: dirty rows alone, for the sequencer; tenancy and sequence id of numbered rows, for reading slices; and what
a join matches by, where nothing of the application's serves. Their names carry a hash of their definition, so that a
changed mapping gets a new index and leaves the old one to be dropped. All are built CONCURRENTLY; an interrupted build
leaves an invalid index behind, which is dropped and built anew.
"""

import hashlib

import psycopg
from psycopg import sql

from dbsync_pipeline.capture.step import Step
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import join_feeds
from dbsync_pipeline.mappings.relation import (
    SyncColumns,
    dirty_condition,
    expression,
    joined,
    row_filter,
    shortened,
    table_name,
    turns_by,
)
from dbsync_pipeline.mappings.schema import SourceSchema
from dbsync_pipeline.mappings.spec import Table


def index_steps(
    connection: psycopg.Connection, catalog: Catalog, schema: SourceSchema, columns: SyncColumns
) -> list[Step]:
    """Return the steps that build what is missing, rebuild what is invalid, and drop what is not needed any more."""
    wanted: dict[str, tuple[Table, sql.Composed]] = {}
    for table in catalog.source_tables:
        for definition in _index_definitions(catalog, schema, table, columns):
            digest = hashlib.sha256(f"{table} {definition.as_string(None)}".encode()).hexdigest()[:10]
            wanted[f"dbsync_{shortened(table.name, 40)}_{digest}"] = (table, definition)
    present = connection.execute(
        "select n.nspname, c.relname, i.indisvalid, tn.nspname, t.relname from pg_index i "
        "join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace "
        "join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace "
        "where c.relname like 'dbsync\\_%' and n.nspname <> 'dbsync'"
    ).fetchall()
    # One that is no good gives its name up first; one that has served until now is dropped when its successor can.
    spoilt: list[Step] = []
    outdated: list[Step] = []
    kept: set[str] = set()
    for space, name, valid, table_space, table in present:
        if name not in wanted:
            outdated.append(_drop(space, name))
        elif valid and wanted[name][0] == Table(schema_name=table_space, name=table):
            kept.add(name)
        else:
            spoilt.append(_drop(space, name))
    built = [
        Step(
            f"index of {table}",
            (
                sql.SQL("create index concurrently {} on {} {}").format(
                    sql.Identifier(name), table_name(table), definition
                ),
            ),
            True,
        )
        for name, (table, definition) in wanted.items()
        if name not in kept
    ]
    return [*spoilt, *built, *outdated]


def _drop(space: str, name: str) -> Step:
    return Step(
        f"index {name}, left over",
        (sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(space, name)),),
        True,
    )


def _index_definitions(
    catalog: Catalog, schema: SourceSchema, table: Table, columns: SyncColumns
) -> list[sql.Composed]:
    mappings = catalog.mappings_of(table)
    tenancies = dict.fromkeys(mapping.tenancy.column for mapping in mappings if mapping.tenancy.column is not None)
    definitions = [
        sql.SQL("({}) where {}").format(
            sql.Identifier(turns_by(mappings)), _without_alias(dirty_condition(mappings, columns))
        )
    ]
    definitions += [
        # A new row has no number yet, and enters this one only when the sequencer gives it one.
        sql.SQL("({}, {sequence}) where {sequence} is not null").format(
            sql.Identifier(tenancy), sequence=sql.Identifier(columns.sequence)
        )
        for tenancy in tenancies
    ]
    for feed in join_feeds(catalog):
        if feed.mapping.source != table:
            continue
        names = {name for value in feed.match.values() for name in _bare(value)}
        plain = all(_bare(value) for value in feed.match.values())
        if plain and any(set(leading[: len(names)]) == names for leading in schema.table(table).indexes):
            continue
        keys = joined(sql.SQL("({})").format(_without_alias(expression(value))) for value in feed.match.values())
        definitions.append(sql.SQL("({}) where {}").format(keys, _without_alias(row_filter(feed.mapping))))
    return definitions


def _bare(value: str) -> tuple[str, ...]:
    parts = value.split('"')
    return (parts[1],) if parts[0] == "source." and len(parts) == 3 and not parts[2] else ()  # noqa: PLR2004 -- source."name"


def _without_alias(fragment: sql.Composable) -> sql.SQL:
    """An index is defined over the bare columns of its table."""
    text = fragment.as_string(None).replace('"source".', "").replace("source.", "")
    return sql.SQL(text)  # pyright: ignore[reportArgumentType] -- made of fragments above
