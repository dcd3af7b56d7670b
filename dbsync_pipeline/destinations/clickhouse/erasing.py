"""Removes every version of a tenancy's rows from ClickHouse, for good.

The tables are those that are there, so that one whose mapping is gone is not forgotten. A mutation writes the parts
that hold such rows anew, without them, and is waited for, on all replicas; a lightweight delete would only hide them.
"""

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.tables import (
    CHECKPOINT_TABLE,
    EVERY_VERSION,
    SEQUENCE,
    TENANCY,
    ClickHouseNames,
    literal,
    name,
)
from dbsync_pipeline.errors import NotInstalledError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.types import data_type

_CHECKPOINT_SEQUENCE = "sequence_id"


class ClickHouseErasure:
    """What ClickHouse holds of one tenancy."""

    def __init__(self, clickhouse: ClickHouse, catalog: Catalog, names: ClickHouseNames, tenancy: str) -> None:
        self._clickhouse = clickhouse
        self._names = names
        self._of_tenancy = f"{TENANCY} = cast({literal(tenancy)} as {data_type(catalog.tenancy.type).clickhouse})"

    def tables(self) -> list[str]:
        """Return the tables that hold rows or checkpoints of tenancies.

        Raises:
            NotInstalledError: there are none, so that nothing could be proved by them.
        """
        found = self._clickhouse.query(
            "select distinct table from system.columns "
            "where database = {database:String} and name in {names:Array(String)} order by table",
            {"database": self._names.internal, "names": [SEQUENCE, _CHECKPOINT_SEQUENCE]},
        )
        if not found:
            raise NotInstalledError(f"ClickHouse has no tables in {self._names.internal}", "Run `dbsync init`.")
        return [table for (table,) in found]

    def rows(self, table: str) -> int:
        """Count all versions of all rows of the tenancy, deleted ones included."""
        ((count,),) = self._clickhouse.query(
            f"select count() from {self._qualified(table)} where {self._of_tenancy} {EVERY_VERSION}"  # noqa: S608 -- quoted
        )
        return count

    def erase(self, table: str, upto: int) -> None:
        """Remove those up to a sequence id, and wait until it is done.

        A tenancy that comes back meanwhile has higher ones.
        """
        sequence = _CHECKPOINT_SEQUENCE if table == CHECKPOINT_TABLE else SEQUENCE
        self._clickhouse.execute(
            f"alter table {self._qualified(table)} delete where {self._of_tenancy} and {sequence} <= {upto} "
            "settings mutations_sync = 2"
        )

    def _qualified(self, table: str) -> str:
        return f"{name(self._names.internal)}.{name(table)}"
