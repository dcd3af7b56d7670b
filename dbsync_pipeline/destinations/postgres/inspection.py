"""What an external database looks like from here, for people who ask; nothing is changed there."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.tables import ExternalTables
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId


@dataclass(frozen=True)
class Inspection:
    """One database that answers.

    Attributes:
        place: host, port and database.
        server_version: of PostgreSQL.
        encrypted: whether the connection is.
        tables: how many tables of the mappings are there as they should be.
        missing: mappings whose tables are not; the next delivery makes them.
        checkpoints: mapping -> sequence id up to which it is complete for the tenancy.
    """

    place: str
    server_version: str
    encrypted: bool
    tables: int
    missing: tuple[str, ...]
    checkpoints: dict[str, int]

    def __str__(self) -> str:
        """All of it but the checkpoints, in a line."""
        objects = f"{self.tables} of {self.tables + len(self.missing)} tables are in place"
        tls = "TLS" if self.encrypted else "no TLS"
        return f"{self.place} answers: PostgreSQL {self.server_version}, {tls}, {objects}"


def inspect(
    session: ExternalSession, tables: ExternalTables, tenancy_id: TenancyId, mappings: Sequence[SyncMapping]
) -> Inspection:
    """Look at a database.

    Args:
        session: a session there.
        tables: names of what is ours there.
        tenancy_id: whose checkpoints to read.
        mappings: those that the database receives.
    """
    with session.turn() as connection:
        outdated = tables.outdated(tables.listing(connection), mappings)
        return Inspection(
            session.place,
            (connection.info.parameter_status("server_version") or "unknown").split()[0],
            bool(connection.pgconn.ssl_in_use),
            len(mappings) - len(outdated),
            tuple(mapping.mapping_id for mapping in outdated),
            _checkpoints(connection, tables, tenancy_id),
        )


def _checkpoints(connection: psycopg.Connection, tables: ExternalTables, tenancy_id: TenancyId) -> dict[str, int]:
    if connection.execute("select to_regclass(%s)", [tables.checkpoint.as_string(None)]).fetchone() == (None,):
        return {}
    statement = sql.SQL("select mapping_id, sequence_id from {} where tenancy_id = %s").format(tables.checkpoint)
    return dict(connection.execute(statement, [tenancy_id]).fetchall())
