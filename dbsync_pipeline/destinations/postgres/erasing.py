"""Removes what an external database holds of a tenancy, and, if asked to, tables that hold nothing then.

Only tables that dbsync made are touched, those of mappings that are gone included. The schema stays, as nobody knows
who made it, and so does a table that somebody's own view or foreign key hangs on.
"""

from contextlib import suppress

import psycopg
from psycopg import sql

from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.tables import CHECKPOINT, SEQUENCE, TENANCY, ExternalTables
from dbsync_pipeline.mappings.spec import TenancyId

_CHECKPOINT_SEQUENCE = "sequence_id"


def erase(
    session: ExternalSession, tables: ExternalTables, tenancy_id: TenancyId, upto: int, *, drop: bool
) -> dict[str, tuple[int, int]]:
    """Remove a tenancy's rows and checkpoints; return table -> how many there were, and how many there are.

    Args:
        session: a session on the database.
        tables: names of what is ours there.
        tenancy_id: whose.
        upto: a sequence id; what has a higher one is of a tenancy that has come back, and stays.
        drop: whether to drop tables that no tenancy has anything in any more.

    Raises:
        UnreachableError: the database does not answer.
        DbsyncError: it refuses.
    """

    def remove(table: sql.Identifier, sequence: str) -> tuple[int, int]:
        names = {"table": table, "tenancy": sql.Identifier(TENANCY), "sequence": sql.Identifier(sequence)}
        # Each of the two goes through all of the table.
        seconds = tables.seconds(connection, table)
        removing = sql.SQL("delete from {table} where {tenancy} = %s and {sequence} <= %s").format(**names)
        session.allow(seconds)
        removed = connection.execute(removing, [tenancy_id, upto]).rowcount
        counting = sql.SQL("select count(*) from {table} where {tenancy} = %s").format(**names)
        session.allow(seconds)
        row = connection.execute(counting, [tenancy_id]).fetchone()
        left: int = row[0] if row is not None else 0
        return removed + left, left

    with session.turn() as connection, connection.transaction():
        made = tables.made(connection)
        if not made:
            return {}
        done = {name: remove(sql.Identifier(tables.schema, name), SEQUENCE) for name in made}
        done[CHECKPOINT] = remove(tables.checkpoint, _CHECKPOINT_SEQUENCE)
        for name in made if drop else ():
            with suppress(psycopg.errors.DependentObjectsStillExist), connection.transaction():
                session.allow(tables.seconds(connection, sql.Identifier(tables.schema, name)))
                tables.drop_unused(connection, name)
        return done
