"""Pausing, resuming, retrying and resyncing from Dagster's launchpad: what the command line does, as jobs with config.

A run is over in a moment, whatever it stops: workers see it in the source, not here. What is changed, and what is
paused after it, is metadata of the op's output.
"""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from dbsync_pipeline import controls
from dbsync_pipeline.controls import Controlled, Part
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.work import visible_failures

_TAGS = {"dagster/priority": "20"}
"""In Dagster's queue, before everything else, what delivers included: a person waits for it, and it is over at once."""


class PartChoice(dg.Config):
    """What of delivery is meant; what is not named is not narrowed down."""

    tenancy: str | None = Field(default=None, description="Delivery of this tenancy.")
    mapping: str | None = Field(default=None, description="Delivery of this mapping.")
    destination: str | None = Field(
        default=None, description="Delivery to this destination: clickhouse, or the id of an external database."
    )

    def part(self) -> Part:
        """Return what is named."""
        return Part(self.tenancy, self.mapping, self.destination)


class PauseChoice(PartChoice):
    """What is to stop or to go on; something has to be chosen."""

    sequencer: bool = Field(default=False, description="The numbering of changes.")
    sync: bool = Field(default=False, description="All delivery, to every destination.")


@dg.op(description="Stops numbering, all delivery, or that of what tenancy, mapping and destination together name.")
def pause(context: dg.OpExecutionContext, config: PauseChoice, databases: Databases) -> None:
    """Pause what the config says."""
    _change(context, config, databases, controls.pause)


@dg.op(description="Ends the pause that was begun with the same config.")
def resume(context: dg.OpExecutionContext, config: PauseChoice, databases: Databases) -> None:
    """Resume what the config says."""
    _change(context, config, databases, controls.resume)


@dg.op(description="Makes what rests after a failure due at once.")
def retry(context: dg.OpExecutionContext, config: PartChoice, databases: Databases) -> None:
    """Have tried again what the config says."""
    pipeline = databases.pipeline()
    with visible_failures(), pipeline.source("retry") as connection:
        context.add_output_metadata({"pairs": controls.retry(connection, pipeline.catalog, config.part())})


@dg.op(description="Has everything of a tenancy, of a mapping, or of both together, delivered again.")
def resync(context: dg.OpExecutionContext, config: PartChoice, databases: Databases) -> None:
    """Have delivered again what the config says."""
    pipeline = databases.pipeline()
    with visible_failures(), pipeline.source("resync") as connection:
        context.add_output_metadata({"pairs": controls.resync(connection, pipeline.catalog, config.part())})


def _change(
    context: dg.OpExecutionContext, config: PauseChoice, databases: Databases, change: Callable[..., Controlled]
) -> None:
    pipeline = databases.pipeline()
    with visible_failures(), pipeline.source(change.__name__) as connection:
        part = controls.chosen(sync=config.sync, part=config.part(), sequencer=config.sequencer)
        outcome = change(connection, pipeline.catalog, part, sequencer=config.sequencer)
        context.add_output_metadata({"pairs": outcome.pairs, "paused": outcome.paused})


def build_control_jobs() -> list[dg.JobDefinition]:
    """Return the jobs that a person starts."""

    @dg.job(name="pause_job", executor_def=dg.in_process_executor, tags=_TAGS)  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    def pause_job() -> None:
        """Stops numbering or delivery until `resume_job` runs with the same config; changes wait meanwhile."""
        pause()

    @dg.job(name="resume_job", executor_def=dg.in_process_executor, tags=_TAGS)  # pyright: ignore[reportUnknownMemberType] -- likewise
    def resume_job() -> None:
        """Ends the pause that was begun with the same config; what stays paused by another one is named."""
        resume()

    @dg.job(name="retry_job", executor_def=dg.in_process_executor, tags=_TAGS)  # pyright: ignore[reportUnknownMemberType] -- likewise
    def retry_job() -> None:
        """Has what rests after a failure tried at once by the runs that are at work, or by those that are started."""
        retry()

    @dg.job(name="resync_job", executor_def=dg.in_process_executor, tags=_TAGS)  # pyright: ignore[reportUnknownMemberType] -- likewise
    def resync_job() -> None:
        """Has everything of a tenancy or a mapping delivered again, over what is there; readers see no gap."""
        resync()

    return [pause_job, resume_job, retry_job, resync_job]
