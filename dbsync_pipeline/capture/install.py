"""What `dbsync init` does to the source database: a plan of steps, made from the difference to what is there.

Every step may be repeated. Nothing of the application's is locked for longer than adding a column or a trigger takes,
and that gives up rather than queue behind a long transaction; indexes are built CONCURRENTLY, outside a transaction,
and one whose build was interrupted is built anew.
"""

from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dbsync_pipeline.capture import objects, triggers
from dbsync_pipeline.capture.announcements import NOBODY_NUMBERS, announcements
from dbsync_pipeline.capture.indexes import index_steps
from dbsync_pipeline.capture.step import Step
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import join_feeds
from dbsync_pipeline.mappings.explain import explain_mapping
from dbsync_pipeline.mappings.installed import (
    SCHEMA_ID,
    SCHEMA_VERSION,
    read_installed,
    refuse_newer,
    remember,
)
from dbsync_pipeline.mappings.relation import (
    DISTRUST,
    SyncColumns,
    joined,
    ours,
    table_name,
)
from dbsync_pipeline.mappings.schema import SourceSchema, check_catalog, read_schema
from dbsync_pipeline.mappings.spec import Table

_LOCK_TIMEOUT = "5s"
_LOCK_ATTEMPTS = 5


def plan(connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns) -> list[Step]:
    """Return what is missing, in the order in which it has to be done.

    Raises:
        NotInstalledError: a later program has been here.
        MappingError: a mapping does not fit the source schema.
    """
    installed = read_installed(connection)
    refuse_newer(installed)
    schema = check_source(connection, catalog)
    steps = [Step("schema dbsync", (objects.tables(catalog),))]
    if not installed:
        steps.append(Step("start of the sequence", _start_of_sequence(catalog, schema, columns)))
    removal = objects.removal(connection)
    if removal is not None:
        steps.append(Step("removal of destinations", (removal,)))
    if installed.get(SCHEMA_ID) != str(SCHEMA_VERSION):
        steps.append(Step(f"version {SCHEMA_VERSION} of the schema", (remember(SCHEMA_ID, str(SCHEMA_VERSION)),)))
    for table in catalog.source_tables:
        if not {columns.sequence, columns.dirty} <= set(schema.table(table).columns):
            added = objects.sync_columns(table_name(table), columns.sequence, columns.dirty)
            steps.append(Step(f"sync columns of {table}", (added,)))
    steps += index_steps(connection, catalog, schema, columns)
    steps += _trigger_steps(connection, catalog, schema, columns, installed)
    steps += announcements(catalog, columns, installed)
    return steps


def check_source(connection: psycopg.Connection, catalog: Catalog) -> SourceSchema:
    """Check that every mapping fits the source, down to the types of its expressions; change nothing.

    Raises:
        MappingError: one does not; the message names file, line, reason and mend.
    """
    schema = read_schema(connection, catalog)
    check_catalog(catalog, schema)
    with _privileges("checking the mappings"), connection.transaction(force_rollback=True):
        # Expressions may call the project's own functions, which may not be there yet.
        connection.execute(objects.tables(catalog))
        for mapping in catalog.mappings:
            explain_mapping(connection, catalog, mapping)
    return schema


def apply(connection: psycopg.Connection, steps: list[Step], progress: Callable[[Step], None]) -> None:
    """Carry out a plan on a session in autocommit mode.

    Raises:
        DbsyncError: a table stayed locked by the application; running `init` again goes on from there.
    """
    for step in steps:
        progress(step)
        retrying = Retrying(
            retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
            stop=stop_after_attempt(_LOCK_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5),
        )
        try:
            with _privileges(step.title):
                retrying(_run, connection, step)
        except RetryError as error:
            raise DbsyncError(
                f"{step.title}: a transaction of the application holds the table for too long",
                "Look for it in pg_stat_activity, end it, and run `dbsync init` again; it goes on from here.",
            ) from error


@contextmanager
def _privileges(doing: str) -> Generator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise DbsyncError(f"{doing}: {error}", "Grant the role what docs/operating.md lists.") from error


def _run(connection: psycopg.Connection, step: Step) -> None:
    if step.concurrently:
        for statement in step.statements:
            connection.execute(statement)
        return
    with connection.transaction():
        connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
        for statement in step.statements:
            connection.execute(statement)


def _start_of_sequence(catalog: Catalog, schema: SourceSchema, columns: SyncColumns) -> tuple[sql.Composed, ...]:
    """Rows that another system has numbered keep their ids; ours start above all of them."""
    highest = [
        sql.SQL("select max({}) as id from {}").format(sql.Identifier(columns.sequence), table_name(table))
        for table in catalog.source_tables
        if columns.sequence in schema.table(table).columns
    ]
    ids = joined([sql.SQL("select 0::bigint as id"), *highest], " union all ")
    return (
        sql.SQL(
            "update {sequencer} set last_sequence_id = (select max(id) from ({ids}) as numbered) "
            "where (select max(id) from ({ids}) as numbered) > last_sequence_id"
        ).format(sequencer=ours("sequencer"), ids=ids),
        sql.SQL("select setval('dbsync.sequence_id', last_sequence_id) from {} where last_sequence_id > 0").format(
            ours("sequencer")
        ),
    )


