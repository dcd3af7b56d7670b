"""What of which mappings no trigger could capture, and nobody has made up for yet: no copy of these is complete."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import TENANCIES

_READ = """
select mapping_id, count(distinct transaction_id) as transactions, bool_or(what = 'deletion') as deletions,
    min(missed_at) as since, (array_agg(reason order by missed_at desc))[1] as reason
from dbsync.missed where mapping_id = any(%s) group by mapping_id
"""


@dataclass(frozen=True)
class Missed:
    """What was missed of one mapping.

    Attributes:
        transactions: of the application, of which something was.
        deletions: whether rows are gone, or only to be sent again.
        since: when that was first so.
        reason: what Postgres said of the last one, an error's text or, where that may quote a value, its code.
    """

    mapping_id: str
    transactions: int
    deletions: bool
    since: datetime
    reason: str

    def __str__(self) -> str:
        what = "deletions" if self.deletions else "changes of joined tables"
        whose = f"mapping {self.mapping_id}: {what}"
        if self.mapping_id == TENANCIES:
            whose = "changes of the tenancy table"
        return (
            f"{whose} since {self.since:%Y-%m-%d %H:%M:%S%z} could not be captured, which is "
            f"made up for once the mapping fits again: {self.reason}"
        )


def read_missed(connection: psycopg.Connection, catalog: Catalog) -> dict[str, Missed]:
    """Return mapping -> what was missed of it, of those of which something was, and of the tenancy table likewise."""
    mapping_ids = [TENANCIES, *(mapping.mapping_id for mapping in catalog.mappings)]
    with connection.cursor(row_factory=class_row(Missed)) as cursor:
        return {entry.mapping_id: entry for entry in cursor.execute(_READ, [mapping_ids])}
