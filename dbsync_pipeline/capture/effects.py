"""The statements that triggers run for a changed row: tombstones, touches, and what is known of its tenancy.

Each is one insert or update of a table of ours, so that capturing takes no lock on any row of the application.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import Feed, touch_tenancy
from dbsync_pipeline.mappings.relation import (
    SEQUENCER_SETTING,
    column,
    identity_object,
    joined,
    ours,
    row_filter,
    same_columns,
)
from dbsync_pipeline.mappings.schema import SourceTable
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping, TenancySpec

_GONE = sql.SQL("undefined_column or datatype_mismatch")


def changed(names: tuple[str, ...]) -> sql.Composed:
    """Compare stored images, as `=` of jsonb, numeric and citext takes different texts for equal."""
    return sql.SQL("(row({})::record operator(pg_catalog.*<>) row({})::record)").format(
        joined(column(name, "old") for name in names), joined(column(name, "new") for name in names)
    )


def if_changed(names: tuple[str, ...], *statements: sql.Composable) -> sql.Composed:
    """Run statements only where one of the columns has changed."""
    return sql.SQL("if {} then {} end if;").format(changed(names), joined(statements, " "))


@dataclass(frozen=True)
class Verdict:
    """Whether one of some columns of an updated row has changed, as a variable of a trigger.

    Attributes:
        doubt: what is said while the application has renamed, dropped or retyped one of them. Its writes go on.
    """

    name: str
    columns: tuple[str, ...]
    doubt: sql.Composable

    @property
    def variable(self) -> sql.Identifier:
        """The variable."""
        return sql.Identifier(self.name)


def compare(verdicts: Sequence[Verdict]) -> sql.Composed:
    """Come to all verdicts by one comparison where nothing has changed; they are NULL then.

    An error is caught by a subtransaction, which every update pays for; so there is one for all of them, and one for
    each when an error has come.
    """
    every = tuple(sorted(frozenset[str]().union(*(verdict.columns for verdict in verdicts))))
    certain = (
        sql.SQL("{} := {};").format(
            verdict.variable, sql.SQL("true") if set(verdict.columns) == set(every) else changed(verdict.columns)
        )
        for verdict in verdicts
    )
    doubtful = (
        sql.SQL("begin {name} := {changed}; exception when {gone} then {name} := {doubt}; end;").format(
            name=verdict.variable, changed=changed(verdict.columns), gone=_GONE, doubt=verdict.doubt
        )
        for verdict in verdicts
    )
    return sql.SQL("begin if {changed} then {certain} end if; exception when {gone} then {doubtful} end;").format(
        changed=changed(every), certain=joined(certain, " "), gone=_GONE, doubtful=joined(doubtful, " ")
    )


def by_the_application() -> sql.Composed:
    """Tell a write of the application from one of the sequencer, which no trigger of the application makes."""
    return sql.SQL(
        "(coalesce(pg_catalog.current_setting({}, true), '') operator(pg_catalog.<>) 'on' "
        "or pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1)"
    ).format(sql.Literal(SEQUENCER_SETTING))


def entomb(mapping: SyncMapping, rows: sql.Composable) -> sql.Composed:
    """Write the tombstones of rows that are about to go, or gone."""
    return _entomb_where(mapping, rows, row_filter(mapping))


def entomb_left(mapping: SyncMapping) -> sql.Composed:
    """Entomb a row that keeps existing, but no longer under its old key and tenancy, or no longer within the filter."""
    left = sql.SQL("{filter} and not exists (select from (select new.*) as source where {filter} and {same})").format(
        filter=row_filter(mapping), same=same_columns(mapping.identity, SOURCE, "old")
    )
    return _entomb_where(mapping, sql.SQL("(select old.*)"), left)


def by_likeness(feeds: Sequence[Feed]) -> list[list[Feed]]:
    """Put feeds together that make the same touches of a row on the same occasions."""
    found: dict[object, list[Feed]] = {}
    for feed in feeds:
        found.setdefault((*feed.match, *feed.constants.items(), feed.watched), []).append(feed)
    return list(found.values())


def touch_row(feeds: Sequence[Feed], record: str) -> sql.Composed:
    """Touch what one row feeds, by feeds that are alike."""
    insert = sql.SQL("insert into {touch} (dependant_id, match) values {values};").format(
        touch=ours("touch"),
        values=joined(
            sql.SQL("({}, {})").format(sql.Literal(feed.dependant_id), feed.match_object(record)) for feed in feeds
        ),
    )
    if not feeds[0].constants:
        return insert
    return sql.SQL("if {} then {} end if;").format(feeds[0].feeding(record), insert)


def touch_rows(table: SourceTable, feeds: Sequence[Feed], rows: sql.Composable) -> sql.Composed:
    """Touch what any number of rows feed, in one statement."""
    return sql.SQL("insert into {touch} (dependant_id, match) {values};").format(
        touch=ours("touch"),
        values=joined(
            (
                sql.SQL("select {distinct} {dependant}, {match} from {rows} as source where {feeding}").format(
                    distinct=sql.SQL("" if table.identifies(frozenset({*feed.match, *feed.constants})) else "distinct"),
                    dependant=sql.Literal(feed.dependant_id),
                    match=feed.match_object(),
                    rows=rows,
                    feeding=feed.feeding(),
                )
                for feed in feeds
            ),
            " union all ",
        ),
    )


def register(tenancies: TenancySpec, rows: sql.Composable) -> sql.Composed:
    """Have the tenancies among some rows known, by what their rows say of them now."""
    pairs = (sql.SQL("{}, {}").format(sql.Literal(entry.name), column(entry.source)) for entry in tenancies.columns)
    return sql.SQL(
        "insert into {tenancy} as known (tenancy_id, columns) "
        "select {id}, jsonb_build_object({columns}) from {rows} "
        "on conflict (tenancy_id) do update set columns = excluded.columns, deleted_at = null, "
        "former = known.former || case when known.columns <> excluded.columns "
        "and not known.former @> jsonb_build_array(known.columns) "
        "then jsonb_build_array(known.columns) else '[]' end;"
    ).format(
        tenancy=ours("tenancy"),
        id=column(tenancies.id),
        columns=joined(pairs),
        rows=rows,
    )


def unregister(tenancies: TenancySpec, record: str) -> sql.Composed:
    """Have a tenancy known as gone."""
    return sql.SQL("update {} set deleted_at = clock_timestamp() where tenancy_id = {};").format(
        ours("tenancy"), column(tenancies.id, record)
    )


def touch_tenancies(catalog: Catalog, record: str) -> list[sql.Composable]:
    """Send every row of the tenancy again: to where it belongs now, and as gone to everywhere else."""
    tenancy_id = column(catalog.tenancy.id, record)
    return [sql.SQL("{};").format(touch_tenancy(mapping, tenancy_id)) for mapping in catalog.mappings]


def _entomb_where(mapping: SyncMapping, rows: sql.Composable, condition: sql.Composable) -> sql.Composed:
    return sql.SQL(
        "insert into {tombstone} (mapping_id, tenancy_id, identity) "
        "select {mapping}, {tenancy}, {identity} from {rows} as source where {condition};"
    ).format(
        tombstone=ours("tombstone"),
        mapping=sql.Literal(mapping.mapping_id),
        tenancy=_tombstone_tenancy(mapping),
        identity=identity_object(mapping),
        rows=rows,
        condition=condition,
    )


def _tombstone_tenancy(mapping: SyncMapping) -> sql.Composable:
    """Whose the row was; where that hangs on another table, the sequencer looks up where the row was placed."""
    if mapping.has_placement or mapping.tenancy.column is None:
        return sql.SQL("null")
    return column(mapping.tenancy.column)