def _trigger_steps(
    connection: psycopg.Connection,
    catalog: Catalog,
    schema: SourceSchema,
    columns: SyncColumns,
    installed: dict[str, str],
) -> list[Step]:
    steps: list[Step] = []
    firing = _firing_triggers(connection)
    for table in catalog.captured_tables:
        capture = triggers.generate(
            catalog, schema.table(table), sequence_column=columns.sequence, dirty_column=columns.dirty
        )
        object_id = f"triggers {table}"
        unchanged = installed.get(object_id) == capture.fingerprint
        if unchanged and {trigger.name for trigger in capture.triggers} <= firing[table]:
            continue
        # One that was made anew, or whose triggers were switched off for a while, has been written unseen.
        missed = _missed(catalog, table) if object_id in installed and (unchanged or not firing[table]) else ((), "")
        statements: list[sql.Composed] = [*missed[0], _drop_other_triggers(table, capture)]
        for trigger in capture.triggers:
            statements += trigger.statements
        statements.append(remember(object_id, capture.fingerprint))
        steps.append(Step(f"triggers of {table}", tuple(statements), follows=missed[1]))
    steps += _abandoned(connection, catalog, installed)
    return steps


def _firing_triggers(connection: psycopg.Connection) -> defaultdict[Table, set[str]]:
    """Return the names of our triggers that fire in sessions that replicate, by table: new ones fire in others only."""
    found = defaultdict[Table, set[str]](set)
    for schema_name, table, trigger in connection.execute(
        "select n.nspname, c.relname, t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
        "join pg_namespace n on n.oid = c.relnamespace where t.tgname ~ '^(zz_)?dbsync_' and t.tgenabled in ('A', 'R')"
    ):
        found[Table(schema_name=schema_name, name=table)].add(trigger)
    return found


def _missed(catalog: Catalog, table: Table) -> tuple[tuple[sql.Composed, ...], str]:
    """What was deleted without triggers is found by the next delivery; what was written, by verification."""
    owned = [mapping.mapping_id for mapping in catalog.mappings_of(table)]
    fed = [feed.mapping.mapping_id for feed in join_feeds(catalog) if feed.table == table]
    if table == catalog.tenancy.table:
        fed = [mapping.mapping_id for mapping in catalog.mappings]
    distrust = sql.SQL(DISTRUST).format(pairs=sql.SQL("p.mapping_id = any({})").format(sql.Literal(owned)))
    repairs = ", ".join(f"`dbsync verify --mapping {name} --repair`" for name in sorted({*owned, *fed}))
    missing = f"what was written meanwhile may be missing from the copies, until {repairs}."
    # The lock comes before the table's own, as sequencers take them.
    return (NOBODY_NUMBERS, distrust), f"table {table}: its triggers were gone or off, and {missing}"


def _drop_other_triggers(table: Table, capture: triggers.TableCapture | None) -> sql.Composed:
    """Triggers of an earlier version that are not generated any more, and on a table that is not captured any more."""
    kept = [trigger.name for trigger in capture.triggers] if capture is not None else []
    return sql.SQL(
        "do $dbsync$ declare found record; begin for found in select tgname from pg_trigger "
        "where tgrelid = {table}::regclass and tgname ~ '^(zz_)?dbsync_' and tgname <> all({kept}::text[]) "
        "loop execute format('drop trigger %I on %s', found.tgname, {table}::regclass); end loop; end $dbsync$"
    ).format(table=sql.Literal(table_name(table).as_string(None)), kept=sql.Literal(kept))


def _abandoned(connection: psycopg.Connection, catalog: Catalog, installed: dict[str, str]) -> list[Step]:
    captured = {f"triggers {table}" for table in catalog.captured_tables}
    steps: list[Step] = []
    for object_id in installed:
        if not object_id.startswith("triggers ") or object_id in captured:
            continue
        table = Table.model_validate(object_id.removeprefix("triggers "))
        forget = sql.SQL("delete from {} where object_id = {}").format(ours("installed"), sql.Literal(object_id))
        with connection.cursor(row_factory=scalar_row) as cursor:
            exists = cursor.execute("select to_regclass(%s)", [table_name(table).as_string(None)]).fetchone()
        statements = (_drop_other_triggers(table, None), forget) if exists else (forget,)
        steps.append(Step(f"triggers of {table}, no longer captured", statements))
    return steps
