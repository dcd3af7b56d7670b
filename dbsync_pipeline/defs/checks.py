"""Asset checks: every copy of a mapping equals its source.

They are what `dbsync verify` does, tick by tick a share of the tenancies, so that a day sees all of them. What was
found to differ is looked at again at every tick, so that a check stays red for as long as something differs. Run by
hand, a check looks at all tenancies, or at those that its configuration names. What came of each tenancy is a row in
the source, not an event here: ten thousand tenancies a day would fill Dagster's storage, so a check sums them up.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import dagster as dg
import pandas as pd  # pyright: ignore[reportMissingTypeStubs] -- it has none
from pydantic import Field, TypeAdapter

from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import COPY_KEYS, copy_key
from dbsync_pipeline.defs.verdicts import EQUALS_SOURCE
from dbsync_pipeline.defs.work import visible_failures
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.verify.differences import MEANINGS, Verified
from dbsync_pipeline.verify.record import Coverage, read_coverage
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline.verify.scope import Scope, Share

VERIFY_JOB = "verify_job"

_VERIFY = "verify"
_TICKS_A_DAY = 144
_TICK_MINUTES = 10
_MOST_SECONDS = 3_600
_KEYS_SHOWN = 50
_RECORDS_LOOKED_AT = 10
_TENANCIES_KEPT = 200
"""Tenancies with differences that are looked at again at every tick."""

_TENANCY_LIST = TypeAdapter(list[str])


class VerifyConfig(dg.Config):
    """Which tenancies to look at; all of them when nothing is said."""

    tenancies: list[str] = Field(default=[], description="Only these tenancies.")
    share: int | None = Field(
        default=None, ge=0, lt=_TICKS_A_DAY, description=f"Only one of {_TICKS_A_DAY} shares of the tenancies."
    )


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


def _results(
    context: dg.AssetCheckExecutionContext, config: VerifyConfig, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult]:
    selected = {check.asset_key for check in context.selected_asset_check_keys}
    share = None if config.share is None else Share.nth(1 / _TICKS_A_DAY, config.share)
    by_scope: defaultdict[Scope, set[dg.AssetKey]] = defaultdict(set)
    for key in selected:
        again = _differed(context.instance, key) if share is not None else []
        named = tuple(sorted({*config.tenancies, *again}))
        by_scope[Scope(named or None, share)].add(key)
    for scope, keys in by_scope.items():
        mappings = {key.path[-1] for key in keys}
        kinds = {key.path[0] for key in keys}
        found: defaultdict[dg.AssetKey, list[Verified]] = defaultdict(list)
        for entry in verify(pipeline, Choice(scope, sorted(mappings), _destinations(pipeline, kinds))):
            found[copy_key(entry.destination_id, entry.mapping_id)].append(entry)
        with pipeline.source("verify") as connection:
            coverage = {
                COPY_KEYS[entry.kind](entry.mapping_id): entry
                for entry in read_coverage(connection, pipeline.catalog.select(sorted(mappings)))
            }
        for key in sorted(keys):
            yield _result(key, found[key], scope, coverage.get(key))


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


def _result(
    key: dg.AssetKey, found: Iterable[Verified], scope: Scope, coverage: Coverage | None
) -> dg.AssetCheckResult:
    entries = list(found)
    differences = [(entry.destination_id, difference) for entry in entries for difference in entry.differences]
    differing = sum(entry.differing for entry in entries)
    tenancies = sorted({difference.tenancy for _, difference in differences})
    errors = {entry.destination_id: entry.error for entry in entries if entry.error}
    metadata: dict[str, dg.MetadataValue] = {
        "rows_compared": dg.MetadataValue.int(sum(entry.source_rows for entry in entries)),
        "rows_differing": dg.MetadataValue.int(differing),
        "rows_on_their_way": dg.MetadataValue.int(sum(entry.waiting for entry in entries)),
        "copies": dg.MetadataValue.int(len({entry.destination_id for entry in entries})),
        "everything": dg.MetadataValue.bool(scope.is_everything),
    }
    if coverage is not None:
        metadata |= {
            "ever_compared": dg.MetadataValue.int(coverage.compared),
            "never_compared": dg.MetadataValue.int(coverage.never_compared),
            "last_differing": dg.MetadataValue.int(coverage.differing),
        }
        if coverage.oldest is not None:
            metadata["oldest_comparison"] = dg.MetadataValue.timestamp(coverage.oldest)
    if errors:
        metadata["not_compared"] = dg.MetadataValue.json(errors)
    if not differences:
        # What could not be looked at is nothing to rely on, and nothing that differs.
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=EQUALS_SOURCE,
            passed=not errors,
            severity=dg.AssetCheckSeverity.WARN if errors else dg.AssetCheckSeverity.ERROR,
            metadata=metadata,
            description=next(iter(errors.values()), None),
        )
    shown = [
        {
            "copy": destination_id,
            "tenancy": difference.tenancy,
            "key": ", ".join(f"{name}={value}" for name, value in difference.key.items()),
            "what": difference.kind,
            "columns": ", ".join(difference.columns),
            "meaning": MEANINGS[difference.kind],
        }
        for destination_id, difference in differences[:_KEYS_SHOWN]
    ]
    metadata["tenancies"] = dg.MetadataValue.json(tenancies[:_TENANCIES_KEPT])
    table = pd.DataFrame(shown).to_markdown(index=False)  # pyright: ignore[reportUnknownMemberType] -- as above
    metadata["differences"] = dg.MetadataValue.md(table)
    first = shown[0]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=EQUALS_SOURCE,
        passed=False,
        metadata=metadata,
        description=f"{differing} rows differ, of {len(tenancies)} tenancies; the first is {first['what']}: "
        f"tenancy {first['tenancy']}, {first['key']}. `dbsync verify --repair` delivers them again.",
    )
