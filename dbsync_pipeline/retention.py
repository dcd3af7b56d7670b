"""Removes tombstones that everybody has had for long.

A tombstone may go when nobody waits for it any more. Who comes back later, from before it, has to learn in another way
what was deleted; so how far tombstones are gone is recorded in the transaction that removes them, and `engine.gaps`
looks there. The table is gone through once, a few pages a transaction, without an index of ages, for which the
application would pay with every deletion.
"""

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.installed import require_installed

_PAGES_AT_ONCE = 256
"""2 MB, 10,000 tombstones: 35 ms beside 100,000 pending rows."""

_SECONDS_A_DAY = 86_400

# A pair that waits for nothing has got everything, or is not to get it. A tombstone of no tenancy is for nobody.
_PURGE = """
with gone as (
    delete from dbsync.tombstone t
    where t.ctid >= format('(%%s,0)', %(page)s::bigint)::tid and t.ctid < format('(%%s,0)', %(end)s::bigint)::tid
        and t.sequence_id is not null and t.created_at < clock_timestamp() - make_interval(secs => %(seconds)s)
        and not exists (
            select from dbsync.pending p where p.tenancy_id = t.tenancy_id and p.mapping_id = t.mapping_id
            and p.wanted > p.reached and p.reached < t.sequence_id
        )
    returning t.tenancy_id, t.mapping_id, t.sequence_id
), recorded as (
    insert into dbsync.purged as known (tenancy_id, mapping_id, sequence_id)
    select tenancy_id, mapping_id, max(sequence_id) from gone where tenancy_id is not null
    group by tenancy_id, mapping_id
    -- Two purges at once take them in the same order.
    order by tenancy_id, mapping_id
    on conflict (tenancy_id, mapping_id) do update set sequence_id = greatest(known.sequence_id, excluded.sequence_id)
)
select count(*) from gone
"""

_PAGES = "select pg_relation_size('dbsync.tombstone') / current_setting('block_size')::bigint"

_SIZES = """
select relname as table_name, n_live_tup as rows, pg_total_relation_size(relid) as bytes from pg_stat_all_tables
where schemaname = 'dbsync' and relname in ('tombstone', 'touch', 'placement', 'pending') order by relname
"""


@dataclass(frozen=True)
class TableSize:
    """What a table of ours takes in the source: rows as Postgres estimates them, bytes with indexes and free space."""

    table_name: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Purged:
    """What a purge came to: tombstones removed, and what the table takes after it."""

    tombstones: int
    left: TableSize


def purge(connection: psycopg.Connection, catalog: Catalog, *, days: float) -> Purged:
    """Remove the tombstones that are older than some days and that nobody waits for.

    Args:
        connection: a session on the source, in autocommit mode.
        catalog: the mappings in use.
        days: how old they have to be; 0 for those of this moment, too.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    require_installed(connection, catalog)
    removed = 0
    for page in range(0, _number(connection, _PAGES), _PAGES_AT_ONCE):
        removed += _number(
            connection, _PURGE, {"page": page, "end": page + _PAGES_AT_ONCE, "seconds": days * _SECONDS_A_DAY}
        )
    left = next(size for size in read_sizes(connection) if size.table_name == "tombstone")
    return Purged(removed, left)


def read_sizes(connection: psycopg.Connection) -> list[TableSize]:
    """Return the tables that grow with the application's changes; no row of them is read."""
    with connection.cursor(row_factory=class_row(TableSize)) as cursor:
        return cursor.execute(_SIZES).fetchall()


def _number(connection: psycopg.Connection, query: LiteralString, parameters: dict[str, object] | None = None) -> int:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]
