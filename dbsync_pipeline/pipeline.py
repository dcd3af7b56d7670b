"""Puts the stages together on the databases that the settings name.

The command line and the Dagster layer open their workers here, so that both run the same code in the same way.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import psycopg

from dbsync_pipeline import source
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.destinations.clickhouse.tables import ClickHouseNames
from dbsync_pipeline.engine.cycle import Selection, SyncCycle
from dbsync_pipeline.engine.engine import Engine
from dbsync_pipeline.mappings.catalog import Catalog, load_catalog
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE, SyncColumns
from dbsync_pipeline.pending.queue import PendingQueue, RetryPolicy
from dbsync_pipeline.sequencer.sequencer import Sequencer
from dbsync_pipeline.settings import Settings


@dataclass(frozen=True)
class Pipeline:
    """A deployment: its settings and, from them, everything that takes part."""

    settings: Settings

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
        return ClickHouseNames(self.settings.clickhouse_database)

    @contextmanager
    def source(self, purpose: str) -> Generator[psycopg.Connection]:
        """Open a session on the source; `purpose` shows in pg_stat_activity."""
        url = self.settings.source_url.get_secret_value()
        with source.session(url, application_name=f"dbsync {purpose}") as connection:
            yield connection

    def clickhouse(self, *, default_database: str | None = None) -> ClickHouse:
        """Open a connection to ClickHouse."""
        return ClickHouse(self.settings.clickhouse_url.get_secret_value(), database=default_database)

    @contextmanager
    def sequencer(self) -> Generator[Sequencer]:
        """Open a sequencer.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        with self.source("sequencer") as connection:
            require_installed(connection, self.catalog)
            yield Sequencer(connection, self.catalog, self.columns, batch_size=self.settings.sequencer_batch_size)

    @contextmanager
    def clickhouse_worker(self, selection: Selection | None = None) -> Generator[SyncCycle]:
        """Open a worker that delivers to ClickHouse.

        It holds two sessions on the source: one freezes snapshots, the other keeps the queue.

        Raises:
            NotInstalledError: the source lacks the sync objects, or has those of other mappings.
        """
        settings = self.settings
        retry = RetryPolicy(settings.retry_base_seconds, settings.retry_max_seconds)
        with self.clickhouse() as clickhouse, self.source("sync") as reading, self.source("sync queue") as queueing:
            require_installed(queueing, self.catalog)
            destination = ClickHouseDestination(clickhouse, self.catalog, self.clickhouse_names)
            engine = Engine(reading, self.catalog, self.columns, destination, chunk_rows=settings.chunk_rows)
            with PendingQueue(queueing, CLICKHOUSE, lease_seconds=settings.lease_seconds, retry=retry) as queue:
                yield SyncCycle(
                    queue, engine, destination, batch_size=settings.sync_batch_tenancies, selection=selection
                )
