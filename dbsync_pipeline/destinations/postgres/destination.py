"""An external Postgres as a destination of one tenancy.

Rows arrive by COPY in a table of the session's own; then one transaction removes, writes, and moves the checkpoint,
which it does only from where it stood when the batch was read. A worker that was overtaken therefore writes nothing:
it can neither bring back a deleted row nor undo a newer one (I5, I6).
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from dbsync_pipeline import binary_copy
from dbsync_pipeline.destinations.base import (
    BINARY,
    Batch,
    Checkpoint,
    Destination,
    Pair,
    ProjectedColumn,
    Slice,
    SupersededError,
)
from dbsync_pipeline.destinations.configured import ExternalDatabase
from dbsync_pipeline.destinations.postgres.first_load import FirstLoad
from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.destinations.postgres.session import ExternalSession
from dbsync_pipeline.destinations.postgres.statements import Merges, MergeStatements
from dbsync_pipeline.destinations.postgres.together import MOST_BYTES, Mark, Move, Together, move_later
from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    IncompatibleTargetError,
    NotInstalledError,
    RefusedForNowError,
    UnreachableError,
)
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.spec import SyncMapping, TenancyId

_OUTDATED_EPOCH = -1

_PIECE_BYTES = 6_291_456
"""Merged at once: what a session keeps in memory (`temp_buffers`, 8 MB), while the source reads on."""


class PostgresDestination(Destination):
    """One worker's view of one database; opened when it is first asked for, and again after it was lost.

    Args:
        destination_id: id in dbsync.destination.
        configured: reads how the database is configured right now; None when it is gone.
        sessions: where its session comes from and is left, opened or kept.
        catalog: the mappings in use.
        merges: names and statements of the schema there.
        begin_again: makes mappings pending of which nothing can be relied on there.
    """

    def __init__(
        self,
        destination_id: str,
        configured: Callable[[], ExternalDatabase | None],
        sessions: KeptSessions,
        catalog: Catalog,
        merges: Merges,
        *,
        begin_again: Callable[[list[str]], None],
    ) -> None:
        self._id = destination_id
        self._read_configuration = configured
        self._sessions = sessions
        self._catalog = catalog
        self._merges = merges
        self._tables = merges.tables
        self._begin_again = begin_again
        self._configuration: ExternalDatabase | None = None
        self._session: ExternalSession | None = None
        self._looked_at = False
        self._failed = False
        self._first_load = FirstLoad(merges)
        self._found: dict[Pair, Mark] = {}
        self._unready: dict[str, DbsyncError] = {}

    def close(self) -> None:
        """Leave the session to whoever comes next, unless anything has failed since the worker began."""
        if self._session is not None and self._configuration is not None and not self._failed:
            self._sessions.leave(self._id, self._configuration.connection, self._session)
            self._session = None
        self._end()

    def _end(self) -> None:
        """End the session, if there is one; what is known of it goes with it."""
        if self._session is not None:
            self._session.close()
        self._session = None
        self._looked_at = False
        self._first_load = FirstLoad(self._merges)
        self._unready.clear()

    @property
    def destination_id(self) -> str:
        """Id in dbsync.destination."""
        return self._id

    @property
    def copy_format(self) -> str:
        """Binary: the types on both sides are the same."""
        return BINARY

    @property
    def rows_have_places(self) -> bool:
        """They have not: the tenancy's id is all there is of it."""
        return False

    def projection(self, mapping: SyncMapping) -> Sequence[ProjectedColumn]:
        """Return the tenancy, the mapping's columns, and the bookkeeping."""
        return self._merges.of(mapping).projection

    def checkpoints(self, pairs: Iterable[Pair]) -> dict[Pair, Checkpoint]:
        """Read how far the database is; this begins a turn, so it also follows a changed configuration.

        Raises:
            ConnectionStringError: the connection string is not usable.
            UnreachableError: the database does not answer.
            RefusedForNowError: it cannot be written now.
            IncompatibleTargetError: somebody else's objects stand where ours should be, or ours were changed.
        """
        wanted = list(pairs)
        configuration = self._follow_configuration()
        if any(pair.tenancy_id != configuration.tenancy_id for pair in wanted):
            raise DbsyncError(f"external database {self._id} is not of that tenancy any more")
        with self._doubted_if_it_fails():
            before = self._session = self._session or self._sessions.take(self._id, configuration.connection)
            try:
                self._ready(configuration, {pair.mapping_id for pair in wanted})
            except (NotInstalledError, UnreachableError) as error:
                if before is None and isinstance(error, UnreachableError):
                    raise
                # What was there a moment ago was dropped, or the session has ended since it was last used, as when its
                # server was restarted: once more, from the beginning.
                self._end()
                with _its_own_trouble():
                    self._ready(configuration, set())
        versions = {entry.mapping_id: entry.code_version for entry in self._catalog.mappings}
        return {
            pair: Checkpoint(
                mark.epoch if mark.version == versions[pair.mapping_id] else _OUTDATED_EPOCH, mark.sequence_id
            )
            for pair in wanted
            if (mark := self._found.get(pair)) is not None
        }

    def _follow_configuration(self) -> ExternalDatabase:
        configuration = self._read_configuration()
        if configuration is None or not configuration.enabled:
            self._end()
            raise DbsyncError(f"external database {self._id} is disabled or gone")
        if configuration != self._configuration:
            self._end()
        self._configuration = configuration
        return configuration

    def _ready(self, configuration: ExternalDatabase, claimed: set[str]) -> None:
        """Open a session where there is none, look after the tables once and those that failed, and read the marks."""
        received = [entry for entry in self._catalog.mappings if configuration.receives(entry.mapping_id)]
        suspects = [entry for entry in received if entry.mapping_id in self._unready.keys() & claimed]
        if self._session is None:
            self._session = self._sessions.open(configuration.connection)
            with self._session.turn() as connection:
                self._tables.prepare(connection, self._session.place)
        session, looking = self._session, not self._looked_at
        if looking:
            suspects = self._look(session, configuration, received)
            self._looked_at = True
        for mapping in suspects:
            self._unready.pop(mapping.mapping_id, None)
            try:
                with session.turn() as connection, connection.transaction():
                    session.allow(self._tables.seconds(connection, self._tables.table(mapping)))
                    self._tables.install(connection, mapping, session.place)
            except (NotInstalledError, IncompatibleTargetError, RefusedForNowError, BadRowError) as error:
                self._unready[mapping.mapping_id] = error
                self._failed = True
        if suspects or not looking:
            with session.turn() as connection:
                self._found = _marks(self._ask_marks(connection, configuration))
        if looking or suspects:
            # Tables that were dropped, emptied of a column, or filled in an earlier form.
            whole = {pair.mapping_id for pair, mark in self._found.items() if mark.version}
            broken = [entry.mapping_id for entry in received if entry.mapping_id not in whole]
            if broken:
                self._begin_again(broken)

    def _look(
        self, session: ExternalSession, configuration: ExternalDatabase, received: Sequence[SyncMapping]
    ) -> list[SyncMapping]:
        """Read the marks, and return the mappings whose tables need to be looked after, in one round trip."""
        with session.turn() as connection, connection.pipeline() as pipeline:
            listing = self._tables.listing(connection)
            marks = self._ask_marks(connection, configuration)
            pipeline.sync()
            self._found = _marks(marks)
            return self._tables.outdated(listing, received)

    def _ask_marks(
        self, connection: psycopg.Connection, configuration: ExternalDatabase
    ) -> psycopg.Cursor[tuple[TenancyId, str, str, int, int]]:
        statement = sql.SQL(
            "select tenancy_id, mapping_id, version, epoch, sequence_id from {} where tenancy_id = %s"
        ).format(self._tables.checkpoint)
        return connection.execute(statement, [configuration.tenancy_id])

    def deliver(self, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]) -> None:
        """Write rows and checkpoints in one transaction.

        Raises:
            SupersededError: another worker moved a checkpoint meanwhile.
            ResendError: a first load has to go on by the stage.
        """
        if mapping.mapping_id in self._unready:
            raise self._unready[mapping.mapping_id]
        session = self._require_session()
        try:
            with self._doubted_if_it_fails():
                self._stage(session, mapping)
                with session.turn() as connection, connection.transaction():
                    self._move(connection, slices)
                    if self._first_load.continues(connection, mapping, slices):
                        keyless_up_to = self._first_load.fill(session, mapping, slices, blocks, self._owner)
                    else:
                        keyless_up_to = self._first_load.end(session, mapping)
                        self._merge(session, mapping, slices, blocks)
        except (NotInstalledError, IncompatibleTargetError) as error:
            # Its table is looked at again when it is next asked for; the others are none the worse.
            self._unready[mapping.mapping_id] = error
            raise
        self._first_load.committed(mapping, slices, keyless_up_to)
        self._found |= {entry.pair: self._mark(entry) for entry in slices}

    def deliver_together(self, batches: Sequence[Batch]) -> bool:
        """Write batches and checkpoints in one transaction, of two round trips, and without a stage.

        Not where a first load may go straight in, the table needs to be looked after, or there is much to send; and
        what fails together says by itself why.
        """
        session = self._session
        slices = [entry for batch in batches for entry in batch.slices]
        if (
            session is None
            or sum(len(batch.block) for batch in batches) > MOST_BYTES
            or any(entry.first or entry.pair not in self._found for entry in slices)
            or any(self._first_load.left_without_key(batch.mapping) for batch in batches)
            or any(batch.mapping.mapping_id in self._unready for batch in batches)
        ):
            return False
        try:
            with self._doubted_if_it_fails():
                rows = [(batch.mapping, binary_copy.columns(batch.block)) for batch in batches]
                moves = [self._move_of(entry) for entry in slices]
                written = Together(self._merges, session, self._owner).write(rows, moves)
        except UnreachableError:
            raise
        except DbsyncError:
            return False
        if written:
            for batch in batches:
                self._first_load.committed(batch.mapping, batch.slices, None)
            self._found |= {entry.pair: self._mark(entry) for entry in slices}
        return written

    def record(self, slices: Iterable[Slice]) -> None:
        """Move the checkpoints of slices that held nothing; all others moved with their rows.

        Raises:
            IncompatibleTargetError: the table of checkpoints is not what it was.
        """
        empty = [entry for entry in slices if not self._is_there(entry)]
        if not empty:
            return
        with _its_own_trouble(), self._doubted_if_it_fails(), self._require_session().turn() as connection:
            for entry in empty:
                # Whoever was faster has moved it for the same reason.
                with suppress(SupersededError):
                    self._move(connection, [entry])

    def _is_there(self, entry: Slice) -> bool:
        """Whether the checkpoint covers a slice; it may be ahead of a view of the source that is older than it."""
        found, mark = self._found.get(entry.pair), self._mark(entry)
        if found is None or (found.version, found.epoch) != (mark.version, mark.epoch):
            return False
        return found.sequence_id >= mark.sequence_id

    def _mark(self, entry: Slice) -> Mark:
        return Mark(self._catalog.mapping(entry.pair.mapping_id).code_version, entry.epoch, entry.upto)

    def refusal(self, mapping: SyncMapping, columns: Sequence[ProjectedColumn], blocks: Iterator[bytes]) -> str | None:
        """Write the rows and take them back; single columns are not tried, as the database names the one at fault."""
        if len(columns) != len(self.projection(mapping)):
            return None
        session = self._require_session()
        self._stage(session, mapping)
        try:
            with session.turn() as connection, connection.transaction(force_rollback=True):
                if self._first_load.left_without_key(mapping):
                    session.copy(self._merges.of(mapping).fill, blocks)
                    session.limit()
                else:
                    self._merge(session, mapping, (), blocks)
                connection.execute("set constraints all immediate")
        except UnreachableError:
            raise
        except DbsyncError as error:
            return error.what
        return None

    def _require_session(self) -> ExternalSession:
        if self._session is None:
            raise UnreachableError(f"the session on external database {self._id} was lost")
        return self._session

    @contextmanager
    def _doubted_if_it_fails(self) -> Generator[None]:
        """Once anything has failed, the session is not left to others; once it is lost, the next turn opens another."""
        try:
            yield
        except DbsyncError as error:
            self._failed = True
            if isinstance(error, UnreachableError):
                self._end()
            raise

    def _stage(self, session: ExternalSession, mapping: SyncMapping) -> None:
        if mapping.mapping_id not in session.staged:
            with session.turn() as connection:
                connection.execute(self._merges.of(mapping).make_stage)
            session.staged.add(mapping.mapping_id)

    @property
    def _owner(self) -> TenancyId:
        assert self._configuration is not None
        return self._configuration.tenancy_id

    def _merge(
        self, session: ExternalSession, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        """Write a batch, one piece after the other."""
        if any(entry.pair.tenancy_id != self._owner for entry in slices):
            raise self._of_others()
        statements = self._merges.of(mapping)
        for number, piece in enumerate(binary_copy.pieces(blocks, _PIECE_BYTES)):
            session.copy(statements.copy, piece, before=statements.empty_stage if number else None)
            self._write_staged(session, statements)
        session.progress()

    def _write_staged(self, session: ExternalSession, statements: MergeStatements) -> None:
        connection = session.connection
        with connection.pipeline() as pipeline:
            session.limit()
            contents = connection.execute(statements.contents, [self._owner])
            pipeline.sync()
            ((strangers, tombstones),) = contents.fetchall()
        if strangers:
            raise self._of_others()
        for statement in (statements.remove, statements.write) if tombstones else (statements.write,):
            session.progress()
            connection.execute(statement)

    def _of_others(self) -> DbsyncError:
        return DbsyncError(f"rows of other tenancies than {self._owner} were about to reach its external database")

    def _move(self, connection: psycopg.Connection, slices: Sequence[Slice]) -> None:
        """Move checkpoints from where they were found, and nowhere else."""
        first = sql.SQL(
            "insert into {} (version, epoch, sequence_id, tenancy_id, mapping_id) "
            "values (%s, %s, %s, %s, %s) on conflict do nothing"
        ).format(self._tables.checkpoint)
        for entry in slices:
            pair, mark = entry.pair, self._mark(entry)
            if pair in self._found:
                moved = move_later(connection, self._merges, [self._move_of(entry)])
            else:
                values = [mark.version, mark.epoch, mark.sequence_id, pair.tenancy_id, pair.mapping_id]
                moved = connection.execute(first, values)
            if not moved.rowcount:
                raise SupersededError(f"another worker delivered {pair.mapping_id} to {self._id}")

    def _move_of(self, entry: Slice) -> Move:
        return Move(entry.pair, self._found[entry.pair], self._mark(entry))


def _marks(rows: Iterable[tuple[TenancyId, str, str, int, int]]) -> dict[Pair, Mark]:
    return {Pair(tenancy, mapping): Mark(version, epoch, upto) for tenancy, mapping, version, epoch, upto in rows}


@contextmanager
def _its_own_trouble() -> Generator[None]:
    """What is missing there keeps this database waiting, and no worker from going on as a missing `init` would."""
    try:
        yield
    except NotInstalledError as error:
        raise IncompatibleTargetError(
            error.what, "Undo what was changed there, or drop the schema; it is then made and filled anew."
        ) from error
