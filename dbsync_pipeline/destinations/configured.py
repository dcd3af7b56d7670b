"""The databases that tenancies' owners configured, as rows of dbsync.destination.

Whatever edits that table, this module or plain SQL, the sequencer notices and makes the tenancy pending; nobody has to
tell anyone else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

from dbsync_pipeline.mappings.spec import TenancyId


@dataclass(frozen=True)
class ExternalDatabase:
    """One configured database.

    Attributes:
        connection: libpq connection string, or a reference to one; a secret.
        mappings: the mappings it receives; None means all there are.
    """

    destination_id: str
    tenancy_id: TenancyId
    name: str
    connection: str = field(repr=False)
    mappings: list[str] | None
    enabled: bool

    def receives(self, mapping_id: str) -> bool:
        """Whether it has a copy of a mapping."""
        return self.mappings is None or mapping_id in self.mappings


def read_database(connection: psycopg.Connection, destination_id: str) -> ExternalDatabase | None:
    """Return how a database is configured now; None when it is not any more."""
    return next(iter(_read(connection, "destination_id = %s", [destination_id])), None)


def databases_of(connection: psycopg.Connection, tenancies: Sequence[str] | None = None) -> list[ExternalDatabase]:
    """Return the databases of some tenancies, by their ids as text, or of all."""
    return _read(connection, "%s::text[] is null or tenancy_id::text = any(%s)", [tenancies, tenancies])


_SELECT: LiteralString = """
select destination_id, tenancy_id, name, connection, mappings, enabled from dbsync.destination
where kind = 'postgres' and ({}) order by tenancy_id, name
"""


def _read(
    connection: psycopg.Connection, condition: LiteralString, parameters: Sequence[object]
) -> list[ExternalDatabase]:
    with connection.cursor(row_factory=class_row(ExternalDatabase)) as cursor:
        return cursor.execute(
            _SELECT.format(condition),
            parameters,
        ).fetchall()
