"""What `dbsync init` does to the source database: a plan of steps, made from the difference to what is there.

Every step may be repeated. Nothing of the application's is locked for longer than adding a column or a trigger takes,
and that gives up rather than queue behind a long transaction; indexes are built CONCURRENTLY, outside a transaction,
and one whose build was interrupted is built anew.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dbsync_pipeline.capture import objects, triggers
from dbsync_pipeline.capture.indexes import index_steps
from dbsync_pipeline.capture.step import Step
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.explain import explain_mapping
from dbsync_pipeline.mappings.installed import installed_id, read_installed
from dbsync_pipeline.mappings.relation import (
    CLICKHOUSE,
    IS_PAUSED,
    SEQUENCER_LOCK,
    SyncColumns,
    column,
    joined,
    ours,
    row_filter,
    table_name,
)
from dbsync_pipeline.mappings.schema import SourceSchema, check_catalog, read_schema
from dbsync_pipeline.mappings.spec import SyncMapping, Table

_LOCK_TIMEOUT = "5s"
_LOCK_ATTEMPTS = 5


def plan(connection: psycopg.Connection, catalog: Catalog, columns: SyncColumns) -> list[Step]:
    """Return what is missing, in the order in which it has to be done.

    Raises:
        MappingError: a mapping does not fit the source schema.
    """
    schema = check_source(connection, catalog)
    installed = read_installed(connection)
    steps = [Step("schema dbsync", (objects.tables(catalog),))]
    if not installed:
        steps.append(Step("start of the sequence", _start_of_sequence(catalog, schema, columns)))
    for table in catalog.source_tables:
        if not {columns.sequence, columns.dirty} <= set(schema.table(table).columns):
            added = objects.sync_columns(table_name(table), columns.sequence, columns.dirty)
            steps.append(Step(f"sync columns of {table}", (added,)))
    steps += index_steps(connection, catalog, schema, columns)
    steps += _trigger_steps(connection, catalog, schema, columns, installed)
    steps += _abandoned_mappings(catalog, installed)
    steps.append(Step("tenancies", (_register_tenancies(catalog), _register_clickhouse())))
    steps += [
        Step(f"mapping {mapping.mapping_id}", _announce(mapping, columns, known=installed_id(mapping) in installed))
        for mapping in catalog.mappings
        if installed.get(installed_id(mapping)) != mapping.code_version
    ]
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


def _remember(object_id: str, fingerprint: str) -> sql.Composed:
    return sql.SQL(
        "insert into {} (object_id, fingerprint) values ({}, {}) on conflict (object_id) "
        "do update set fingerprint = excluded.fingerprint, installed_at = clock_timestamp()"
    ).format(ours("installed"), sql.Literal(object_id), sql.Literal(fingerprint))


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
    for table in catalog.captured_tables:
        capture = triggers.generate(
            catalog, schema.table(table), sequence_column=columns.sequence, dirty_column=columns.dirty
        )
        object_id = f"triggers {table}"
        if installed.get(object_id) == capture.fingerprint:
            continue
        statements: list[sql.Composed] = [_drop_other_triggers(table, capture)]
        for trigger in capture.triggers:
            always = sql.SQL("alter table {} enable always trigger {}").format(
                table_name(table), sql.Identifier(trigger.name)
            )
            statements += [trigger.function, trigger.trigger, always]
        steps.append(Step(f"triggers of {table}", (*statements, _remember(object_id, capture.fingerprint))))
    steps += _abandoned(connection, catalog, installed)
    return steps


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


def _abandoned_mappings(catalog: Catalog, installed: dict[str, str]) -> list[Step]:
    """Nothing waits for a mapping that is gone; its epochs stay, so that one that returns is delivered anew."""
    kept = {installed_id(mapping) for mapping in catalog.mappings}
    steps: list[Step] = []
    for object_id in installed:
        if not object_id.startswith("mapping ") or object_id in kept:
            continue
        names = {"mapping": sql.Literal(object_id.removeprefix("mapping ")), "object": sql.Literal(object_id)}
        statements = (
            "update dbsync.pending set wanted = reached where mapping_id = {mapping}",
            "delete from dbsync.touch where split_part(dependant_id, '.', 1) = {mapping}",
            # Should it return, nobody will have written tombstones for what was deleted meanwhile.
            (
                "insert into dbsync.purged as known select distinct p.tenancy_id, p.mapping_id, s.last_sequence_id + 1 "
                "from dbsync.pending p cross join dbsync.sequencer s where p.mapping_id = {mapping} "
                "on conflict (tenancy_id, mapping_id) do update set sequence_id = excluded.sequence_id"
            ),
            "delete from dbsync.tombstone where mapping_id = {mapping}",
            "delete from dbsync.placement where mapping_id = {mapping}",
            "delete from dbsync.installed where object_id = {object}",
        )
        steps.append(Step(f"{object_id}, no longer there", tuple(sql.SQL(text).format(**names) for text in statements)))
    return steps


def _register_tenancies(catalog: Catalog) -> sql.Composed:
    pairs = (
        sql.SQL("{}, {}").format(sql.Literal(entry.name), column(entry.source)) for entry in catalog.tenancy.columns
    )
    return sql.SQL(
        "insert into {tenancy} as known (tenancy_id, columns) "
        # Whoever deletes or moves a new one meanwhile waits for this, and then finds it registered.
        "select {id}, jsonb_build_object({pairs}) from {table} as source "
        "where not exists (select from {tenancy} as known where known.tenancy_id = {id}) for share of source "
        "on conflict (tenancy_id) do nothing"
    ).format(
        tenancy=ours("tenancy"),
        id=column(catalog.tenancy.id),
        pairs=joined(pairs),
        table=table_name(catalog.tenancy.table),
    )


def _register_clickhouse() -> sql.Composed:
    return sql.SQL(
        "insert into {} (destination_id, kind, announced) values ({}, {}, true) on conflict do nothing"
    ).format(ours("destination"), sql.Literal(CLICKHOUSE), sql.Literal(CLICKHOUSE))


def _announce(mapping: SyncMapping, columns: SyncColumns, *, known: bool) -> tuple[sql.Composed, ...]:
    """Make every tenancy pending for a mapping that is new or delivers something else than before.

    Rows that another system never numbered, or left unmarked, wait for the sequencer; so do all of a mapping whose
    rows are placed, since where they belong may have changed with it.
    """
    statements: list[sql.Composed] = []
    if mapping.has_placement or not known:
        statements.append(
            sql.SQL("update {table} as source set {dirty} = true where {is_dirty} is not true and {unseen}").format(
                table=table_name(mapping.source),
                dirty=sql.Identifier(columns.dirty),
                is_dirty=column(columns.dirty),
                unseen=row_filter(mapping)
                if mapping.has_placement
                else sql.SQL("{} is null").format(column(columns.sequence)),
            )
        )
    # Nobody pauses anything meanwhile.
    statements.append(sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(SEQUENCER_LOCK)))
    statements.append(
        sql.SQL(
            "insert into {pending} as known (tenancy_id, mapping_id, destination_id, wanted, paused) "
            # A disabled one waits for nothing, and has a new epoch all the same when it is enabled again.
            "select t.tenancy_id, {mapping}, d.destination_id, case when d.enabled then s.last_sequence_id else 0 end, "
            "{is_paused} "
            "from {tenancy} t join {destination} d on d.tenancy_id is null or d.tenancy_id = t.tenancy_id "
            "and (d.mappings is null or {mapping} = any(d.mappings)) "
            "cross join {sequencer} s where t.deleted_at is null "
            # The same order as everyone else who changes several of these rows.
            "order by d.destination_id, t.tenancy_id "
            "on conflict (destination_id, tenancy_id, mapping_id) do update set wanted = excluded.wanted, "
            "reached = 0, epoch = known.epoch + 1, lease_worker = null, lease_until = null, "
            "pending_since = clock_timestamp(), next_attempt_at = '-infinity'"
        ).format(
            pending=ours("pending"),
            is_paused=sql.SQL(IS_PAUSED).format(
                sql.Identifier("d", "destination_id"),
                sql.Identifier("t", "tenancy_id"),
                sql.Literal(mapping.mapping_id),
            ),
            mapping=sql.Literal(mapping.mapping_id),
            tenancy=ours("tenancy"),
            destination=ours("destination"),
            sequencer=ours("sequencer"),
        )
    )
    return (*statements, _remember(installed_id(mapping), mapping.code_version))
