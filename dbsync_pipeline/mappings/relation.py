"""SQL fragments of one mapping that more than one stage needs: its table, its rows, its identity, its joins.

Expressions of a mapping are written over the alias `source`; every fragment keeps to that, so that the same expression
serves a table, a trigger's transition table, or the record rebuilt from a tombstone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from dbsync_pipeline.mappings.spec import SOURCE, Join, SyncMapping, Table, TenancySpec

SCHEMA = "dbsync"
"""The schema in the source database that holds everything of ours."""

CLICKHOUSE = "clickhouse"
"""Id of the one destination that holds every tenancy."""

PENDING_CHANNEL = "dbsync_pending"
"""Where workers listen for something to do."""

WAKE_WORKERS = sql.SQL("notify {}").format(sql.Identifier(PENDING_CHANNEL))
"""Has them look for it; delivered at commit, when they find what has changed."""

SEQUENCER_LOCK = 0x6462_7379_6E63_0001  # "dbsync", 1.
"""Key of the advisory lock of whoever numbers (I1), and of whoever must not be passed by a number meanwhile."""

IS_PAUSED: LiteralString = """exists (
    select from dbsync.pause rule where coalesce(rule.destination_id, {0}) = {0}
        and coalesce(rule.tenancy_id, {1}) = {1} and coalesce(rule.mapping_id, {2}) = {2}
)"""
"""Whether a rule pauses a destination, tenancy and mapping; whoever makes a pair pending asks, under the lock above."""

DISTRUST: LiteralString = """
insert into dbsync.purged as known (tenancy_id, mapping_id, sequence_id)
select distinct p.tenancy_id, p.mapping_id, s.last_sequence_id + 1
from dbsync.pending p cross join dbsync.sequencer s where {pairs}
-- A purge that is under way takes them in the same order.
order by p.tenancy_id, p.mapping_id
on conflict (tenancy_id, mapping_id) do update set sequence_id = greatest(known.sequence_id, excluded.sequence_id)
"""
"""Notes that no tombstones tell what was deleted of `pairs`, a condition on `dbsync.pending p`, up to this moment."""

DELETION = "deletion"
"""What was missed of a mapping: a row has left it, or its tenancy, and no tombstone says so."""

CHANGE = "change"
"""What was missed of a mapping: rows are to be sent again, and no touch says which."""

TENANCIES = "@tenancy"
"""What stands for the tenancy table, among the ids of mappings, where a change of that was missed."""

TENANCY_KNOWN: LiteralString = """\
on conflict (tenancy_id) do update set columns = excluded.columns, deleted_at = null, \
former = known.former || case when known.columns <> excluded.columns \
and not known.former @> jsonb_build_array(known.columns) then jsonb_build_array(known.columns) else '[]' end"""
"""What becomes of a tenancy that is `known` already when it is inserted: what its columns were is kept."""

SEQUENCER_SETTING = "dbsync.sequencer"
"""Session setting, `on` within the sequencer's transactions: the triggers let it write the sync columns."""

LATE_TRIGGERS = "zz_dbsync_"
"""What the names of our `before` triggers begin with: they fire by name, and are to see what others made of a row."""

TRIGGER_SEARCH_PATH = "pg_catalog, pg_temp"
"""Where the triggers look names up, so that nobody's own objects can stand in for Postgres's."""


@dataclass(frozen=True)
class SyncColumns:
    """Names of the two columns that every source table carries."""

    sequence: str
    dirty: str


def table_name(table: Table) -> sql.Identifier:
    """Return the quoted, qualified name of a table of the application."""
    return sql.Identifier(table.schema_name, table.name)


def ours(name: str) -> sql.Identifier:
    """Return the quoted, qualified name of an object of ours."""
    return sql.Identifier(SCHEMA, name)


def shortened(text: str, size: int) -> str:
    """Return as much of a name as fits into a number of bytes, which is what Postgres counts."""
    return text.encode()[:size].decode(errors="ignore")


def expression(text: str) -> sql.SQL:
    """Return an expression of a mapping as it stands; mappings are the operator's own code."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType] -- not a literal, and trusted as said above


def column(name: str, alias: str = SOURCE) -> sql.Identifier:
    """Return `alias."column"`."""
    return sql.Identifier(alias, name)


def joined(parts: Iterable[sql.Composable], separator: str = ", ") -> sql.Composed:
    """Join fragments with a separator."""
    return sql.SQL(separator).join(parts)  # pyright: ignore[reportArgumentType] -- the separators are ours


def array(values: Iterable[object]) -> sql.Literal:
    """Return texts, numbers or booleans as an array to be cast.

    It is one text, as the driver adapts every element of a list by itself: 150 slices took twice as long to write.
    """
    return sql.Literal("{" + ",".join(map(_element, values)) + "}")


def _element(value: object) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)


def row_filter(mapping: SyncMapping) -> sql.Composable:
    """Return the mapping's filter over `source`; a row for which it is not true does not exist in any destination."""
    return sql.SQL("true") if mapping.filter is None else sql.SQL("({})").format(expression(mapping.filter))


