"""Asset checks: every copy of a mapping equals its source.

They are what `dbsync verify` does, tick by tick a share of the tenancies, so that a day sees all of them. What was
found to differ is looked at again at every tick, so that a check stays red for as long as something differs. Run by
hand, a check looks at all tenancies, or at those that its configuration names; in a run that materializes partitions,
at these. What came of each tenancy is a row in the source, not an event here: ten thousand tenancies a day would fill
Dagster's storage, so a check sums them up. With `repair`, a check is what `dbsync verify --repair` is, so that whoever
sees it red can make it green from there.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import dagster as dg
from pydantic import Field, TypeAdapter

from dbsync_pipeline.defs.findings import counted, repairable_of, result_of
from dbsync_pipeline.defs.repair import deliver_again
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import COPY_KEYS, copy_key
from dbsync_pipeline.defs.verdicts import EQUALS_SOURCE
from dbsync_pipeline.defs.work import beside, visible_failures
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.differences import Verified
from dbsync_pipeline.verify.record import read_coverage
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import Scope, Share

VERIFY_JOB = "verify_job"
REPAIR_JOB = "repair_job"

_VERIFY = "verify"
_TICKS_A_DAY = 144
_TICK_MINUTES = 10
_MOST_SECONDS = 3_600
_RECORDS_LOOKED_AT = 10
_PARTITIONS_NAMED = 1_000
"""A run that materializes more partitions than these has everything compared: a statement has a greatest length."""

_TENANCY_LIST = TypeAdapter(list[str])


class VerifyConfig(dg.Config):
    """Which tenancies to look at, all of them when nothing is said, and what to do about what differs."""

    tenancies: list[str] = Field(default=[], description="Only these tenancies.")
    share: int | None = Field(
        default=None, ge=0, lt=_TICKS_A_DAY, description=f"Only one of {_TICKS_A_DAY} shares of the tenancies."
    )
    repair: bool = Field(default=False, description="Deliver what differs again, and compare once more.")


def build_checks(catalog: Catalog) -> dg.AssetChecksDefinition:
    """Return a check for every copy of every mapping, all in one step."""
    specs = [
        dg.AssetCheckSpec(
            EQUALS_SOURCE,
            asset=key(mapping.mapping_id),
            description="Count and checksum of each tenancy's rows, computed in both databases; then the keys.",
        )
        for key in COPY_KEYS.values()
        for mapping in catalog.mappings
    ]

    @dg.multi_asset_check(name=_VERIFY, specs=specs, can_subset=True)
    def compare(
        context: dg.AssetCheckExecutionContext, config: VerifyConfig, databases: Databases
    ) -> Iterator[dg.AssetCheckResult]:
        """Compare the copies whose checks were selected."""
        with visible_failures():
            yield from _results(context, config, databases.pipeline())

    return compare


def build_verify_schedule(checks: dg.AssetChecksDefinition) -> dg.ScheduleDefinition:
    """Return the schedule that does these checks of all tenancies within a day."""
    job = dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        VERIFY_JOB,
        selection=dg.AssetSelection.checks(checks),
        description="Compares a share of the tenancies in every copy with the source.",
        tags={"dbsync/singleton": "verify", "dagster/max_runtime": str(_MOST_SECONDS)},
        executor_def=dg.in_process_executor,
    )

    @dg.schedule(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        name="verify_schedule",
        job=job,
        cron_schedule=f"*/{_TICK_MINUTES} * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Walks through all tenancies within a day.",
    )
    def verify_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Take the share whose turn it is at this time of day."""
        at = context.scheduled_execution_time
        share = (at.hour * 60 + at.minute) // _TICK_MINUTES
        return dg.RunRequest(run_config={"ops": {_VERIFY: {"config": {"share": share}}}})

    return verify_schedule


def build_repair_job(checks: dg.AssetChecksDefinition) -> Any:
    """Return the job that a person starts when a check is red: the same checks, with repair."""
    return dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType] -- Dagster leaves a type argument out
        REPAIR_JOB,
        selection=dg.AssetSelection.checks(checks),
        description="Has what differs from the source delivered again, in every copy, and compares once more.",
        config={"ops": {_VERIFY: {"config": {"repair": True}}}},
        # In Dagster's queue before what nobody waits for.
        tags={"dagster/priority": "20", "dagster/max_runtime": str(_MOST_SECONDS)},
        executor_def=dg.in_process_executor,
    )


