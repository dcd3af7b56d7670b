"""The databases that tenancies' owners configured, as rows of dbsync.destination.

Whatever edits that table, this module or plain SQL, the sequencer notices and makes the tenancy pending; nobody has to
tell anyone else. Whether a database can be reached is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

from dbsync_pipeline.errors import DestinationError
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


_SELECT: LiteralString = """
select destination_id, tenancy_id, name, connection, mappings, enabled from dbsync.destination
where kind = 'postgres' and ({}) order by tenancy_id, name
"""
# The id is the table's own to make.
_ADD = """
insert into dbsync.destination (tenancy_id, name, connection, mappings)
select tenancy_id, %s, %s, %s from dbsync.tenancy where tenancy_id::text = %s and deleted_at is null
returning destination_id
"""


def read_database(connection: psycopg.Connection, destination_id: str) -> ExternalDatabase | None:
    """Return how a database is configured now; None when it is not any more."""
    return next(iter(_read(connection, "destination_id = %s", [destination_id])), None)


def require_database(connection: psycopg.Connection, destination_id: str) -> ExternalDatabase:
    """Return how a database is configured now.

    Raises:
        DestinationError: there is none of that id.
    """
    database = read_database(connection, destination_id)
    if database is None:
        raise DestinationError(f"no external database {destination_id!r}", "`dbsync destination list` shows their ids.")
    return database


def require_tenancies(connection: psycopg.Connection, tenancies: list[str]) -> None:
    """Refuse ids of tenancies that the source never had.

    Raises:
        DestinationError: there is none of that id.
    """
    known = connection.execute(
        "select tenancy_id::text from dbsync.tenancy where tenancy_id::text = any(%s)", [tenancies]
    )
    unknown = sorted(set(tenancies) - {tenancy for (tenancy,) in known})
    if unknown:
        raise DestinationError(f"no tenancy {unknown[0]!r}", "Its id is that of the application's own table.")


def databases_of(connection: psycopg.Connection, tenancies: Sequence[str] | None = None) -> list[ExternalDatabase]:
    """Return the databases of some tenancies, by their ids as text, or of all."""
    return _read(connection, "%s::text[] is null or tenancy_id::text = any(%s)", [tenancies, tenancies])


def databases_named(connection: psycopg.Connection, destination_ids: Sequence[str]) -> list[ExternalDatabase]:
    """Return how some databases are configured now; those that are not any more are left out."""
    return _read(connection, "destination_id = any(%s)", [list(destination_ids)])


def add_database(
    connection: psycopg.Connection, tenancy: str, name: str, address: str, mappings: list[str] | None = None
) -> ExternalDatabase:
    """Configure a database.

    Args:
        connection: a session on the source.
        tenancy: whose it is, the id as text.
        name: tells the tenancy's databases apart.
        address: connection string, or a reference to one.
        mappings: what it receives; None means all mappings, those of the future included.

    Raises:
        DestinationError: there is no such tenancy, or it has a database of that name.
    """
    try:
        with connection.transaction():
            added = connection.execute(_ADD, [name, address, mappings, tenancy]).fetchone()
    except psycopg.errors.UniqueViolation:
        raise DestinationError(
            f"tenancy {tenancy} has an external database {name!r} already", "Give another --name, or remove that one."
        ) from None
    if added is None:
        raise DestinationError(f"no tenancy {tenancy!r}", "Its id is that of the application's own table.")
    return require_database(connection, added[0])


def enable_database(connection: psycopg.Connection, destination_id: str, *, enabled: bool) -> None:
    """Begin or end delivery to a database; what it holds stays.

    Raises:
        DestinationError: there is none of that id.
    """
    database = require_database(connection, destination_id)
    # To enable what is enabled would deliver all of it again.
    if database.enabled != enabled:
        connection.execute(
            "update dbsync.destination set enabled = %s where destination_id = %s", [enabled, destination_id]
        )


def remove_database(connection: psycopg.Connection, destination_id: str) -> None:
    """Forget a database and what was pending for it; what it holds stays.

    Raises:
        DestinationError: there is none of that id.
    """
    require_database(connection, destination_id)
    connection.execute("delete from dbsync.destination where destination_id = %s", [destination_id])


def _read(
    connection: psycopg.Connection, condition: LiteralString, parameters: Sequence[object]
) -> list[ExternalDatabase]:
    with connection.cursor(row_factory=class_row(ExternalDatabase)) as cursor:
        return cursor.execute(_SELECT.format(condition), parameters).fetchall()
