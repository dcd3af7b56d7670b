"""Puts the stages together on the databases that the settings name.

The command line and the Dagster layer open their workers here, so that both run the same code in the same way.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

import psycopg

from dbsync_pipeline import source
from dbsync_pipeline.destinations.base import Destination, ReadyDestination
from dbsync_pipeline.destinations.clickhouse.client import ANSWER_SECONDS, ClickHouse
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.destinations.clickhouse.tables import REPLICATED_SETTINGS, ClickHouseNames
from dbsync_pipeline.destinations.configured import (
    ExternalDatabase,
    databases_named,
    read_database,
    require_database,
)
from dbsync_pipeline.destinations.postgres.address import Policy, look_up
from dbsync_pipeline.destinations.postgres.destination import PostgresDestination
from dbsync_pipeline.destinations.postgres.inspection import Inspection, inspect
from dbsync_pipeline.destinations.postgres.kept import KeptSessions, most_kept
from dbsync_pipeline.destinations.postgres.ready import ReadyDatabase
from dbsync_pipeline.destinations.postgres.session import ExternalSession, TimeLimits
from dbsync_pipeline.destinations.postgres.statements import Merges
from dbsync_pipeline.destinations.postgres.tables import ExternalTables
from dbsync_pipeline.engine.ahead import ReadAhead
from dbsync_pipeline.engine.cycle import Selection, SyncCycle, SyncResult
from dbsync_pipeline.engine.dispatcher import Dispatcher, Stint
from dbsync_pipeline.engine.engine import Engine
from dbsync_pipeline.engine.extraction import Extractions
from dbsync_pipeline.engine.gaps import Gaps
from dbsync_pipeline.engine.replica import Replica
from dbsync_pipeline.engine.rounds import Rounds
from dbsync_pipeline.engine.throttle import Throttle
from dbsync_pipeline.engine.turns import FIRST_ROWS, FIRST_ROWS_OF_ONE
from dbsync_pipeline.mappings.catalog import Catalog, load_catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE, SyncColumns
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pending.again import begin_again
from dbsync_pipeline.pending.due import DueDestination, destinations_due, listen, wait_for_work
from dbsync_pipeline.pending.queue import PendingQueue, RetryPolicy
from dbsync_pipeline.pending.shared import SharedQueue
from dbsync_pipeline.sequencer.sequencer import PATIENCE, Sequencer
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.source import SessionPool, WorkerSessions
from dbsync_pipeline.tracing import send_spans
from dbsync_pipeline.verify.copies import ClickHouseCopy, ExternalCopy
from dbsync_pipeline.verify.scope import Scope
from dbsync_pipeline.verify.sweep import sweep

Report = Callable[[list[SyncResult]], None]
"""Takes in what a turn of any worker did; called from several threads."""


@dataclass(frozen=True)
class Pipeline:
    """A deployment: its settings and, from them, everything that takes part."""

    settings: Settings
    # By destination; that of the process itself has no name.
    _buckets: dict[str, Throttle] = field(init=False, repr=False, compare=False, default_factory=dict[str, Throttle])

    @cached_property
    def catalog(self) -> Catalog:
        """The mappings in use."""
        return load_catalog(self.settings.mappings)

    @property
    def columns(self) -> SyncColumns:
        """Names of the sync columns."""
        return SyncColumns(self.settings.sequence_column, self.settings.dirty_column)

    @property
    def clickhouse_names(self) -> ClickHouseNames:
        """Where things are in ClickHouse."""
        return ClickHouseNames(self.settings.clickhouse_database, self.settings.clickhouse_cluster)

    @contextmanager
    def source(self, purpose: str) -> Generator[psycopg.Connection]:
        """Open a session on the source; `purpose` shows in pg_stat_activity."""
        url = self.settings.source_url.get_secret_value()
        with source.session(url, application_name=f"dbsync {purpose}") as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[psycopg.Connection]:
        """Open the session that snapshots are read by: on the replica, where there is one."""
        replica = self.settings.replica_url
        if replica is None:
            with self.source("sync") as connection:
                yield connection
        else:
            url = replica.get_secret_value()
            with source.session(url, application_name="dbsync sync", setting="DBSYNC_REPLICA_URL") as connection:
                yield connection

    def clickhouse(self, *, default_database: str | None = None, answer_seconds: int = ANSWER_SECONDS) -> ClickHouse:
        """Open a connection to ClickHouse."""
        settings = REPLICATED_SETTINGS if self.settings.clickhouse_cluster else None
        url = self.settings.clickhouse_url.get_secret_value()
        return ClickHouse(url, database=default_database, settings=settings, answer_seconds=answer_seconds)

    @contextmanager
    def sequencer(self) -> Generator[Sequencer]:
        """Open a sequencer.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        self._trace()
        with self.source("sequencer") as connection:
            yield self.sequencer_on(connection)

    def sequencer_on(self, connection: psycopg.Connection) -> Sequencer:
        """Return a sequencer on a session that is open already, and that it may give its patience.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        connection.execute(PATIENCE)
        require_installed(connection, self.catalog)
        return Sequencer(connection, self.catalog, self.columns, batch_size=self.settings.sequencer_batch_size)

    def _trace(self) -> None:
        if self.settings.traces:
            send_spans()

    @contextmanager
    def clickhouse_worker(self, selection: Selection | None = None) -> Generator[SyncCycle]:
        """Open a worker that delivers to ClickHouse.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        with self.clickhouse() as clickhouse:
            destination = ClickHouseDestination(clickhouse, self.catalog, self.clickhouse_names)
            sweeping = partial(self.sweep_clickhouse, clickhouse)
            with (
                self._installed_sessions() as sessions,
                self._worker(sessions, destination, sweeping, selection) as worker,
            ):
                yield worker

    @contextmanager
    def external_worker(self, destination_id: str, selection: Selection | None = None) -> Generator[SyncCycle]:
        """Open a worker that delivers to one external database; that is connected to when there is work.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        with (
            KeptSessions(self.external_session, most=0, idle_seconds=0) as kept,
            self._installed_sessions() as sessions,
            self._external_worker(sessions, kept, destination_id, selection) as worker,
        ):
            yield worker

    @contextmanager
    def _external_worker(
        self, sessions: WorkerSessions, kept: KeptSessions, destination_id: str, selection: Selection | None = None
    ) -> Generator[SyncCycle]:
        """Open a worker that takes its session on the database from those that are kept, and leaves it there."""
        queueing = sessions.queueing
        destination = PostgresDestination(
            destination_id,
            partial(read_database, queueing, destination_id),
            kept,
            self.catalog,
            self.external_merges,
            begin_again=partial(begin_again, queueing, destination_id),
        )
        sweeping = partial(self.sweep_external, destination_id)
        with closing(destination), self._worker(sessions, destination, sweeping, selection) as worker:
            yield worker

    @contextmanager
    def _sessions(self) -> Generator[WorkerSessions]:
        """Open what a worker works by."""
        with self.reading() as reading, self.source("sync queue") as queueing:
            yield WorkerSessions(reading, queueing)

    @contextmanager
    def _installed_sessions(self) -> Generator[WorkerSessions]:
        """Open the same, unless a worker could do nothing by them."""
        with self._sessions() as sessions:
            require_installed(sessions.queueing, self.catalog)
            yield sessions

    @contextmanager
    def _worker(
        self,
        sessions: WorkerSessions,
        destination: Destination,
        sweeping: Callable[[psycopg.Connection, SyncMapping, Sequence[str]], None],
        selection: Selection | None,
    ) -> Generator[SyncCycle]:
        """Open a worker on sessions that are its own for so long; one more, of itself, reads large loads ahead."""
        self._trace()
        settings = self.settings
        shared = destination.destination_id == CLICKHOUSE
        retry = RetryPolicy(settings.retry_base_seconds, settings.retry_max_seconds)
        reading, queueing = sessions.reading, sessions.queueing
        with ReadAhead(self.reading) as ahead:
            replica = (
                Replica(queueing, reading, longest_seconds=settings.lease_seconds) if settings.replica_url else None
            )
            throttles = self._throttles(destination.destination_id)
            engine = Engine(
                reading,
                self.catalog,
                self.extractions,
                destination,
                Gaps(partial(sweeping, queueing)),
                ahead=ahead,
                chunk_rows=settings.chunk_rows if shared else settings.external_chunk_rows,
                first_rows=FIRST_ROWS if shared else FIRST_ROWS_OF_ONE,
                replica=replica,
                throttles=throttles,
            )
            with PendingQueue(
                queueing, destination.destination_id, lease_seconds=settings.lease_seconds, retry=retry
            ) as queue:
                yield SyncCycle(
                    queue,
                    engine,
                    destination,
                    batch_size=settings.sync_batch_tenancies,
                    selection=selection,
                    throttles=throttles,
                )

    def _throttles(self, destination_id: str) -> list[Throttle]:
        """Return what bounds deliveries to a destination: this process's buckets, shared by its threads."""
        settings = self.settings
        rates: dict[str, float] = {}
        if settings.worker_rows_per_second is not None:
            rates[""] = settings.worker_rows_per_second
        if settings.destination_rows_per_second is not None:
            workers = settings.sync_workers if destination_id == CLICKHOUSE else settings.external_sync_workers
            rates[destination_id] = settings.destination_rows_per_second / workers
        return [self._buckets.setdefault(whose, Throttle(rate)) for whose, rate in rates.items()]

    def sweep_clickhouse(
        self, clickhouse: ClickHouse, connection: psycopg.Connection, mapping: SyncMapping, tenancies: Sequence[str]
    ) -> None:
        """Have removed from ClickHouse what it holds of some tenancies and the source does not."""
        copy = ClickHouseCopy(clickhouse, self.catalog, mapping, self.clickhouse_names, Scope(tuple(tenancies)))
        sweep(connection, self.catalog, self.columns, mapping, copy, tenancies=tenancies)

    def sweep_external(
        self, destination_id: str, connection: psycopg.Connection, mapping: SyncMapping, tenancies: Sequence[str]
    ) -> None:
        """Have removed from an external database what it holds of its tenancy and the source does not."""
        database = require_database(connection, destination_id)
        with closing(self.external_session(database.connection)) as session:
            copy = ExternalCopy(session, mapping, self.external_tables, destination_id, str(database.tenancy_id))
            sweep(connection, self.catalog, self.columns, mapping, copy, tenancies=tenancies)

    @cached_property
    def extractions(self) -> Extractions:
        """What reads rows from the source."""
        return Extractions(self.catalog, self.columns)

    @cached_property
    def external_tables(self) -> ExternalTables:
        """Where things are in external databases."""
        return ExternalTables(self.settings.external_schema, self.catalog.tenancy.type, self.settings.external_readers)

    @cached_property
    def external_merges(self) -> Merges:
        """What brings rows into external databases."""
        return Merges(self.external_tables)

    def external_session(self, connection: str) -> ExternalSession:
        """Open a session on the database that a connection string names.

        Raises:
            ConnectionStringError: it cannot be read, or asks for what is not allowed.
            UnreachableError: nobody answers there, or the login is refused.
        """
        settings = self.settings
        limits = TimeLimits(
            settings.external_connect_seconds, settings.external_statement_seconds, settings.external_lock_seconds
        )
        return ExternalSession(look_up(connection, self.external_policy), limits)

    @property
    def external_policy(self) -> Policy:
        """What connection strings of external databases may ask for."""
        settings = self.settings
        return Policy(
            private_addresses=settings.external_private_addresses,
            require_tls=settings.external_require_tls,
            secrets=settings.external_secrets,
        )

    def inspect_external(self, database: ExternalDatabase, *, prepare: bool = False) -> Inspection:
        """Connect to an external database and look at it; with `prepare`, make what is missing there first.

        Raises:
            ConnectionStringError: its connection string cannot be read, or asks for what is not allowed.
            UnreachableError: nobody answers there, or the login is refused.
            DbsyncError: what is ours cannot be made there.
        """
        mappings = [entry for entry in self.catalog.mappings if database.receives(entry.mapping_id)]
        with closing(self.external_session(database.connection)) as session:
            if prepare:
                tables = self.external_tables
                with session.turn() as connection:
                    tables.prepare(connection, session.place)
                    for mapping in tables.outdated(tables.listing(connection), mappings):
                        tables.install(connection, mapping, session.place)
            return inspect(session, self.external_tables, database.tenancy_id, mappings)

    @contextmanager
    def external_dispatcher(self, connection: psycopg.Connection, report: Report) -> Generator[Dispatcher]:
        """Give what serves every external database that has something due, until other mappings are installed."""
        settings = self.settings
        with (
            KeptSessions(self.external_session, most=most_kept(), idle_seconds=settings.external_idle_seconds) as kept,
            SessionPool(self._sessions) as pool,
        ):

            def due(limit: int) -> list[DueDestination]:
                kept.close_idle()
                found = destinations_due(connection, limit)
                if found:
                    # Each worker would end for that reason, and another one begin in its place at once.
                    require_installed(connection, self.catalog)
                return found

            def serve(destination_id: str, stint: Stint) -> None:
                with pool.taken() as sessions, self._external_worker(sessions, kept, destination_id) as worker:
                    # One that had to wait for its thread has a turn, too.
                    while True:
                        results = worker.run_once()
                        report(results)
                        # What has come meanwhile, and what is to be tried again, is found like any other's.
                        more = any(result.still_pending and result.delivery.error is None for result in results)
                        if stint.stop.is_set() or not more:
                            return

            listen(connection)
            wait = partial(wait_for_work, connection)
            workers = settings.external_workers
            # Whoever is bound by a throttle, or has to wait for a replica, waits in a thread of its own.
            throttled = settings.worker_rows_per_second or settings.destination_rows_per_second
            if throttled or settings.replica_url:
                yield Dispatcher(due, serve, wait, workers=workers)
                return
            with self._rounds(connection, kept, pool, report) as rounds:
                yield Dispatcher(due, serve, wait, rounds=rounds, workers=workers)

    @contextmanager
    def _rounds(
        self,
        connection: psycopg.Connection,
        kept: KeptSessions,
        pool: SessionPool,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> Generator[Rounds]:
        """Open what serves external databases whose sessions are kept, several at a time; claims by `connection`."""

        @contextmanager
        def reading() -> Generator[psycopg.Connection]:
            with pool.taken() as sessions:
                yield sessions.reading

        def ready(destination_ids: Sequence[str]) -> dict[str, ReadyDestination]:
            return {
                database.destination_id: ReadyDatabase(database, kept, self.catalog, self.external_merges)
                for database in databases_named(connection, destination_ids)
                if database.enabled and kept.rests(database.connection)
            }

        with SharedQueue(connection, lease_seconds=self.settings.lease_seconds, clock=clock) as queue:
            yield Rounds(
                queue,
                self.catalog,
                self.extractions,
                projection=lambda mapping: self.external_merges.of(mapping).projection,
                reading=reading,
                ready=ready,
                report=report,
                clock=clock,
            )
