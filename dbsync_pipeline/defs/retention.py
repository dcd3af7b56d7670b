"""Removing what everybody has had, and what nobody may have any more, as jobs with schedules.

What went is metadata of the op's output. That nothing is left of a tenancy is recorded as a materialization of an asset
as well, one for each tenancy that was erased: the proof, which can be found without knowing the run.
"""

from typing import Any

import dagster as dg
import pandas as pd  # pyright: ignore[reportMissingTypeStubs] -- it has none
from pydantic import Field

from dbsync_pipeline import cleanup, erasure, retention
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import OWNERS
from dbsync_pipeline.defs.work import visible_failures
from dbsync_pipeline.erasure import Erased
from dbsync_pipeline.errors import BehindError, DbsyncError

ERASED_TENANCIES = dg.AssetSpec(
    ["dbsync", "erased_tenancies"],
    group_name="operations",
    kinds={"postgres", "clickhouse"},
    owners=OWNERS,
    description="The tenancies that were erased: a materialization each, with what every table held of it before, and "
    "what it holds now. Not partitioned, as a tenancy's partition goes with it.",
)

_LINES_SHOWN = 1_000
_LEAST_PATIENCE_SECONDS = 2.0
"""The sequencer's next pass has come by then, where one runs."""

_MOST_SECONDS = 6 * 3_600
"""What a run may take, before Dagster takes it for dead; the next one begins again where that is needed."""


class EraseChoice(dg.Config):
    """Whom to erase; everybody who is due when nobody is named."""

    tenancy: str | None = Field(default=None, description="Only this tenancy, at once; the source must not have it.")


@dg.op(description="Removes old tombstones that every copy has got, and ClickHouse's old deleted rows.")
def purge(context: dg.OpExecutionContext, databases: Databases) -> None:
    """Purge as the settings say."""
    pipeline = databases.pipeline()
    days = pipeline.settings.tombstone_retention_days
    with visible_failures(), pipeline.source("purge") as connection:
        done = retention.purge(connection, pipeline.catalog, days=days)
    cleaned = cleanup.clean_up(pipeline, days=days)
    context.add_output_metadata(
        {
            "tombstones": done.tombstones,
            "tombstones_left": done.left.rows,
            "bytes_left": done.left.bytes,
            "clickhouse_rows": cleaned.rows,
            "clickhouse_left": dg.MetadataValue.json(cleaned.left),
        }
    )


@dg.op(description="Erases tenancies that were deleted, and counts what is left of them.")
def erase(context: dg.OpExecutionContext, config: EraseChoice, databases: Databases) -> None:
    """Erase one after the other; one that cannot be erased now is no reason to keep the next."""
    pipeline = databases.pipeline()
    with visible_failures(), pipeline.source("erase") as connection:
        chosen = (
            [config.tenancy] if config.tenancy else erasure.due(connection, days=pipeline.settings.erase_after_days)
        )
    done: list[Erased] = []
    errors: list[str] = []
    patience = erasure.PATIENCE_SECONDS
    for tenancy in chosen:
        try:
            # Who is due has had days to be delivered; but whatever others write waits for the sequencer's next pass.
            done.append(erasure.erase(pipeline, tenancy, delivery_seconds=patience))
            done[-1].require_complete()
            # Only now: who looks here for a tenancy finds that it is gone, or nothing.
            context.log_event(dg.AssetMaterialization(ERASED_TENANCIES.key, metadata=_proof_of(done[-1])))
        except DbsyncError as error:
            errors.append(str(error))
            if isinstance(error, BehindError):
                # What holds this one up may hold up all of them.
                patience = max(patience / 2, _LEAST_PATIENCE_SECONDS)
    if errors:
        raise dg.Failure("\n".join(errors), metadata=_proof(done), allow_retries=False)
    context.add_output_metadata(_proof(done))


def _proof_of(erased: Erased) -> dict[str, Any]:
    return {"tenancy": erased.tenancy, **_proof([erased])}


def _proof(done: list[Erased]) -> dict[str, dg.MetadataValue]:
    lines = [
        {
            "tenancy": erased.tenancy,
            "place": entry.destination_id,
            "table": entry.table,
            "before": entry.before,
            "after": entry.after,
        }
        for erased in done
        for entry in erased.tables
    ]
    table = pd.DataFrame(lines[:_LINES_SHOWN]).to_markdown(index=False)  # pyright: ignore[reportUnknownMemberType] -- as above
    return {
        "tenancies": dg.MetadataValue.int(len(done)),
        "before": dg.MetadataValue.int(sum(entry.before for erased in done for entry in erased.tables)),
        "after": dg.MetadataValue.int(sum(entry.after for erased in done for entry in erased.tables)),
        "left_as_they_are": dg.MetadataValue.json([name for erased in done for name in erased.kept]),
        "tables": dg.MetadataValue.md(table),
    }


def build_retention_schedules() -> list[dg.ScheduleDefinition]:
    """Return the schedules, each with its job."""

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        name="purge_job", executor_def=dg.in_process_executor, tags=_tags("purge")
    )
    def purge_job() -> None:
        """Removes tombstones that every copy has got, and deleted rows, after `DBSYNC_TOMBSTONE_RETENTION_DAYS`."""
        purge()

    @dg.job(  # pyright: ignore[reportUnknownMemberType] -- likewise
        name="erase_job", executor_def=dg.in_process_executor, tags=_tags("erase")
    )
    def erase_job() -> None:
        """Erases a deleted tenancy, or all that were deleted more than `DBSYNC_ERASE_AFTER_DAYS` ago."""
        erase()

    return [
        _daily("purge_schedule", purge_job, "17 3 * * *", "Removes old tombstones and deleted rows once a day."),
        _daily("erase_schedule", erase_job, "47 3 * * *", "Erases once a day the tenancies that are due."),
    ]


def _tags(place: str) -> dict[str, str]:
    return {"dbsync/singleton": place, "dagster/max_runtime": str(_MOST_SECONDS)}


def _daily(name: str, job: dg.JobDefinition, at: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=at,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
