"""`dbsync status` in Dagster's UI: an asset whose numbers are plotted, and a check on every copy: is anything late?

A sensor looks once a minute and records only what differs from what it recorded last, without a run, so that a quiet
pipeline adds next to nothing to Dagster's storage: a line an hour, which says that somebody has looked. The status goes
stale when that stops. Freshness policies would not do for the copies: they go by the time of the newest materialization
of any partition, which a quiet table has none of, and a stuck tenancy hides behind a busy one.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd  # pyright: ignore[reportMissingTypeStubs] -- it has none
import psycopg
from pydantic import BaseModel

from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.sensors import on_source
from dbsync_pipeline.defs.specs import COPY_KEYS, OWNERS
from dbsync_pipeline.defs.verdicts import UP_TO_DATE
from dbsync_pipeline.defs.work import visible_failures
from dbsync_pipeline.lateness import Standstill, behind_seconds
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.status import MappingStatus, Status, read_status_soon, waiting_for_sequencer

STATUS = dg.AssetKey(["dbsync", "status"])

_SECONDS_BETWEEN_LOOKS = 60
_SECONDS_BETWEEN_RECORDS = 3_600
"""After so long, what has not changed is recorded as well."""


class _Recorded(BaseModel):
    """What was recorded last; the sensor's cursor."""

    numbers: dict[str, float] = {}
    at: float = 0.0
    late: dict[str, bool] = {}
    standstill: Standstill = Standstill()


@dg.asset(
    key=STATUS,
    group_name="operations",
    kinds={"postgres"},
    owners=OWNERS,
    description="How far behind the copies are, over time: what waits, lag, failures, and what was delivered.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3), warn_window=timedelta(hours=2)),
)
def status(databases: Databases) -> dg.MaterializeResult[Any]:
    """Read it now."""
    with visible_failures():
        return dg.MaterializeResult(metadata=_metadata(_read(databases.pipeline())))


@dg.sensor(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
    name="status_sensor",
    minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records how far behind the copies are, when it has changed.",
)
def status_sensor(context: dg.SensorEvaluationContext, databases: Databases) -> dg.SensorResult:
    """Materialize the status, and evaluate the checks of the copies, where they differ from what was recorded.

    What does not differ is materialized once an hour, for the freshness policy.
    """

    def tick(pipeline: Pipeline, connection: psycopg.Connection) -> dg.SensorResult:
        found = read_status_soon(connection, pipeline.catalog, pipeline.columns)
        before, now = _Recorded.model_validate_json(context.cursor or "{}"), time.time()
        standstill = before.standstill.then(found, now)
        verdicts = {
            COPY_KEYS[entry.kind](entry.mapping_id): _evaluation(entry, pipeline, standstill.seconds(now))
            for entry in found.mappings
        }
        numbers = _numbers(found)
        record = numbers != before.numbers or now - before.at >= _SECONDS_BETWEEN_RECORDS
        after = _Recorded(
            numbers=numbers,
            at=now if record else before.at,
            late={key.to_user_string(): not verdict.passed for key, verdict in verdicts.items()},
            standstill=standstill,
        )
        events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
        if record:
            events.append(dg.AssetMaterialization(STATUS, metadata=_metadata(found)))
        # Dagster forgets a verdict with the next materialization of any partition; what is late is to stay visible.
        events += [
            verdict
            for key, verdict in verdicts.items()
            if not verdict.passed or before.late.get(key.to_user_string()) is not False
        ]
        said = f"Recorded {len(events)} events." if events else "Nothing has changed."
        return dg.SensorResult(asset_events=events, skip_reason=said, cursor=after.model_dump_json())

    return on_source(databases, tick)


