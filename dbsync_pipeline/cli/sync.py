"""`dbsync sync`: delivers everything that is there now, and ends.

What is there is what a pass finds to number that nobody has kept out, and then what is pending up to the sequence id
reached by it. What comes later is delivered beside it, and not waited for, so that steady traffic keeps nobody here.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Annotated

import psycopg
import typer
from rich.progress import Progress, TaskID

from dbsync_pipeline.cli.output import console, errors, progress_bar
from dbsync_pipeline.destinations.configured import require_database
from dbsync_pipeline.engine.cycle import Selection, SyncCycle, SyncResult
from dbsync_pipeline.errors import BadRowError, BehindError, DbsyncError, DestinationError, UnreachableError
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import TenancyId
from dbsync_pipeline.pending.due import destinations_pending
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import PassResult, Sequencer
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import read_status, waiting_for_delivery, waiting_for_sequencer

_ERRORS_SHOWN = 5

_PAUSE_SECONDS = 0.1
"""Between two looks at what another sequencer or worker is doing."""

# What another worker has claimed counts as well; what rests after a failure has been tried.
_BEHIND = """
select p.tenancy_id, p.mapping_id, p.last_error, p.next_attempt_at <= clock_timestamp()
from dbsync.pending p join dbsync.destination d using (destination_id)
where p.destination_id = %(destination)s and d.enabled and p.wanted > p.reached and p.reached < %(upto)s
    and not p.paused
    and (%(tenancies)s::text[] is null or p.tenancy_id::text = any(%(tenancies)s))
    and (%(mappings)s::text[] is null or p.mapping_id = any(%(mappings)s))
