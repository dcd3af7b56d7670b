"""Tells people, through a webhook, that runs fail or copies are late. There is nothing of it without one.

A message is sent when something turns bad, and not for as long as it lasts. What it says is meant for a chat that
others run: which copy, which tenancy, how long; what a row holds stays here.
"""

import time
from dataclasses import replace

import dagster as dg
from pydantic import BaseModel, SecretStr

from dbsync_pipeline.defs.liveness import PLACE_TAG
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.errors import DbsyncError, redact
from dbsync_pipeline.lateness import Standstill, behind_seconds
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import Settings
from dbsync_pipeline.status import Status, read_status_soon
from dbsync_pipeline.webhook import tell

_SECONDS_BETWEEN_LOOKS = 60
_RUNS_LOOKED_AT = 25
_QUIET_SECONDS = 3_600
"""So long no run may have failed in a place before it is news again."""

_KNOWN_TAG = "dbsync/known"
"""Tag of a failed run that somebody was told of, or of one before; its id, as a run that is repeated inherits tags."""

_SOURCE = "the source"


def build_alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensors that tell, which a person switches on; none without a webhook."""
    return [] if settings.alert_webhook_url is None else [failure_alert_sensor, lag_alert_sensor]


@dg.run_failure_sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="failure_alert_sensor",
    minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells through the webhook that a run has failed.",
)
def failure_alert_sensor(context: dg.RunFailureSensorContext, databases: Databases) -> None:
    """Tell of a failed run, unless one in the same place has failed within the hour before, and that is known."""
    run = context.dagster_run
    if not _known(context.instance, run):
        text = f"dbsync: a run of {run.job_name} has failed ({run.run_id}). {_reason(context)}"
        tell(_webhook(databases.pipeline()), text)
    context.instance.add_run_tags(run.run_id, {_KNOWN_TAG: run.run_id})


class _Remembered(BaseModel):
    """What the lag sensor has told, and since when; its cursor.

    Attributes:
        told: the copies that were late at the last look, or the source.
        silent_since: when the source was first seen not to answer, in seconds since 1970.
    """

    told: list[str] = []
    silent_since: float | None = None
    standstill: Standstill = Standstill()


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- likewise
    name="lag_alert_sensor",
    minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells through the webhook that copies are late, or the source does not answer, and when that is over.",
)
def lag_alert_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Look at the lag; where telling fails, the next tick tries again."""
    pipeline = databases.pipeline()
    before, now = _Remembered.model_validate_json(context.cursor or "{}"), time.time()
    late, after = _look(pipeline, before, now)
    news = [line for name, line in late.items() if name not in before.told]
    if news:
        tell(_webhook(pipeline), "dbsync: late.\n" + "\n".join(news))
    elif before.told and not late:
        tell(_webhook(pipeline), "dbsync: nothing is late any more.")
    return dg.SensorResult(skip_reason="; ".join(late.values()) or "Nothing is late.", cursor=after.model_dump_json())


def _look(pipeline: Pipeline, before: _Remembered, now: float) -> tuple[dict[str, str], _Remembered]:
    """Return what is late, a line for each, and what to remember."""
    longest = pipeline.settings.late_seconds
    try:
        with pipeline.source("alert") as connection:
            found = read_status_soon(connection, pipeline.catalog, pipeline.columns)
    except DbsyncError as error:
        # Of the copies nothing new is known.
        since = now if before.silent_since is None else before.silent_since
        late = {name: f"{name} was late" for name in before.told}
        if now - since >= longest:
            late |= {_SOURCE: error.what}
        return late, before.model_copy(update={"told": list(late), "silent_since": since})
    standstill = before.standstill.then(found, now)
    late = _late(found, standstill.seconds(now), longest)
    return late, _Remembered(told=list(late), standstill=standstill)


def _late(found: Status, standstill_seconds: float, longest: float) -> dict[str, str]:
    late: dict[str, str] = {}
    for entry in found.mappings:
        # A customer's database that fails is late for its own reason, and would hide who else is.
        counted = entry if entry.kind == CLICKHOUSE else replace(entry, lag_seconds=entry.lag_without_failing_seconds)
        seconds = behind_seconds(counted, standstill_seconds)
        if seconds > longest:
            name = f"{entry.mapping_id} in {entry.kind}"
            who = "" if entry.oldest_tenancy is None else f"; tenancy {entry.oldest_tenancy} has waited longest"
            late[name] = f"{name} is {seconds:.0f} s behind, {entry.failing} deliveries fail{who}"
    return late


def _known(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """A row that cannot be delivered fails a run each time that it is tried; that is one piece of news.

    Dagster tells this sensor of each run once, whatever becomes of it. What was not taken, or came while the sensor was
    off, is not known, and the next failure is news.
    """
    place = run.tags.get(PLACE_TAG)
    if place is None:
        return False
    chosen = dg.RunsFilter(tags={PLACE_TAG: place}, statuses=[dg.DagsterRunStatus.FAILURE])
    records = {record.dagster_run.run_id: record for record in instance.get_run_records(chosen, limit=_RUNS_LOOKED_AT)}
    this = records.pop(run.run_id, None)
    ended = this.end_time or 0.0 if this is not None else 0.0
    return any(
        other.dagster_run.tags.get(_KNOWN_TAG) == run_id and 0 < ended - (other.end_time or 0.0) < _QUIET_SECONDS
        for run_id, other in records.items()
    )


def _reason(context: dg.RunFailureSensorContext) -> str:
    """The first line of what the step said on purpose; of what it did not, the kind of error alone."""
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            return redact(failure.user_failure_data.description.splitlines()[0])
        if failure.error is not None and failure.error.cls_name is not None:
            return failure.error.cls_name
    return redact(context.failure_event.message or "")


def _webhook(pipeline: Pipeline) -> SecretStr:
    url = pipeline.settings.alert_webhook_url
    assert url is not None
    return url
