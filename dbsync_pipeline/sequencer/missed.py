"""Makes up for what triggers could not capture while the application had changed a column under a mapping.

A trigger lets such a write through, and notes in dbsync.missed, in the write's own transaction, that something of the
mapping was missed (I3). Which row it was, nobody knows any more. So once the mapping fits its tables again:

* For deletions, tombstones count as gone up to a new sequence id, as after a purge, and every copy is to reach that:
  before it delivers, it is compared with the source, and loses what it should not have (`engine.gaps`).
* For rows that are to be sent again, all of the mapping are.
* For the tenancy table, what is known of the tenancies is compared with it, and what differs is put right.

What is noted by a transaction that commits later is not seen, stays, and is made up for by the next pass. Until the
mapping fits, its rows stay noted: a comparison would fail, and what is sent again might be wrong once more.
"""

from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import touch_all, touch_rows_of
from dbsync_pipeline.mappings.explain import explain_mapping
from dbsync_pipeline.mappings.relation import (
    CHANGE,
    DELETION,
    DISTRUST,
    TENANCIES,
    TENANCY_KNOWN,
    WAKE_WORKERS,
    column,
    table_name,
    tenancy_columns,
)
from dbsync_pipeline.mappings.spec import SyncMapping

MISSED: LiteralString = """array(
    select mapping_id from unnest({mappings}::text[]) as known (mapping_id)
    where exists (select from dbsync.missed m where m.mapping_id = known.mapping_id)
)"""
"""SQL of the mappings, of those named, of which something was missed."""

_TAKE = """
with seen as (delete from dbsync.missed where mapping_id = %s returning what)
select count(*), coalesce(bool_or(what = %s), false), coalesce(bool_or(what = %s), false) from seen
"""

# A new id, which no copy can have reached; what is above everything that tombstones are missing of.
_REACH = """
with id as materialized (
    select nextval('dbsync.sequence_id') as wanted
), chosen as materialized (
    select p.destination_id, p.tenancy_id, p.mapping_id
    from dbsync.pending p join dbsync.destination d using (destination_id)
    -- What somebody does not receive now, he gets from the beginning when he does again.
    where p.mapping_id = %s and d.enabled and coalesce(d.tenancy_id, p.tenancy_id) = p.tenancy_id
        and (d.mappings is null or p.mapping_id = any(d.mappings))
    -- The same order as everyone else who changes several of these rows.
    order by p.destination_id, p.tenancy_id, p.mapping_id
    for update of p
)
update dbsync.pending p set
    wanted = id.wanted,
    pending_since = case when p.wanted > p.reached then p.pending_since else clock_timestamp() end
from chosen cross join id
where (p.destination_id, p.tenancy_id, p.mapping_id) = (chosen.destination_id, chosen.tenancy_id, chosen.mapping_id)
"""

# What is known of a tenancy is locked before the table is looked at again: whoever brings it back waits then.
_KNOWN_OTHERWISE: LiteralString = """
select known.tenancy_id from dbsync.tenancy known left join {table} source on {id} = known.tenancy_id
where case when {id} is null then known.deleted_at is null
    else known.deleted_at is not null or known.columns <> {columns} end
"""
_UNKNOWN: LiteralString = """
select {id} from {table} source where not exists (select from dbsync.tenancy known where known.tenancy_id = {id})
"""
_UNREGISTER: LiteralString = """
update dbsync.tenancy known set deleted_at = clock_timestamp()
where known.tenancy_id = any(%s) and known.deleted_at is null
    and not exists (select from {table} source where {id} = known.tenancy_id)
returning known.tenancy_id
"""
_REGISTER: LiteralString = """
with there as materialized (
    select {id} as tenancy_id, {columns} as columns from {table} source
    where {id} = any(%s) or not exists (select from dbsync.tenancy known where known.tenancy_id = {id})
    for share of source skip locked
)
insert into dbsync.tenancy as known (tenancy_id, columns) select tenancy_id, columns from there
{known} returning tenancy_id
"""
_NOTE = "insert into dbsync.missed (mapping_id, what, reason) values (%s, %s, 'locked meanwhile')"


def make_up(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> int:
    """Have put right what was missed of a mapping, in the sequencer's transaction; return how much was noted.

    Raises:
        MappingError: the mapping does not fit its tables.
    """
    explain_mapping(connection, catalog, mapping)
    row = connection.execute(_TAKE, [mapping.mapping_id, DELETION, CHANGE]).fetchone()
    assert row is not None
    count, deletions, changes = row
    if deletions:
        pairs = sql.SQL("p.mapping_id = {}").format(sql.Literal(mapping.mapping_id))
        connection.execute(sql.SQL(DISTRUST).format(pairs=pairs))
        connection.execute(_REACH, [mapping.mapping_id])
        connection.execute(WAKE_WORKERS)
    if changes:
        connection.execute(touch_all(mapping))
    return count


def make_up_tenancies(connection: psycopg.Connection, catalog: Catalog) -> int:
    """Bring what is known of the tenancies in line with their table; return how much was noted.

    What somebody has locked is passed over, and stays noted.
    """
    spec = catalog.tenancy
    names = {
        "table": table_name(spec.table),
        "id": column(spec.id),
        "columns": tenancy_columns(spec),
        "known": sql.SQL(TENANCY_KNOWN),
    }
    otherwise, unknown, unregister, register = (
        sql.SQL(text).format(**names) for text in (_KNOWN_OTHERWISE, _UNKNOWN, _UNREGISTER, _REGISTER)
    )
    with connection.cursor(row_factory=scalar_row) as cursor:
        count = cursor.execute(
            "with seen as (delete from dbsync.missed where mapping_id = %s returning 1) select count(*) from seen",
            [TENANCIES],
        ).fetchone()
        known = cursor.execute(sql.SQL("{} for update of known skip locked").format(otherwise)).fetchall()
        differing = cursor.execute(unregister, [known]).fetchall() + cursor.execute(register, [known]).fetchall()
        left = cursor.execute(sql.SQL("({}) union all ({}) limit 1").format(otherwise, unknown)).fetchone()
    for mapping in catalog.mappings if differing else ():
        connection.execute(touch_rows_of(mapping, sql.SQL("unnest(%s) as differing (tenancy_id)")), [differing])
    if left is not None:
        connection.execute(_NOTE, [TENANCIES, CHANGE])
    assert count is not None
    return count if left is None else 0