"""


@dataclass
class Drained:
    """What a drain came to.

    Attributes:
        rows: rows and tombstones delivered, over all destinations.
        unnumbered: source table -> why what waits in it got no number.
        held: changes that wait for a number while numbering is paused.
        refused: (destination, tenancy, mapping) -> why a row of it was refused.
        outages: destination -> why it could not be written at all.
    """

    rows: int = 0
    unnumbered: dict[str, str] = field(default_factory=dict[str, str])
    held: int = 0
    refused: dict[tuple[str, str, str], str] = field(default_factory=dict[tuple[str, str, str], str])
    outages: dict[str, DbsyncError] = field(default_factory=dict[str, DbsyncError])

    @property
    def failures(self) -> list[str]:
        """All that went wrong, a line each."""
        outages = (_named(destination_id, error.what) for destination_id, error in self.outages.items())
        unnumbered = (f"table {table} cannot be numbered: {what}" for table, what in self.unnumbered.items())
        return [*unnumbered, *outages, *(_named(key[0], message) for key, message in self.refused.items())]

    def note(self, result: SyncResult) -> None:
        """Take in what became of one pair."""
        key = (result.destination_id, str(result.item.tenancy_id), result.item.mapping_id)
        self.rows += result.delivery.upserted + result.delivery.deleted
        if result.outage is not None:
            self.outages[result.destination_id] = result.outage
        elif result.delivery.error is not None:
            self.refused[key] = result.delivery.error
        else:
            self.refused.pop(key, None)


def sync(
    tenancy: Annotated[list[str] | None, typer.Option(help="Only this tenancy; may be repeated.")] = None,
    mapping: Annotated[list[str] | None, typer.Option(help="Only this mapping; may be repeated.")] = None,
    destination: Annotated[
        list[str] | None,
        typer.Option(help="Only this destination: clickhouse, or the id of an external database; may be repeated."),
    ] = None,
) -> None:
    """Number what has changed, and deliver everything that is there now, to ClickHouse and to external databases.

    Exits with 0 when all of it was delivered. What failed is named, and everything else is delivered all the same: 6
    when rows were refused, or tables cannot be numbered; else 3 when destinations did not answer, or their own error's
    code; else 9 when changes wait for a number while numbering is paused. Works beside running sequencers and workers,
    and waits for what they are doing. Only what a person selects is delivered; numbering is always for all.
    """
    pipeline = Pipeline(load_settings())
    for mapping_id in mapping or ():
        pipeline.catalog.mapping(mapping_id)
    drained = drain(pipeline, Selection(tenancy or None, mapping or None), destination or None)
    console.print(f"Delivered {drained.rows:,} rows.")
    _report_failures(drained)


def _report_failures(drained: Drained) -> None:
    shown = drained.failures
    if len(drained.outages) == 1 and len(shown) == 1:
        ((destination_id, error),) = drained.outages.items()
        raise type(error)(_named(destination_id, error.what), error.mend)
    for message in shown[:_ERRORS_SHOWN]:
        errors.print(message, style="red", markup=False)
    if len(shown) > _ERRORS_SHOWN:
        errors.print(f"... and {len(shown) - _ERRORS_SHOWN} more; `dbsync status` lists them.", style="red")
    if drained.unnumbered:
        raise BadRowError(
            f"{len(drained.unnumbered)} of the source's tables cannot be numbered",
            "Put right what is named above, or adapt the mapping and run `dbsync init`.",
        )
    if drained.refused:
        raise BadRowError(
            f"{len(drained.refused)} of the pending (tenancy, mapping) pairs failed",
            "Correct the rows named above; they are tried again by themselves, or with `dbsync sync`.",
        )
    if drained.outages:
        kinds = [type(error) for error in drained.outages.values()]
        # Waiting mends only what does not answer; what has to be mended by hand decides the exit code.
        worst = next((kind for kind in kinds if kind is not UnreachableError), UnreachableError)
        raise worst(
            f"{len(drained.outages)} destinations could not be written",
            "The others are up to date; these are tried again by themselves, or with `dbsync sync`.",
        )
    if drained.held:
        raise BehindError(
            f"numbering is paused, so that {drained.held:,} changes were not delivered",
            "`dbsync resume --sequencer`, then `dbsync sync` again.",
        )


def drain(pipeline: Pipeline, selection: Selection, destinations: list[str] | None = None) -> Drained:
    """Sequence, and sync once round to every destination, or to some, until all that was there has come or failed.

    Raises:
        DestinationError: one of the destinations is not configured, or disabled.
    """
    with pipeline.source("sync status") as connection, progress_bar() as progress:
        with pipeline.sequencer() as sequencer:
            _require_enabled(connection, destinations or ())
            waiting = waiting_for_sequencer(read_status(connection, pipeline.catalog, pipeline.columns))
            numbered = _number(sequencer, progress, progress.add_task("numbering", total=waiting))
        pending = [
            CLICKHOUSE,
            *destinations_pending(connection, tenancies=selection.tenancies, mappings=selection.mappings),
        ]
        status = read_status(connection, pipeline.catalog, pipeline.columns)
        task = progress.add_task("delivering", total=waiting_for_delivery(status.mappings))
        delivering = _Delivering(pipeline, selection, status.sequence_id, progress, task)
        delivering.drained.unnumbered = numbered.errors
        delivering.drained.held = waiting_for_sequencer(status) if numbered.paused else 0
        chosen = [entry for entry in pending if destinations is None or entry in destinations]
        # One that hangs costs a thread until its own time limits end it; ClickHouse has one of its own.
        with ThreadPoolExecutor(1 + pipeline.settings.external_workers, thread_name_prefix="dbsync sync") as threads:
            try:
                for served in [threads.submit(delivering.serve, destination_id) for destination_id in chosen]:
                    served.result()
            finally:
                delivering.stop.set()
        return delivering.drained


def _require_enabled(connection: psycopg.Connection, destinations: Iterable[str]) -> None:
    for destination_id in destinations:
        if destination_id != CLICKHOUSE and not require_database(connection, destination_id).enabled:
            raise DestinationError(f"{destination_id} is disabled", f"dbsync destination enable {destination_id}")


def _number(sequencer: Sequencer, progress: Progress, task: TaskID) -> PassResult:
    """Number all there is, or wait until another sequencer has; return the pass that left nothing of it."""
    while True:
        result = sequencer.run_pass()
        progress.advance(task, result.rows)
        if result.locked_out:
            time.sleep(_PAUSE_SECONDS)
        elif not result.filled:
            progress.remove_task(task)
            return result


class _Delivering:
    """Serves destinations, each in a thread of its own, and adds up what became of them; `stop` ends all of it."""

    def __init__(self, pipeline: Pipeline, selection: Selection, upto: int, progress: Progress, task: TaskID) -> None:
        self._pipeline = pipeline
        self._selection = selection
        self._upto = upto
        self._progress = progress
        self._task = task
        self._lock = Lock()
        self.stop = Event()
        self.drained = Drained()

    def serve(self, destination_id: str) -> None:
        if self.stop.is_set():
            return
        try:
            with self._worker(destination_id) as worker, self._pipeline.source("sync progress") as connection:
                worker.retry_now()
                while not self.stop.is_set():
                    results = worker.run_once()
                    self._note(results)
                    behind = self._behind(connection, destination_id)
                    if not any(due for *_, due in behind):
                        self._note_resting(destination_id, behind)
                        return
                    if not results:
                        # Another worker is at it.
                        self.stop.wait(_PAUSE_SECONDS)
        except DbsyncError as error:
            with self._lock:
                self.drained.outages[destination_id] = error

    def _behind(self, connection: psycopg.Connection, destination_id: str) -> list[tuple[TenancyId, str, str, bool]]:
        """Return what has not come so far: tenancy, mapping, error, and whether it is due rather than resting."""
        return connection.execute(
            _BEHIND,
            {
                "destination": destination_id,
                "upto": self._upto,
                "tenancies": self._selection.tenancies,
                "mappings": self._selection.mappings,
            },
        ).fetchall()

    def _note_resting(self, destination_id: str, behind: list[tuple[TenancyId, str, str, bool]]) -> None:
        """Note what another worker has failed with; an outage is noted as such."""
        with self._lock:
            if destination_id not in self.drained.outages:
                for tenancy_id, mapping_id, error, _ in behind:
                    self.drained.refused.setdefault((destination_id, str(tenancy_id), mapping_id), error)

    def _worker(self, destination_id: str) -> AbstractContextManager[SyncCycle]:
        if destination_id == CLICKHOUSE:
            return self._pipeline.clickhouse_worker(self._selection)
        return self._pipeline.external_worker(destination_id, self._selection)

    def _note(self, results: list[SyncResult]) -> None:
        with self._lock:
            for result in results:
                self.drained.note(result)
            self._progress.update(self._task, completed=self.drained.rows)


def _named(destination_id: str, message: str) -> str:
    return message if destination_id == CLICKHOUSE else f"{destination_id}: {message}"
