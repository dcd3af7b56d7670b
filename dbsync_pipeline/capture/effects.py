"""The statements that triggers run for a changed row: tombstones, touches, and what is known of its tenancy.

Each is one insert or update of a table of ours, so that capturing takes no lock on any row of the application.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import Feed, touch_rows_of
from dbsync_pipeline.mappings.relation import (
    SEQUENCER_SETTING,
    TENANCY_KNOWN,
    column,
    identity_object,
    joined,
    ours,
    row_filter,
    tenancy_columns,
)
from dbsync_pipeline.mappings.schema import SourceTable
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping, TenancySpec

_MISFIT = sql.SQL("syntax_error_or_access_rule_violation or data_exception")
"""How a statement fails that does not fit its table any more: a column is gone, or is not what it was."""

OLD_ROW = sql.SQL("(select old.*)")


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
        doubt: what is done while the application has renamed, dropped or retyped one of them. Its writes go on.
        closer: what is looked at, once one has changed, before anything is written.
        apart: what is written at once, where an error has come before, as what is written else may not fit either.
    """

    name: str
    columns: tuple[str, ...]
    doubt: sql.Composable
    closer: sql.Composable = field(default_factory=lambda: sql.SQL(""))
    apart: sql.Composable = field(default_factory=lambda: sql.SQL(""))

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
        sql.SQL("{} := {}; {}").format(
            verdict.variable,
            sql.SQL("true") if set(verdict.columns) == set(every) else changed(verdict.columns),
            verdict.closer,
        )
        for verdict in verdicts
    )
    doubtful = (
        caught(
            sql.SQL("{} := {}; {} {}").format(
                verdict.variable, changed(verdict.columns), verdict.closer, verdict.apart
            ),
            verdict.doubt,
        )
        for verdict in verdicts
    )
    return caught(sql.SQL("if {} then {} end if;").format(changed(every), joined(certain, " ")), joined(doubtful, " "))


def caught(statements: sql.Composable, instead: sql.Composable) -> sql.Composed:
    """Do something else where statements do not fit the table any more; what they have written is undone.

    It costs half a microsecond, as long as nothing is written within: that would take a transaction id each time, and
    after 64 of these in one transaction, every session of the server looks them up on disk. So where the application
    waits, the statements only look, and what fits is written outside.
    """
    return sql.SQL("begin {} exception when {} then {} end;").format(statements, _MISFIT, instead)


def miss(mapping_ids: Iterable[str], what: str) -> sql.Composed:
    """Note, in the place of an error's handler, that something of some mappings could not be captured.

    A row a transaction, mapping and kind: nobody waits for anybody, and whoever makes up for what others have missed
    takes away what he has seen. Other errors than those about names and types may quote values (I10).
    """
    values = joined(
        sql.SQL("({}, {}, case when sqlstate like '42%' then sqlerrm else sqlstate end)").format(
            sql.Literal(mapping_id), sql.Literal(what)
        )
        for mapping_id in sorted(set(mapping_ids))
    )
    return sql.SQL("insert into {} (mapping_id, what, reason) values {} on conflict do nothing;").format(
        ours("missed"), values
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


def entomb_known(mapping: SyncMapping) -> sql.Composed:
    """Entomb the old row, of which it is known that it was one of the mapping's."""
    return _entomb_where(mapping, OLD_ROW, sql.SQL("true"))


def entomb_left(mapping: SyncMapping) -> sql.Composed:
    """Entomb a row that keeps existing, but no longer under its old key and tenancy, or no longer within the filter."""
    return _entomb_where(mapping, OLD_ROW, _left(mapping))


def has_left(mapping: SyncMapping) -> sql.Composed:
    """Tell whether there is a row to be entombed so."""
    return sql.SQL("exists (select from {} as source where {})").format(OLD_ROW, _left(mapping))


def was_kept(mapping: SyncMapping) -> sql.Composed:
    """Tell whether the old row is one of the mapping's, and has the columns that say which."""
    if mapping.filter is None:
        return reads(mapping.identity, "old")
    return sql.SQL("exists (select from {} as source where {}) and {}").format(
        OLD_ROW, row_filter(mapping), reads(mapping.identity, "old")
    )


def reads(names: Iterable[str], record: str) -> sql.Composed:
    """Return what is true of every row that has some columns, and an error of any other."""
    return sql.SQL("(row({}) is null) is not null").format(joined(column(name, record) for name in names))


def _left(mapping: SyncMapping) -> sql.Composed:
    """Tell it by stored images, as `=` of interval, or by a collation, takes for one key what is two in a copy."""
    return sql.SQL("{filter} and ({moved} or not exists (select from (select new.*) as source where {filter}))").format(
        filter=row_filter(mapping), moved=changed(mapping.identity)
    )


def by_likeness(feeds: Sequence[Feed]) -> list[list[Feed]]:
    """Put feeds together that make the same touches of a row on the same occasions."""
    found: dict[object, list[Feed]] = {}
    for feed in feeds:
        found.setdefault((*feed.match, *feed.constants.items(), feed.watched), []).append(feed)
    return list(found.values())


def is_feeding(feeds: Sequence[Feed], record: str) -> sql.Composed:
    """Tell whether one row feeds anything by feeds that are alike, and has the columns that say what."""
    if not feeds[0].constants:
        return reads(feeds[0].match, record)
    return sql.SQL("{} and {}").format(feeds[0].feeding(record), reads(feeds[0].match, record))


def touch_row(feeds: Sequence[Feed], record: str) -> sql.Composed:
    """Touch what one row feeds, by feeds that are alike."""
    return sql.SQL("insert into {touch} (dependant_id, match) values {values};").format(
        touch=ours("touch"),
        values=joined(
            sql.SQL("({}, {})").format(sql.Literal(feed.dependant_id), feed.match_object(record)) for feed in feeds
        ),
    )


def any_feeding(feeds: Sequence[Feed], rows: sql.Composable) -> sql.Composed:
    """Tell whether one of any number of rows feeds anything, and whether they have the columns that say what."""
    return sql.SQL("exists (select from {} as source where {})").format(
        rows,
        joined((sql.SQL("({})").format(is_feeding(alike, SOURCE)) for alike in by_likeness(feeds)), " or "),
    )


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
    return sql.SQL(
        "insert into {tenancy} as known (tenancy_id, columns) select {id}, {columns} from {rows} {known};"
    ).format(
        tenancy=ours("tenancy"),
        id=column(tenancies.id),
        columns=tenancy_columns(tenancies),
        rows=rows,
        known=sql.SQL(TENANCY_KNOWN),
    )


def unregister(tenancies: TenancySpec, record: str) -> sql.Composed:
    """Have a tenancy known as gone."""
    return sql.SQL("update {} set deleted_at = clock_timestamp() where tenancy_id = {};").format(
        ours("tenancy"), column(tenancies.id, record)
    )


def touch_tenancies(catalog: Catalog, record: str) -> list[sql.Composable]:
    """Send every row of the tenancy again: to where it belongs now, and as gone to everywhere else."""
    tenancy_id = column(catalog.tenancy.id, record)
    one = sql.SQL("(select {} as tenancy_id) as one").format(tenancy_id)
    return [sql.SQL("{};").format(touch_rows_of(mapping, one)) for mapping in catalog.mappings]


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
