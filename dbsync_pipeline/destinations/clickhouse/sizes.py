"""What the mappings' tables take in ClickHouse, from what it knows of their parts; no row is read.

On a cluster every replica has all of it, so that the one that answers speaks for all.
"""

from dataclasses import dataclass

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.tables import ClickHouseNames
from dbsync_pipeline.mappings.catalog import Catalog

LONGEST_LOOK_SECONDS = 5
"""Who only wants to know how things are waits for so long."""

_PARTS = """
select table, count(), sum(rows), sum(bytes_on_disk) from system.parts
where active and database = {database:String} group by table
"""


@dataclass(frozen=True)
class StoredTable:
    """A mapping's table.

    Attributes:
        parts: active ones.
        rows: every version of every row that merges have not dropped yet, deleted ones included.
        bytes: on disk, compressed.
    """

    mapping_id: str
    parts: int = 0
    rows: int = 0
    bytes: int = 0


def read_stored(clickhouse: ClickHouse, catalog: Catalog, names: ClickHouseNames) -> list[StoredTable]:
    """Return what each mapping's table takes; nothing where it is empty, or not there."""
    found = {table: sizes for table, *sizes in clickhouse.query(_PARTS, {"database": names.internal})}
    return [StoredTable(mapping.mapping_id, *found.get(mapping.mapping_id, ())) for mapping in catalog.mappings]
