"""What a monitoring system reads: how far behind every copy is, from the queries of `dbsync status`.

Nothing is counted in this process: each scrape asks the databases, so that a restart loses nothing, and several
processes agree. Labels are the mapping and the kind of copy. A label for each tenancy, or for each database that one
owns, would make as many time series as there are customers; those are for `dbsync status` to name.
"""

import logging
from collections.abc import Callable, Iterator
from threading import Lock

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dbsync_pipeline.destinations.clickhouse.sizes import LONGEST_LOOK_SECONDS, StoredTable, read_stored
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.pending.tally import Delivered
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.status import MappingStatus, Status, read_status_soon

_UP = "1 when the source answered, and has what `dbsync init` makes; else 0, and nothing else of it."
_CLICKHOUSE_UP = "1 when ClickHouse answered, else 0."
_OF_A_COPY: tuple[tuple[str, str, Callable[[MappingStatus], float]], ...] = (
    ("dbsync_destinations", "Destinations that receive the mapping.", lambda of: of.destinations),
    (
        "dbsync_undelivered_rows",
        "Numbered rows and tombstones that a copy lacks, up to a bound.",
        lambda of: of.waiting_for_delivery,
    ),
    ("dbsync_pending_pairs", "Tenancies, in each destination, with something to deliver.", lambda of: of.pending),
    ("dbsync_failing_pairs", "Pending ones whose last attempt failed.", lambda of: of.failing),
    ("dbsync_paused_pairs", "Pending ones that are paused.", lambda of: of.paused),
    ("dbsync_lag_seconds", "Age of the oldest undelivered change since it was numbered.", lambda of: of.lag_seconds),
    (
        "dbsync_lag_without_failing_seconds",
        "The same, of pending ones whose last attempt did not fail.",
        lambda of: of.lag_without_failing_seconds,
    ),
)
_DELIVERIES: tuple[tuple[str, str, Callable[[Delivered], int]], ...] = (
    ("dbsync_delivered_rows", "Rows and tombstones delivered, each as often as it was.", lambda of: of.rows),
    ("dbsync_delivery_failures", "How often a pair's delivery has failed.", lambda of: of.failed),
)
_OF_A_TABLE: tuple[tuple[str, str, Callable[[StoredTable], int]], ...] = (
    ("dbsync_clickhouse_parts", "Active parts of the mapping's table in ClickHouse.", lambda of: of.parts),
    ("dbsync_clickhouse_rows", "Rows in them, every version that was not merged away.", lambda of: of.rows),
    ("dbsync_clickhouse_bytes", "Bytes that they take on disk.", lambda of: of.bytes),
)

logger = logging.getLogger(__name__)


class PipelineCollector(Collector):
    """Reads a pipeline's databases at each scrape; a database that does not answer is a value, not an error."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lock = Lock()

    def collect(self) -> Iterator[Metric]:
        """Read everything once, one scrape after the other, however many come at a time."""
        with self._lock:
            yield from self._of_source()
            yield from self._of_clickhouse()

    def _of_source(self) -> Iterator[Metric]:
        try:
            found = self._status()
        except (DbsyncError, psycopg.Error) as error:
            _say(error)
            yield GaugeMetricFamily("dbsync_up", _UP, 0)
            return
        yield GaugeMetricFamily("dbsync_up", _UP, 1)
        yield CounterMetricFamily(
            "dbsync_sequence_ids", "Sequence ids given out: rows and tombstones numbered.", found.sequence_id
        )
        yield GaugeMetricFamily("dbsync_numbering_paused", "1 while the sequencer is paused.", found.numbering_paused)
        yield GaugeMetricFamily("dbsync_pauses", "Pauses of delivery that are in force.", len(found.pauses))
        unnumbered = GaugeMetricFamily(
            "dbsync_unnumbered_rows",
            "Rows, tombstones and touches that wait for a sequence id, up to a bound.",
            labels=["mapping"],
        )
        for mapping_id, rows in {entry.mapping_id: entry.waiting_for_sequencer for entry in found.mappings}.items():
            unnumbered.add_metric([mapping_id], rows)
        yield unnumbered
        for name, meaning, value in _OF_A_COPY:
            family = GaugeMetricFamily(name, meaning, labels=["mapping", "kind"])
            for entry in found.mappings:
                family.add_metric([entry.mapping_id, entry.kind], value(entry))
            yield family
        for name, meaning, count in _DELIVERIES:
            counter = CounterMetricFamily(name, meaning, labels=["mapping", "kind"])
            for entry in found.mappings:
                if entry.delivered is not None:
                    counter.add_metric([entry.mapping_id, entry.kind], count(entry.delivered))
            yield counter

    def _status(self) -> Status:
        pipeline = self._pipeline
        with pipeline.source("metrics") as connection:
            # A scraper that has given up must not leave a query behind.
            return read_status_soon(connection, pipeline.catalog, pipeline.columns)

    def _of_clickhouse(self) -> Iterator[Metric]:
        pipeline = self._pipeline
        try:
            with pipeline.clickhouse(answer_seconds=LONGEST_LOOK_SECONDS) as clickhouse:
                found = read_stored(clickhouse, pipeline.catalog, pipeline.clickhouse_names)
        except DbsyncError as error:
            _say(error)
            yield GaugeMetricFamily("dbsync_clickhouse_up", _CLICKHOUSE_UP, 0)
            return
        yield GaugeMetricFamily("dbsync_clickhouse_up", _CLICKHOUSE_UP, 1)
        for name, meaning, size in _OF_A_TABLE:
            family = GaugeMetricFamily(name, meaning, labels=["mapping"])
            for table in found:
                family.add_metric([table.mapping_id], size(table))
            yield family


def _say(error: Exception) -> None:
    logger.warning("%s", DbsyncError(str(error)).what)
