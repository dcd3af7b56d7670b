"""A frozen view of the source, and how far the order is complete in it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbsync_pipeline.errors import NotInstalledError

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """A REPEATABLE READ view of the source.

    Attributes:
        complete_up_to: every row and tombstone with an id up to here is in this view, or never will be in any (I1).
    """

    connection: psycopg.Connection
    complete_up_to: int

    def copy(self, statement: sql.Composed) -> Iterator[bytes]:
        """Run a COPY TO STDOUT and yield its output in blocks of whole rows, about a megabyte each."""
        with self.connection.cursor() as cursor, cursor.copy(statement) as rows:
            block = bytearray()
            for row in rows:
                block += row
                if len(block) >= _BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
            if block:
                yield bytes(block)


@contextmanager
def take_snapshot(connection: psycopg.Connection) -> Generator[Snapshot]:
    """Freeze the view of a session in autocommit mode for as long as the context lasts.

    Raises:
        NotInstalledError: the source lacks the sync objects.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        try:
            row = connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise NotInstalledError("the source has no schema dbsync", "Run `dbsync init`.") from None
        yield Snapshot(connection, row[0] if row is not None else 0)
