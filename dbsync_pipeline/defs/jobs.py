"""The jobs that keep everything in step: one numbers changes, two deliver them, each to one kind of copy.

A run costs seconds to start, so it stays while there is work, serves all tenancies, and ends when nothing has come for
a while, or when its time is up and a successor has come to take its place. What happens in between is the sequencer's
and the engine's business; here it is only started, recorded, and its failures shown.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import dagster as dg

from dbsync_pipeline.defs import liveness
from dbsync_pipeline.defs.ledger import Ledger
from dbsync_pipeline.defs.partitions import TENANCIES
from dbsync_pipeline.defs.presence import HAND_OVER_SECONDS, Presence
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import copy_key
from dbsync_pipeline.defs.verdicts import Failures
from dbsync_pipeline.defs.work import beside, failure_of, through_outages, visible_failures
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import PassResult
from dbsync_pipeline.settings import Settings

SEQUENCER_JOB = "sequencer_job"
SYNC_JOB = "sync_job"
EXTERNAL_SYNC_JOB = "external_sync_job"

_EVENTS_AT_ONCE = 500
"""Materializations recorded in one go: 5 to 10 s."""

_RECORDING_SECONDS = 1_800.0
"""A run whose work is over, and whose successor is at it, records what is left for this long at most.

And for no longer than a run works: else a third one would record beside it, and Dagster's queue hold the next one back.
"""

_PRIORITY = "10"
"""In Dagster's queue, where all but `controls` has 0: numbering and delivery do not wait behind a backfill's runs."""

_MARGIN_SECONDS = 300.0
"""What a run may take beyond its time to finish its last batch, before Dagster ends it."""

_PROGRESS_SECONDS = 60.0
"""How often a sequencer's run says what it has numbered: Dagster keeps each line for good."""

_BEAT_SECONDS = 1.0
"""How often a run shows that it is alive, and looks for its successor."""


@dg.op(description="Numbers changes as they come: tombstones, rows, and the rows of other tables that they feed.")
def sequencer(context: dg.OpExecutionContext, databases: Databases) -> None:
    """Run sequencer passes until the time is up or nothing has come for a while."""
    pipeline = databases.pipeline()
    settings = pipeline.settings
    tally = _Tally()

    def work(stop: Event) -> None:
        def number() -> None:
            with pipeline.sequencer() as numberer:
                numberer.run(
                    stop=stop,
                    max_seconds=math.inf,
                    idle_seconds=settings.idle_seconds,
                    report=tally.add,
                )

        through_outages(number, stop=stop, max_seconds=settings.run_seconds, note=tally.note)

    def record(*, progress_seconds: float = _PROGRESS_SECONDS) -> None:
        for line in tally.take_notes():
            context.log.error(line)
        if rows := tally.take_rows(progress_seconds):
            context.log.info("%s rows and tombstones numbered, %s by this run.", f"{rows:,}", f"{tally.rows:,}")

    with visible_failures(), _at_work(context, pipeline, SEQUENCER_JOB) as presence:
        try:
            _work_in_turn(context, work, presence, record, settings)
        finally:
            record(progress_seconds=0)
            context.add_output_metadata({"rows_numbered": tally.rows})
    if tally.errors:
        tables = "\n".join(f"{table}: {error}" for table, error in tally.errors.items())
        raise dg.Failure(f"These tables cannot be numbered; all others were.\n{tables}", allow_retries=False)


@dg.op(description="Delivers what is pending, of all tenancies, and records how far each table of each has come.")
def sync(context: dg.OpExecutionContext, databases: Databases) -> None:
    """Deliver to ClickHouse until the time is up or nothing has come for a while."""

    def deliver(pipeline: Pipeline, turn: _Turn) -> None:
        with pipeline.clickhouse_worker() as worker:
            worker.run(
                stop=turn.stop,
                max_seconds=math.inf,
                idle_seconds=pipeline.settings.idle_seconds,
                report=turn.ledger.add,
            )

    failing = _deliver_and_record(context, SYNC_JOB, databases.pipeline(), deliver)
    if failing:
        raise failure_of(failing)


@dg.op(description="Delivers what is pending to the databases of tenancies' owners, several of them at a time.")
def external_sync(context: dg.OpExecutionContext, databases: Databases) -> None:
    """Deliver to external databases until the time is up or nothing has come for a while."""

    def deliver(pipeline: Pipeline, turn: _Turn) -> None:
        with (
            pipeline.source("sync dispatcher") as connection,
            pipeline.external_dispatcher(connection, turn.ledger.add) as dispatcher,
        ):
            dispatcher.run(
                stop=turn.stop,
                max_seconds=math.inf,
                idle_seconds=pipeline.settings.idle_seconds,
                note=turn.note,
            )

    failing = _deliver_and_record(context, EXTERNAL_SYNC_JOB, databases.pipeline(), deliver)
    if failing:
        # A database that is down is its owner's matter: it stays in the status and the checks of its copies, and every
        # run until it is back would be a failed one.
        said = failure_of(failing).description or ""
        context.log.warning(said)
        context.add_output_metadata({"failing": len(failing), "failing_deliveries": said})


@dataclass(frozen=True)
class _Turn:
    """What a delivery loop gets: what ends it, and where to say what it did."""

    stop: Event
    ledger: Ledger
    note: Callable[[str], None]