def dirty_condition(mappings: Iterable[SyncMapping], columns: SyncColumns) -> sql.Composed:
    """Return the condition, over `source`, of rows that wait for the sequencer; the partial index has the same."""
    return sql.SQL("{} and ({})").format(
        column(columns.dirty), joined((row_filter(mapping) for mapping in mappings), " or ")
    )


def turns_by(mappings: Sequence[SyncMapping]) -> str:
    """Return the column of a source table by which waiting rows take turns; the index of them is ordered by it."""
    owners = (mapping.tenancy.column for mapping in mappings if mapping.tenancy.column is not None)
    return next(owners, mappings[0].identity[0])


def columns_object(names: Iterable[str], alias: str = SOURCE) -> sql.Composed:
    """Return a jsonb of some columns of a row: column name -> value."""
    pairs = (sql.SQL("{}, {}").format(sql.Literal(name), column(name, alias)) for name in names)
    return sql.SQL("jsonb_build_object({})").format(joined(pairs))


def identity_object(mapping: SyncMapping, alias: str = SOURCE) -> sql.Composed:
    """Return the jsonb that tombstones and placements identify a row by."""
    return columns_object(mapping.identity, alias)


def rebuilt_row(table: Table, document: sql.Composable, alias: str) -> sql.Composed:
    """Return a `from` item that turns such a jsonb back into a typed row of `table`."""
    return sql.SQL("lateral jsonb_populate_record(null::{table}, {document}) as {alias}").format(
        table=table_name(table), document=document, alias=sql.Identifier(alias)
    )


def same_columns(names: Iterable[str], left: str, right: str) -> sql.Composed:
    """Return the condition that two aliases agree in every column."""
    return joined((sql.SQL("{} = {}").format(column(name, left), column(name, right)) for name in names), " and ")


def join_clause(join: Join, *, outer: bool | None = None) -> sql.Composed:
    """Return the join of one table that feeds the mapping; `outer` overrides whether rows without a match stay."""
    conditions = [
        sql.SQL("{} = {}").format(column(name, join.alias), expression(join.on_value(name))) for name in join.on
    ]
    conditions += [
        sql.SQL("{} = {}").format(column(name, join.alias), sql.Literal(constant))
        for name, constant in join.match.items()
    ]
    condition = joined(conditions, " and ")
    alias = sql.Identifier(join.alias)
    if join.aggregate:
        values = joined(
            sql.SQL("{} as {}").format(expression(value), sql.Identifier(name))
            for name, value in join.aggregate.items()
        )
        return sql.SQL(
            "left join lateral (select {values} from {table} as {alias} where {condition}) as {alias} on true"
        ).format(values=values, table=table_name(join.table), alias=alias, condition=condition)
    is_outer = not join.required if outer is None else outer
    return sql.SQL("{kind} join {table} as {alias} on {condition}").format(
        kind=sql.SQL("left" if is_outer else "inner"), table=table_name(join.table), alias=alias, condition=condition
    )


def tenancy_columns(tenancies: TenancySpec) -> sql.Composed:
    """Return the jsonb of what the row `source` of the tenancy table says of its tenancy."""
    pairs = (sql.SQL("{}, {}").format(sql.Literal(entry.name), column(entry.source)) for entry in tenancies.columns)
    return sql.SQL("jsonb_build_object({})").format(joined(pairs))


def tenancy_value(mapping: SyncMapping) -> sql.Composable:
    """Return the SQL of the row's tenancy over `source` and the required joins."""
    if mapping.tenancy.column is not None:
        return column(mapping.tenancy.column)
    return sql.SQL("({})").format(expression(mapping.tenancy.value or "null"))


def placed_tenancy(mapping: SyncMapping) -> sql.Composed:
    """Return the row's tenancy, or NULL where a required join finds nothing; for joins made outer."""
    found = [
        sql.SQL("{} is not null").format(column(next(iter(join.on)), join.alias))
        for join in mapping.joins
        if join.required
    ]
    return sql.SQL("case when {} then {} end").format(joined(found, " and "), tenancy_value(mapping))
