"""What `dbsync init` tells the pipeline: which tenancies, destinations and mappings there are, and which are new.

A mapping that is new, or delivers something else than before, begins a new epoch for every tenancy; nothing waits any
more for one that is gone. Sequencers number by what is written here, so that it changes only while none does (I2).
"""

from psycopg import sql

from dbsync_pipeline.capture.step import Step
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import touch_whole
from dbsync_pipeline.mappings.installed import abandoned_mappings, installed_id, remember
from dbsync_pipeline.mappings.relation import (
    CLICKHOUSE,
    DELETION,
    DISTRUST,
    IS_PAUSED,
    SEQUENCER_LOCK,
    SyncColumns,
    column,
    joined,
    ours,
    row_filter,
    table_name,
)
from dbsync_pipeline.mappings.spec import SyncMapping

NOBODY_NUMBERS = sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(SEQUENCER_LOCK))
"""What sequencers number by may change only between two of their transactions; each looks when it has the lock."""

_FORGET_REMOVED = sql.SQL(
    "delete from dbsync.pending p "
    "where not exists (select from dbsync.destination d where d.destination_id = p.destination_id)"
)
"""What became pending for the first time while its destination was being removed."""


# A tombstone or a placement names columns. By another name than the mapping's, nobody could tell which row it means.
_FORGET_UNREADABLE = sql.SQL(
    "with buried as (delete from {tombstone} where mapping_id = {mapping} and not identity ?& {identity} returning 1), "
    "placed as (delete from {placement} where mapping_id = {mapping} and not identity ?& {identity} returning 1) "
    "insert into {missed} (mapping_id, what, reason) "
    "select {mapping}, {deletion}, 'a column of the key, tenancy or scope has another name' "
    "where exists (table buried) or exists (table placed) on conflict do nothing"
)


def announcements(catalog: Catalog, columns: SyncColumns, installed: dict[str, str]) -> list[Step]:
    """Return the steps that bring the pipeline's own knowledge of tenancies and mappings up to date."""
    return [
        *_abandoned_mappings(catalog, installed),
        Step("tenancies", (_register_tenancies(catalog), _register_clickhouse(), _FORGET_REMOVED)),
        *(
            _announce(mapping, columns, known=installed_id(mapping) in installed)
            for mapping in catalog.mappings
            if installed.get(installed_id(mapping)) != mapping.code_version
        ),
    ]


def _abandoned_mappings(catalog: Catalog, installed: dict[str, str]) -> list[Step]:
    """Nothing waits for a mapping that is gone; its epochs stay, so that one that returns is delivered anew."""
    steps: list[Step] = []
    for mapping_id in abandoned_mappings(installed, catalog):
        names = {
            "mapping": sql.Literal(mapping_id),
            "object": sql.Literal(f"mapping {mapping_id}"),
            "pairs": sql.SQL("p.mapping_id = {}").format(sql.Literal(mapping_id)),
        }
        statements = (
            "update dbsync.pending set wanted = reached where mapping_id = {mapping}",
            "delete from dbsync.touch where split_part(dependant_id, '.', 1) = {mapping}",
            # Should it return, nobody will have written tombstones for what was deleted meanwhile.
            DISTRUST,
            "delete from dbsync.tombstone where mapping_id = {mapping}",
            "delete from dbsync.placement where mapping_id = {mapping}",
            "delete from dbsync.missed where mapping_id = {mapping}",
            "delete from dbsync.installed where object_id = {object}",
        )
        forget = (sql.SQL(text).format(**names) for text in statements)
        kept = f"mapping {mapping_id}: delivered no more; its tables and views stay where they are."
        steps.append(Step(f"mapping {mapping_id}, no longer there", (NOBODY_NUMBERS, *forget), follows=kept))
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


def _announce(mapping: SyncMapping, columns: SyncColumns, *, known: bool) -> Step:
    """Make every tenancy pending for a mapping that is new or delivers something else than before.

    Rows that another system never numbered, or left unmarked, wait for the sequencer. All of a mapping whose rows are
    placed are touched, since where they belong may have changed with it.
    """
    statements: list[sql.Composed] = []
    if not known:
        statements.append(
            sql.SQL(
                "update {table} as source set {dirty} = true where {is_dirty} is not true and {sequence} is null"
            ).format(
                table=table_name(mapping.source),
                dirty=sql.Identifier(columns.dirty),
                is_dirty=column(columns.dirty),
                sequence=column(columns.sequence),
            )
        )
    # Nobody pauses anything meanwhile, either.
    statements.append(NOBODY_NUMBERS)
    if mapping.has_placement:
        # Rows that are marked already, as all of them are at first, find their places with their numbers.
        unmarked = sql.SQL("exists (select from {table} as source where {is_dirty} is not true and {filter})").format(
            table=table_name(mapping.source), is_dirty=column(columns.dirty), filter=row_filter(mapping)
        )
        statements.append(touch_whole(mapping, unmarked))
    if known:
        statements.append(
            _FORGET_UNREADABLE.format(
                tombstone=ours("tombstone"),
                placement=ours("placement"),
                missed=ours("missed"),
                mapping=sql.Literal(mapping.mapping_id),
                identity=sql.Literal(list(mapping.identity)),
                deletion=sql.Literal(DELETION),
            )
        )
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
    statements.append(remember(installed_id(mapping), mapping.code_version))
    again = (
        "every tenancy is delivered again, over what is there. Rows that the mapping leaves out now stay in the copies "
        f"until `dbsync verify --mapping {mapping.mapping_id} --repair`."
    )
    return Step(
        f"mapping {mapping.mapping_id}",
        tuple(statements),
        follows=f"mapping {mapping.mapping_id}: {again if known else 'every tenancy is delivered for the first time.'}",
    )