def _deliver_and_record(
    context: dg.OpExecutionContext, job_name: str, pipeline: Pipeline, deliver: Callable[[Pipeline, _Turn], None]
) -> list[tuple[Pair, str]]:
    """Return what fails at the end of the run."""
    settings = pipeline.settings
    ledger = Ledger()
    outages: list[str] = []
    books = _Books(context)

    def work(stop: Event) -> None:
        turn = _Turn(stop, ledger, outages.append)
        through_outages(
            lambda: deliver(pipeline, turn), stop=stop, max_seconds=settings.run_seconds, note=outages.append
        )

    def record() -> None:
        while outages:
            context.log.error(outages.pop(0))
        books.record(ledger)

    with visible_failures(), _at_work(context, pipeline, job_name) as presence:
        try:
            _work_in_turn(context, work, presence, record, settings)
            presence.end_work()
            until = time.monotonic() + _recording_seconds(settings)
            while ledger.outstanding and time.monotonic() < until:
                presence.goes_on()
                record()
        finally:
            record()
            context.add_output_metadata({"materializations": books.recorded, "not_recorded": ledger.outstanding})
    return ledger.failing


@contextmanager
def _at_work(context: dg.OpExecutionContext, pipeline: Pipeline, job_name: str) -> Generator[Presence]:
    place = liveness.place_of(context.run)
    seconds = pipeline.settings.run_seconds
    with Presence(lambda: pipeline.source("run"), job_name, place, context.run_id, seconds=seconds) as presence:
        yield presence


def _work_in_turn(
    context: dg.OpExecutionContext,
    work: Callable[[Event], None],
    presence: Presence,
    record: Callable[[], None],
    settings: Settings,
) -> None:
    """Work for as long as the run has its place, and beyond that until another run has it."""
    if not presence.goes_on():
        context.log.info("Another run has this place; there is nothing to do for this one.")
        return
    stop = Event()
    recorded = time.monotonic()

    def beat() -> None:
        nonlocal recorded
        if not presence.goes_on():
            stop.set()
        if time.monotonic() - recorded >= settings.report_seconds:
            record()
            recorded = time.monotonic()

    beside(work, every_seconds=min(_BEAT_SECONDS, settings.report_seconds), beat=beat, stop=stop)


def build_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """Return the jobs, bounded in time as the settings say."""
    longest = settings.run_seconds + HAND_OVER_SECONDS + _MARGIN_SECONDS

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        name=SEQUENCER_JOB, executor_def=dg.in_process_executor, tags=_tags(SEQUENCER_JOB, longest)
    )
    def sequencer_job() -> None:
        """Gives every change its place in the one order."""
        sequencer()

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- likewise
        name=SYNC_JOB, executor_def=dg.in_process_executor, tags=_tags(SYNC_JOB, longest + _recording_seconds(settings))
    )
    def sync_job() -> None:
        """Brings every pending tenancy up to date in ClickHouse."""
        sync()

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- likewise
        name=EXTERNAL_SYNC_JOB,
        executor_def=dg.in_process_executor,
        tags=_tags(EXTERNAL_SYNC_JOB, longest + _recording_seconds(settings)),
    )
    def external_sync_job() -> None:
        """Brings every pending external database up to date."""
        external_sync()

    return [sequencer_job, sync_job, external_sync_job]


def _recording_seconds(settings: Settings) -> float:
    return min(_RECORDING_SECONDS, settings.run_seconds)


def _tags(job_name: str, longest_seconds: float) -> dict[str, str]:
    """A run that a person starts is for the first place; the sensors' own say for which they are."""
    return {
        **liveness.tag(job_name, 0),
        "dagster/priority": _PRIORITY,
        "dagster/max_runtime": str(round(longest_seconds)),
    }


class _Tally:
    """What a sequencer run did; written by its thread, read by the run's."""

    def __init__(self) -> None:
        self.rows = 0
        self.errors: dict[str, str] = {}
        self._told, self._told_at = 0, time.monotonic()
        self._notes: list[str] = []
        self._noted: set[str] = set()

    def add(self, result: PassResult) -> None:
        self.rows += result.rows
        if not result.locked_out:
            self.errors = result.errors
        for table, error in result.errors.items():
            self.note(f"{table} cannot be numbered: {error}")

    def note(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            self._notes.append(line)

    def take_rows(self, every_seconds: float) -> int:
        """Return how many rows have been numbered since that was told, if it was not told less than so long ago."""
        now = time.monotonic()
        if now - self._told_at < every_seconds:
            return 0
        told, self._told, self._told_at = self._told, self.rows, now
        return self._told - told

    def take_notes(self) -> list[str]:
        notes, self._notes = self._notes, []
        return notes


class _Books:
    """Records what a ledger holds as materializations of one run."""

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._context = context
        self._keys: set[str] | None = None
        self._failures = Failures(context.instance, context.run)
        self.recorded = 0

    def record(self, ledger: Ledger) -> None:
        """Record the oldest advances, up to a bound, and every new error."""
        for line in ledger.take_errors():
            self._context.log.error(line)
        advances = ledger.take(_EVENTS_AT_ONCE)
        if not advances:
            return
        self._add_keys({str(pair.tenancy_id) for pair, _ in advances})
        by_copy: defaultdict[dg.AssetKey, list[dg.AssetMaterialization]] = defaultdict(list)
        for pair, advance in advances:
            by_copy[copy_key(advance.destination_id, pair.mapping_id)].append(advance.materialization(pair))
        # A copy's verdict is hidden from its first materialization on, and all of them take seconds.
        for key, materializations in by_copy.items():
            for materialization in materializations:
                self._context.log_event(materialization)
            self._failures.repeat([key])
        self.recorded += len(advances)

    def _add_keys(self, tenancies: set[str]) -> None:
        """An event of a partition that does not exist is never shown; should a tenancy be gone, its sensor notices."""
        instance, name = self._context.instance, TENANCIES.name
        assert name is not None
        if self._keys is None:
            self._keys = set(instance.get_dynamic_partitions(name))
        missing = sorted(tenancies - self._keys)
        if missing:
            instance.add_dynamic_partitions(name, missing)
            self._keys.update(missing)