def _results(
    context: dg.AssetCheckExecutionContext, config: VerifyConfig, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult]:
    selected = {check.asset_key for check in context.selected_asset_check_keys}
    share = None if config.share is None else Share.nth(1 / _TICKS_A_DAY, config.share)
    partitions = _partitions(context)
    by_scope: defaultdict[Scope, set[dg.AssetKey]] = defaultdict(set)
    for key in selected:
        again = _differed(context.instance, key) if share is not None or partitions else []
        named = tuple(sorted({*config.tenancies, *partitions, *again}))
        by_scope[Scope(named or None, share)].add(key)
    for scope, keys in by_scope.items():
        mappings = sorted({key.path[-1] for key in keys})
        choice = Choice(scope, mappings, _destinations(pipeline, {key.path[0] for key in keys}))
        found = _compare(pipeline, choice, repair=config.repair)
        repaired = {
            key: marked for key, entries in found.items() if config.repair and (marked := repairable_of(entries))
        }
        if repaired:
            found |= _compare_after_delivery(context, pipeline, choice, repaired)
        with pipeline.source("verify") as connection:
            coverage = {
                COPY_KEYS[entry.kind](entry.mapping_id): entry
                for entry in read_coverage(connection, pipeline.catalog.select(mappings))
            }
        for key in sorted(keys):
            yield result_of(key, found.get(key, []), scope, coverage.get(key), repaired=repaired.get(key, []))


def _partitions(context: dg.AssetCheckExecutionContext) -> list[str]:
    """Return the partitions that the run has materialized, as Dagster makes the checks of what it materializes."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return []
    keys = list(context.partition_keys)
    return keys if len(keys) <= _PARTITIONS_NAMED else []


def _compare(pipeline: Pipeline, choice: Choice, *, repair: bool = False) -> dict[dg.AssetKey, list[Verified]]:
    found: defaultdict[dg.AssetKey, list[Verified]] = defaultdict(list)
    for entry in verify(pipeline, choice, repair=repair):
        found[copy_key(entry.destination_id, entry.mapping_id)].append(entry)
    return dict(found)


def _compare_after_delivery(
    context: dg.AssetCheckExecutionContext,
    pipeline: Pipeline,
    choice: Choice,
    repaired: dict[dg.AssetKey, list[Verified]],
) -> dict[dg.AssetKey, list[Verified]]:
    """Have delivered what was marked, and compare these mappings once more; what did not get there is an error."""

    def deliver(stop: Event) -> dict[tuple[dg.AssetKey, str], str]:
        return {
            (key, destination_id): reason
            for key, entries in repaired.items()
            for destination_id, reason in deliver_again(
                pipeline, key.path[-1], choice.scope, entries, stop=stop
            ).items()
        }

    for key, entries in repaired.items():
        context.log.info("Delivering %s of %s again.", counted(entries), "/".join(key.path))
    undelivered = beside(
        deliver,
        every_seconds=pipeline.settings.report_seconds,
        beat=partial(context.log.info, "Still delivering again."),
    )
    found = _compare(pipeline, replace(choice, mappings=sorted({key.path[-1] for key in repaired})))
    return {
        key: [replace(entry, error=undelivered.get((key, entry.destination_id), entry.error)) for entry in entries]
        for key, entries in found.items()
    }


def _destinations(pipeline: Pipeline, kinds: set[str]) -> list[str] | None:
    """Return the destinations of some kinds; None means all."""
    if kinds == {"clickhouse"}:
        return [CLICKHOUSE]
    if kinds == {"postgres"}:
        with pipeline.source("verify") as connection:
            return [entry.destination_id for entry in databases_of(connection) if entry.enabled]
    return None


def _differed(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[str]:
    """Return the tenancies that differed when the check last came to a result."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(key, EQUALS_SOURCE), limit=_RECORDS_LOOKED_AT
    )
    # The run that is asking is among them, and others that were killed: they have no result.
    results = (record.event.asset_check_evaluation for record in history if record.event is not None)
    evaluation = next((result for result in results if result is not None), None)
    if evaluation is None or evaluation.passed:
        return []
    kept = evaluation.metadata.get("tenancies")
    return _TENANCY_LIST.validate_python(kept.value) if isinstance(kept, dg.JsonMetadataValue) else []
