"""Dagster's entry point: puts together what `defs` describes, from the mappings in use."""

import warnings
from collections.abc import Mapping

import dagster as dg

from dbsync_pipeline.defs.alerts import build_alert_sensors
from dbsync_pipeline.defs.assets import build_assets
from dbsync_pipeline.defs.checks import build_checks, build_repair_job, build_verify_schedule
from dbsync_pipeline.defs.controls import build_control_jobs
from dbsync_pipeline.defs.jobs import build_jobs
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.retention import ERASED_TENANCIES, build_retention_schedules
from dbsync_pipeline.defs.sensors import external_sync_sensor, sequencer_sensor, sync_sensor, tenancy_sensor
from dbsync_pipeline.defs.status import build_freshness_checks, status, status_sensor
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def build_defs(overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Return the definitions; no database needs to be known or to answer.

    Args:
        overrides: resources by name, in place of those that the environment configures.

    Raises:
        SettingsError: a variable is unusable.
        MappingError: a mapping file is missing or wrong.
    """
    settings = load_settings(source_url="", clickhouse_url="")
    pipeline = Pipeline(settings)
    checks = build_checks(pipeline.catalog)
    with warnings.catch_warnings():
        # Backfill policies and code references are marked beta; the minor version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions(
            assets=[*build_assets(pipeline), status, ERASED_TENANCIES],
            asset_checks=[checks, build_freshness_checks(pipeline.catalog)],
            jobs=[*build_jobs(settings), *build_control_jobs(), build_repair_job(checks)],
            schedules=[build_verify_schedule(checks), *build_retention_schedules()],
            sensors=[
                *(tenancy_sensor, sequencer_sensor, sync_sensor, external_sync_sensor, status_sensor),
                *build_alert_sensors(settings),
            ],
            resources={
                "databases": Databases(
                    source_url=dg.EnvVar("DBSYNC_SOURCE_URL"), clickhouse_url=dg.EnvVar("DBSYNC_CLICKHOUSE_URL")
                ),
                **(overrides or {}),
            },
            # The work is in the databases: a process for each step would only cost its start.
            executor=dg.in_process_executor,
        )


defs = build_defs()
