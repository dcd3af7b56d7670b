"""What starts the runs, and keeps the partition keys equal to the tenancies.

A tick asks the source what is due, and whether a run waits for its successor. It looks at Dagster's runs only when
there is something to do, and starts one for each place of the job that nobody fills or is about to fill. A database
that does not answer is a reason to skip, in one line, until it does.
"""

import time
from collections.abc import Callable

import dagster as dg
import psycopg

from dbsync_pipeline.defs import liveness, partitions
from dbsync_pipeline.defs.jobs import EXTERNAL_SYNC_JOB, SEQUENCER_JOB, SYNC_JOB
from dbsync_pipeline.defs.partitions import TENANCIES
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending import due
from dbsync_pipeline.pipeline import Pipeline

_SECONDS_BETWEEN_TICKS = 1
"""Less than Dagster's own 5 s, so that no round of its daemon is left out."""

_BACKFILLS_LOOKED_AT = 50


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="tenancy_sensor",
    minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds and removes partition keys as tenancies come and go.",
)
def tenancy_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Compare one page of tenancies and keys, and ask for the difference."""

    def tick(pipeline: Pipeline, connection: psycopg.Connection) -> dg.SensorResult:
        require_installed(connection, pipeline.catalog)
        name = TENANCIES.name
        assert name is not None
        position = partitions.Round.model_validate_json(context.cursor or "{}")
        turn = partitions.compare(
            connection, pipeline.catalog.tenancy, context.instance.get_dynamic_partitions(name), position
        )
        # Dagster gives up a whole backfill when one of its keys goes; keys found gone again in a later round can wait.
        gone = turn.gone if turn.gone and not _backfill_under_way(context.instance) else []
        requests = [
            *([TENANCIES.build_add_request(turn.come)] if turn.come else []),
            *([TENANCIES.build_delete_request(gone)] if gone else []),
        ]
        return dg.SensorResult(
            dynamic_partitions_requests=requests,
            skip_reason=None if requests else "No tenancy has come or gone.",
            cursor=turn.next.model_dump_json(),
        )

    return on_source(databases, tick)


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="sequencer_sensor",
    job_name=SEQUENCER_JOB,
    minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the sequencer when changes wait for their numbers.",
)
def sequencer_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Start a run unless nothing waits, numbering is paused, or a run is at it."""

    def tick(pipeline: Pipeline, connection: psycopg.Connection) -> dg.SensorResult:
        waiting = pipeline.sequencer_on(connection).waiting()
        if waiting is None:
            return dg.SensorResult(skip_reason="Numbering is paused.", cursor=context.cursor)
        return _fill_places(
            context, connection, SEQUENCER_JOB, 1, due=waiting, otherwise="Every change has its number."
        )

    return on_source(databases, tick)


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="sync_sensor",
    job_name=SYNC_JOB,
    minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a delivery run when changes wait to be delivered.",
)
def sync_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Start the runs that lack, unless nothing is due or ClickHouse does not answer."""

    def tick(pipeline: Pipeline, connection: psycopg.Connection) -> dg.SensorResult:
        require_installed(connection, pipeline.catalog)
        found = due.waiting(connection, CLICKHOUSE)
        reason = "What waits is being delivered, or rests after a failure." if found.later else "All is delivered."
        if found.due:
            with pipeline.clickhouse():
                pass
        return _fill_places(
            context, connection, SYNC_JOB, pipeline.settings.sync_workers, due=found.due, otherwise=reason
        )

    return on_source(databases, tick)


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="external_sync_sensor",
    job_name=EXTERNAL_SYNC_JOB,
    minimum_interval_seconds=_SECONDS_BETWEEN_TICKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a delivery run when changes wait for databases of tenancies' owners.",
)
def external_sync_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Start the runs that lack, unless nothing is due; databases that do not answer rest meanwhile."""

    def tick(pipeline: Pipeline, connection: psycopg.Connection) -> dg.SensorResult:
        require_installed(connection, pipeline.catalog)
        found = bool(due.destinations_due(connection, 1))
        reason = "No external database has anything due."
        places = pipeline.settings.external_sync_workers
        return _fill_places(context, connection, EXTERNAL_SYNC_JOB, places, due=found, otherwise=reason)

    return on_source(databases, tick)


def _backfill_under_way(instance: dg.DagsterInstance) -> bool:
    newest = instance.get_backfills(limit=_BACKFILLS_LOOKED_AT)
    return any(backfill.status.name in ("REQUESTED", "CANCELING") for backfill in newest)


def on_source(databases: Databases, tick: Callable[[Pipeline, psycopg.Connection], dg.SensorResult]) -> dg.SensorResult:
    """Do a tick on a session of its own; where it cannot be done, say why in one line."""
    try:
        pipeline = databases.pipeline()
        with pipeline.source("sensor") as connection:
            return tick(pipeline, connection)
    except DbsyncError as error:
        return dg.SensorResult(skip_reason=error.what)


def _fill_places(
    context: dg.SensorEvaluationContext,
    connection: psycopg.Connection,
    job_name: str,
    places: int,
    *,
    due: bool,
    otherwise: str,
) -> dg.SensorResult:
    """Start a run for every place that lacks one; when nothing is due, for those that are being handed over.

    Whoever was seen to be missing is looked for until it is back, or reported.
    """
    left = liveness.Places.of(connection, job_name).being_left
    wanted = [place for place in range(places) if due or place in left]
    missed = liveness.Missed.model_validate_json(context.cursor or "{}")
    if not wanted and not missed.since:
        return dg.SensorResult(skip_reason=otherwise, cursor=context.cursor)
    origin = context.code_location_origin
    location = None if origin is None else origin.location_name
    vacant, missed = liveness.vacant(
        context.instance, connection, location, job_name, wanted, missed=missed, now=time.time()
    )
    nothing = "As many runs as are wanted are at it, or about to be." if wanted else otherwise
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags=liveness.tag(job_name, place)) for place in vacant],
        skip_reason=None if vacant else nothing,
        cursor=missed.model_dump_json(),
    )
