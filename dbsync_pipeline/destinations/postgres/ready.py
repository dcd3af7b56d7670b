"""An external database whose session rests open, for the few rows of one round.

Nobody asks it anything before: how far it is, and whether its tables are as they were left, is held against what the
pending table says in the transaction that writes, and where it does not fit, nothing is written.
"""

from collections.abc import Sequence

from dbsync_pipeline import binary_copy
from dbsync_pipeline.destinations.base import ReadyDestination, Rows, Slice
from dbsync_pipeline.destinations.configured import ExternalDatabase
from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.statements import Merges
from dbsync_pipeline.destinations.postgres.together import MOST_BYTES, Mark, Move, Together
from dbsync_pipeline.errors import BadRowError, IncompatibleTargetError, NotInstalledError, RefusedForNowError
from dbsync_pipeline.mappings.catalog import Catalog


class ReadyDatabase(ReadyDestination):
    """One database.

    Args:
        configuration: how it is configured right now.
        sessions: where its session rests and is left.
        catalog: the mappings in use.
        merges: names and statements of the schema there.
    """

    def __init__(
        self, configuration: ExternalDatabase, sessions: KeptSessions, catalog: Catalog, merges: Merges
    ) -> None:
        self._configuration = configuration
        self._sessions = sessions
        self._catalog = catalog
        self._merges = merges

    @property
    def destination_id(self) -> str:
        """Id in dbsync.destination."""
        return self._configuration.destination_id

    def deliver(self, slices: Sequence[Slice], rows: Sequence[Rows]) -> bool:
        """Write rows and checkpoints in one transaction, by a session that rests or a new one, and leave that."""
        size = sum(binary_copy.size(columns) for _, columns in rows)
        if size > MOST_BYTES or any(entry.pair.tenancy_id != self._configuration.tenancy_id for entry in slices):
            return False
        connection = self._configuration.connection
        session = self._sessions.take(self.destination_id, connection) or self._sessions.open(connection)
        try:
            written = self._write(session, slices, rows)
        except (NotInstalledError, IncompatibleTargetError, RefusedForNowError, BadRowError):
            # Whoever looks for the reason may find none but a table that is gone.
            self._sessions.leave(self.destination_id, connection, session)
            raise
        except BaseException:
            session.close()
            raise
        self._sessions.leave(self.destination_id, connection, session)
        return written

    def _write(self, session: ExternalSession, slices: Sequence[Slice], rows: Sequence[Rows]) -> bool:
        received = [entry for entry in self._catalog.mappings if self._configuration.receives(entry.mapping_id)]
        moves = [self._move(entry) for entry in slices]
        return Together(self._merges, session, self._configuration.tenancy_id, received).write(rows, moves)

    def _move(self, entry: Slice) -> Move:
        version = self._catalog.mapping(entry.pair.mapping_id).code_version
        return Move(entry.pair, Mark(version, entry.epoch, entry.after), Mark(version, entry.epoch, entry.upto))
