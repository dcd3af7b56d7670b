"""Removes from a mapping's table the deleted rows that have been there for long, for good.

A deleted row is what older versions of its key lose against. So it may go when none can arrive any more, which is for
the caller to say, and when none lies in a part that has not been merged with its own, which is looked at here: where
one does, all parts are merged first, which leaves the newest version of each key and so nothing that could come back.
Only then a mutation writes the parts anew without the deleted rows. Merges and mutations replace one part after the
other; whoever reads meanwhile finds each key deleted, or not at all. A merge that drops deleted rows by itself
(CLEANUP) would not keep to that, nor to their age.
"""

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.tables import ClickHouseNames
from dbsync_pipeline.errors import RefusedForNowError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.spec import SyncMapping

WORTH_SHARE = 0.1
"""Of a table's rows, so many have to be removable. All of them are written anew, twice at most: that is twenty rows for
each that goes, about what merges write of a row in its life. Views read a tenth more until then."""

_MEMORY_BYTES = 512 << 20
"""Of ClickHouse, for looking at the keys of a table: some three million; beyond that they go to its disk, which takes
four times as long. Aggregating in the table's order, which should need none, took no less."""


class ClickHouseCleaning:
    """What may go at one moment, by ClickHouse's own clock: deleted rows that came in longer ago than some seconds."""

    def __init__(self, clickhouse: ClickHouse, catalog: Catalog, names: ClickHouseNames, *, seconds: float) -> None:
        self._clickhouse = clickhouse
        self._catalog = catalog
        self._names = names
        self._seconds = seconds
        ((before,),) = clickhouse.query(
            "select toString(now64(3, 'UTC') - toIntervalMillisecond({age:Int64}))", {"age": int(seconds * 1_000)}
        )
        self._removable = (
            f"{tables.DELETED} = 1 and {tables.CREATED} < toDateTime64({tables.literal(before)}, 3, 'UTC')"
        )

    def is_inserting(self) -> bool:
        """Whether an INSERT into our tables that began before that moment is still under way."""
        return bool(self._clickhouse.query(self.inserting()))

    def inserting(self) -> str:
        """Return the SELECT of such INSERTs, on all replicas of a cluster."""
        processes = "system.processes"
        if self._names.cluster:
            processes = f"clusterAllReplicas({tables.literal(self._names.cluster)}, {processes})"
        return (
            f"select query_id from {processes} where query_kind = 'Insert' and elapsed >= {self._seconds} "  # noqa: S608 -- our own names
            f"and position(query, {tables.literal(self._names.internal)}) > 0"
        )

    def clean(self, mapping: SyncMapping) -> int:
        """Remove what may go, where it is worth it; return how many rows that were.

        Raises:
            RefusedForNowError: parts were not merged, so that nothing may be removed.
        """
        table = self._names.table(mapping)
        ((rows, removable),) = self._clickhouse.query(
            f"select count(), countIf({self._removable}) from {table} {tables.EVERY_VERSION}"  # noqa: S608 -- quoted names
        )
        if not removable or removable < rows * WORTH_SHARE:
            return 0
        if self._is_superseding(mapping):
            self._clickhouse.execute(f"optimize table {table} final")
            if self._is_superseding(mapping):
                raise RefusedForNowError(f"older versions of deleted rows in {table} have not been merged")
        self._clickhouse.execute(self.removal(mapping))
        return removable

    def superseded(self, mapping: SyncMapping) -> str:
        """Return the SELECT of a key that is deleted and has an older version that lives; no row if there is none."""
        key = ", ".join(tables.name(part) for part in tables.sorting_key(self._catalog, mapping))
        return (
            f"select 1 from {self._names.table(mapping)} group by {key} "  # noqa: S608 -- quoted names
            f"having countIf({tables.DELETED} = 0) > 0 and "
            f"minIf({tables.SEQUENCE}, {tables.DELETED} = 0) < maxIf({tables.SEQUENCE}, {self._removable}) limit 1 "
            f"{tables.EVERY_VERSION}, max_bytes_before_external_group_by = {_MEMORY_BYTES}"
        )

    def removal(self, mapping: SyncMapping) -> str:
        """Return the mutation; every replica comes to the same, and all of them are waited for."""
        return f"alter table {self._names.table(mapping)} delete where {self._removable} settings mutations_sync = 2"

    def _is_superseding(self, mapping: SyncMapping) -> bool:
        return bool(self._clickhouse.query(self.superseded(mapping)))
