"""A frozen view of the source, and how far the order is complete in it."""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.types.json import Jsonb
from psycopg.waiting import Wait

from dbsync_pipeline import binary_copy
from dbsync_pipeline.binary_copy import Columns
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.errors import NotInstalledError, UnreachableError
from dbsync_pipeline.mappings.installed import INSTALLED
from dbsync_pipeline.mappings.spec import TenancyId

_BLOCK_BYTES = 1 << 20

# The source is the application's: a read takes one process of it, and memory for the join of a whole turn, as one that
# spills, or that two processes share, costs more than it gains; a first load took a fifth less time so.
# In one round trip. Where a row or a mapping fails, the view goes on from the savepoint; one serves all that may fail.
_FREEZE: LiteralString = (
    "set transaction isolation level repeatable read read only;"  # noqa: S608 -- made of constants
    f"select last_sequence_id, {INSTALLED} from dbsync.sequencer;"
    "set local max_parallel_workers_per_gather = 0;"
    "set local work_mem = '64MB';"
    "savepoint view"
)
_GO_ON = "rollback to savepoint view"

_CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""How a hot standby ends what is in the way of its recovery; a primary does this to no one who only reads."""


@dataclass(frozen=True)
class Snapshot:
    """A REPEATABLE READ view of the source.

    Attributes:
        complete_up_to: every row and tombstone with an id up to here is in this view, or never will be in any (I1).
        installed: what `dbsync init` has left in this view, object -> fingerprint.
    """

    connection: psycopg.Connection
    complete_up_to: int
    installed: Mapping[str, str]

    def is_lost(self, error: Exception) -> bool:
        """Whether an error ended the view itself, so that no row, mapping or destination is at fault."""
        return self.connection.broken or isinstance(error, _CONFLICTS)

    def claimed_once(self, destination_id: str, pairs: Collection[Pair]) -> set[Pair]:
        """Return the pairs that nobody but the worker now asking had ever claimed when the view was taken.

        Whoever claims such a pair later sees a later view, so no row that is already gone in this one is on its way.
        """
        if not pairs:
            return set()
        rows = Jsonb([{"tenancy_id": str(pair.tenancy_id), "mapping_id": pair.mapping_id} for pair in pairs])
        found = self.connection.execute(
            "select p.tenancy_id, p.mapping_id from dbsync.pending p "
            "join jsonb_populate_recordset(null::dbsync.pending, %s) as asked using (tenancy_id, mapping_id) "
            "where p.destination_id = %s and p.claims = 1",
            [rows, destination_id],
        )
        return {Pair(tenancy_id, mapping_id) for tenancy_id, mapping_id in found}

    def purged(self, pairs: Collection[Pair]) -> dict[Pair, int]:
        """Return up to which sequence id tombstones may be missing from this view, of pairs that ever lost any."""
        if not pairs:
            return {}
        rows = Jsonb([{"tenancy_id": str(pair.tenancy_id), "mapping_id": pair.mapping_id} for pair in pairs])
        found = self.connection.execute(
            "select p.tenancy_id, p.mapping_id, p.sequence_id from dbsync.purged p "
            "join jsonb_populate_recordset(null::dbsync.purged, %s) as asked using (tenancy_id, mapping_id)",
            [rows],
        )
        return {Pair(tenancy_id, mapping_id): sequence_id for tenancy_id, mapping_id, sequence_id in found}

    @contextmanager
    def outliving(self) -> Generator[None]:
        """Keep the view through an error of what is done meanwhile, which is passed on."""
        try:
            yield
        finally:
            if self.connection.info.transaction_status == TransactionStatus.INERROR:
                self.connection.execute(_GO_ON)

    @contextmanager
    def copy(self, statement: sql.Composed) -> Generator[Iterator[bytes]]:
        """Run a COPY TO STDOUT and give its output in blocks of whole rows, about a megabyte each.

        The view outlives an error, the COPY's own or its reader's; what is not read is cancelled. The COPY's own is
        raised here at the latest, whatever its reader took it for.
        """
        own: list[psycopg.Error] = []
        with self.outliving(), closing(self._blocks(statement, own)) as blocks:
            yield blocks
            if own:
                raise own[0]

    def ask(self, queries: Iterable[tuple[bytes, Sequence[object]]]) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each of some queries with parameters, in one round trip; the view outlives an error."""
        with self.outliving(), self.connection.pipeline() as pipeline:
            cursors = [psycopg.RawCursor(self.connection).execute(*query) for query in queries]
            pipeline.sync()
            return [cursor.fetchall() for cursor in cursors]

    @contextmanager
    def select(self, statement: bytes, given: Sequence[object]) -> Generator[Iterator[bytes]]:
        """Run a query with parameters and give its result, all of which is held, in blocks as a binary COPY's."""
        with self.outliving():
            cursor = psycopg.RawCursor(self.connection)
            result = cursor.execute(statement, given, binary=True).pgresult
            assert result is not None
            yield binary_copy.written(result, _BLOCK_BYTES)

    def by_tenancy(self, queries: Iterable[tuple[bytes, Sequence[object]]]) -> list[dict[TenancyId, Columns]]:
        """Return the rows of each of some queries by their first column, the tenancy, as `select` would have them.

        All of them are held; the view outlives an error.
        """
        with self.outliving(), self.connection.pipeline() as pipeline:
            cursors = [psycopg.RawCursor(self.connection).execute(*query, binary=True) for query in queries]
            pipeline.sync()
            return [binary_copy.by_first_column(cursor) for cursor in cursors]

    def _blocks(self, statement: sql.Composed, own: list[psycopg.Error]) -> Generator[bytes]:
        try:
            yield from self._read(statement)
        except psycopg.Error as error:
            own.append(error)
            raise

    def _read(self, statement: sql.Composed) -> Generator[bytes]:
        """Read what has arrived from libpq itself: a call of the driver for each row takes as long as all else here."""
        pgconn = self.connection.pgconn
        block = bytearray()
        with self.connection.cursor() as cursor, cursor.copy(statement):
            while True:
                size, row = pgconn.get_copy_data(1)
                if size > 0:
                    block += row
                    if len(block) >= _BLOCK_BYTES:
                        yield bytes(block)
                        block.clear()
                elif size == 0:
                    self.connection.wait(_receive(pgconn))
                else:
                    break
            # No more rows come; whether these were all, the results tell.
            for result in self.connection.wait(fetch_many(pgconn)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise psycopg.errors.error_from_result(result)
        if block:
            yield bytes(block)


def _receive(pgconn: PGconn) -> PQGen[None]:
    """Wait for the server, and take in what it has sent."""
    while not (yield Wait.R):
        pass
    pgconn.consume_input()


def open_views(connection: psycopg.Connection, *, seconds: float = 0) -> set[str]:
    """Return the transactions of workers that see the source as it was when they looked at `last_sequence_id`.

    Those that are younger than some seconds are left out; of no seconds, none is, whatever the clock has done. Who
    calls itself something else, such as a dump of the database, delivers nothing; who has lost its name behind a
    pooler might.
    """
    found = connection.execute(
        "select l.virtualtransaction from pg_locks l join pg_stat_activity a using (pid) "
        "where l.relation = 'dbsync.sequencer'::regclass and l.pid <> pg_backend_pid() "
        "and l.database = (select oid from pg_database where datname = current_database()) "
        "and (coalesce(a.application_name, '') = '' or starts_with(a.application_name, 'dbsync')) "
        "and (%(seconds)s = 0 "
        "or coalesce(a.xact_start <= clock_timestamp() - make_interval(secs => %(seconds)s), true))",
        {"seconds": seconds},
    )
    return {transaction for (transaction,) in found}


@contextmanager
def take_snapshot(connection: psycopg.Connection) -> Generator[Snapshot]:
    """Freeze the view of a session in autocommit mode for as long as the context lasts.

    Raises:
        NotInstalledError: the source lacks the sync objects.
        UnreachableError: a hot standby could not keep the view.
    """
    try:
        with connection.transaction():
            try:
                # A hot standby offers this isolation, and not SERIALIZABLE.
                frozen = connection.execute(_FREEZE)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                raise NotInstalledError("the source has no schema dbsync", "Run `dbsync init`.") from None
            frozen.nextset()
            row = frozen.fetchone()
            complete_up_to, installed = row if row is not None else (0, dict[str, str]())
            yield Snapshot(connection, complete_up_to, installed)
    except _CONFLICTS as error:
        raise UnreachableError(
            f"the replica of the source has ended a query: {error.diag.message_primary}",
            "It is tried again. Should it happen often, set hot_standby_feedback or max_standby_streaming_delay there.",
        ) from error