def build_freshness_checks(catalog: Catalog) -> dg.AssetChecksDefinition:
    """Return a check for every copy of every mapping: is anything in it late?"""
    specs = [
        dg.AssetCheckSpec(
            UP_TO_DATE,
            asset=key(mapping.mapping_id),
            description="No tenancy has waited for a change for longer than DBSYNC_LATE_SECONDS.",
        )
        for key in COPY_KEYS.values()
        for mapping in catalog.mappings
    ]

    @dg.multi_asset_check(name=UP_TO_DATE, specs=specs, can_subset=True)
    def look(context: dg.AssetCheckExecutionContext, databases: Databases) -> Iterator[dg.AssetCheckResult]:
        """Look at the copies whose checks were selected; a copy that nobody receives is not behind."""
        pipeline = databases.pipeline()
        with visible_failures():
            entries = {COPY_KEYS[entry.kind](entry.mapping_id): entry for entry in _read(pipeline).mappings}
        for check in sorted(context.selected_asset_check_keys, key=str):
            entry = entries.get(check.asset_key)
            found = None if entry is None else _evaluation(entry, pipeline)
            yield dg.AssetCheckResult(
                asset_key=check.asset_key,
                check_name=UP_TO_DATE,
                passed=found is None or found.passed,
                metadata={} if found is None else found.metadata,
            )

    return look


def _read(pipeline: Pipeline) -> Status:
    with pipeline.source("status") as connection:
        return read_status_soon(connection, pipeline.catalog, pipeline.columns)


def _evaluation(entry: MappingStatus, pipeline: Pipeline, standstill_seconds: float = 0.0) -> dg.AssetCheckEvaluation:
    seconds = behind_seconds(entry, standstill_seconds)
    return dg.AssetCheckEvaluation(
        asset_key=COPY_KEYS[entry.kind](entry.mapping_id),
        check_name=UP_TO_DATE,
        passed=seconds <= pipeline.settings.late_seconds,
        metadata={
            "behind_seconds": round(seconds, 1),
            "waiting_for_sequencer": entry.waiting_for_sequencer,
            "waiting_for_delivery": entry.waiting_for_delivery,
            **({} if entry.oldest_tenancy is None else {"oldest_tenancy": entry.oldest_tenancy}),
            **({} if entry.last_error is None else {"last_error": entry.last_error}),
        },
    )


def _numbers(found: Status) -> dict[str, float]:
    """Return what is plotted: for each kind of copy, sums over the mappings, and the greatest lag.

    What was numbered and delivered grows for ever; how steeply is the throughput.
    """
    numbers: dict[str, float] = {
        "sequence_id": found.sequence_id,
        "waiting_for_sequencer": waiting_for_sequencer(found),
    }
    for kind in COPY_KEYS:
        entries = [entry for entry in found.mappings if entry.kind == kind]
        if entries:
            numbers |= {
                f"{kind}_lag_seconds": round(max(entry.lag_seconds for entry in entries), 3),
                f"{kind}_waiting_for_delivery": sum(entry.waiting_for_delivery for entry in entries),
                f"{kind}_pending": sum(entry.pending for entry in entries),
                f"{kind}_failing": sum(entry.failing for entry in entries),
                f"{kind}_paused": sum(entry.paused for entry in entries),
                f"{kind}_delivered": sum(entry.delivered.rows for entry in entries if entry.delivered is not None),
            }
    return numbers


def _metadata(found: Status) -> dict[str, Any]:
    busy = [
        {
            "mapping": entry.mapping_id,
            "copy": entry.kind,
            "to number": entry.waiting_for_sequencer,
            "to deliver": entry.waiting_for_delivery,
            "pending": entry.pending,
            "lag": f"{entry.lag_seconds:.1f} s",
            "failing": entry.failing,
            "paused": entry.paused,
        }
        for entry in found.mappings
        if entry.pending or entry.waiting_for_sequencer
    ]
    table = pd.DataFrame(busy).to_markdown(index=False) if busy else "Nothing waits."  # pyright: ignore[reportUnknownMemberType] -- as above
    return {**_numbers(found), "mappings": dg.MetadataValue.md(table)}
