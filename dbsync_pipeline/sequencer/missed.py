"""Makes up for what triggers could not capture while the application had changed a column under a mapping.

A trigger lets such a write through, and notes in dbsync.missed, in the write's own transaction, that something of the
mapping was missed (I3). Which row it was, nobody knows any more. So once the mapping fits its tables again:

* For deletions, tombstones count as gone up to a new sequence id, as after a purge, and every copy is to reach that:
  before it delivers, it is compared with the source, and loses what it should not have (`engine.gaps`).
* For rows that are to be sent again, all of the mapping are.

What is noted by a transaction that commits later is not seen, stays, and is made up for by the next pass. Until the
mapping fits, its rows stay noted: a comparison would fail, and what is sent again might be wrong once more.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import touch_all
from dbsync_pipeline.mappings.explain import explain_mapping
from dbsync_pipeline.mappings.relation import DISTRUST, WAKE_WORKERS
from dbsync_pipeline.mappings.spec import SyncMapping

MISSED: LiteralString = """array(
    select mapping_id from unnest({mappings}::text[]) as known (mapping_id)
    where exists (select from dbsync.missed m where m.mapping_id = known.mapping_id)
)"""
"""SQL of the mappings, of those named, of which something was missed."""

_TAKE = """
with seen as (delete from dbsync.missed where mapping_id = %s returning what)
select count(*), coalesce(bool_or(what = 'deletion'), false), coalesce(bool_or(what = 'change'), false) from seen
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


def make_up(connection: psycopg.Connection, catalog: Catalog, mapping: SyncMapping) -> int:
    """Have put right what was missed of a mapping, in the sequencer's transaction; return how much was noted.

    Raises:
        MappingError: the mapping does not fit its tables.
    """
    explain_mapping(connection, catalog, mapping)
    row = connection.execute(_TAKE, [mapping.mapping_id]).fetchone()
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
