"""Removing what nobody needs any more, as jobs; what went is metadata of the op's output."""

import dagster as dg

from dbsync_pipeline import retention
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.work import visible_failures

PURGE_JOB = "purge_job"


@dg.op(description="Removes tombstones that every copy has got, and that are old enough.")
def purge(context: dg.OpExecutionContext, databases: Databases) -> None:
    """Purge as the settings say."""
    pipeline = databases.pipeline()
    with visible_failures(), pipeline.source("purge") as connection:
        done = retention.purge(connection, pipeline.catalog, days=pipeline.settings.tombstone_retention_days)
    context.add_output_metadata(
        {"tombstones": done.tombstones, "tombstones_left": done.left.rows, "bytes_left": done.left.bytes}
    )


def build_retention_schedules() -> list[dg.ScheduleDefinition]:
    """Return the schedules, each with its job."""

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        name=PURGE_JOB, executor_def=dg.in_process_executor, tags={"dbsync/singleton": "purge"}
    )
    def purge_job() -> None:
        """Removes tombstones that every copy has got, once they are older than `DBSYNC_TOMBSTONE_RETENTION_DAYS`."""
        purge()

    return [
        dg.ScheduleDefinition(
            name="purge_schedule",
            job=purge_job,
            cron_schedule="17 3 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Removes old tombstones once a day.",
        )
    ]
