"""The assets: what the pipeline reads, what it fills, and what people query.

Only the copies can be materialized; doing so brings partitions up to date through the same engine as always. Their
steady deliveries are recorded by `sync_job` and `external_sync_job`.
"""

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Any, TypeVar

import dagster as dg

from dbsync_pipeline.defs.catch_up import catch_up, catch_up_externally
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import clickhouse_spec, postgres_spec, source_spec, view_spec
from dbsync_pipeline.defs.work import beside, failure_of, visible_failures
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.pipeline import Pipeline

_Result = TypeVar("_Result")
_Materialize = Callable[[dg.AssetExecutionContext, Pipeline, dg.AssetKey, str], dg.MaterializeResult[Any]]


def build_assets(pipeline: Pipeline) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every asset of a deployment, in the order in which a row travels."""
    catalog, names, external = pipeline.catalog, pipeline.clickhouse_names, pipeline.external_tables
    copies = [
        *((clickhouse_spec(catalog, entry, names), entry.mapping_id, _materialize) for entry in catalog.mappings),
        *(
            (postgres_spec(catalog, entry, external), entry.mapping_id, _materialize_externally)
            for entry in catalog.mappings
        ),
    ]
    return [
        *(source_spec(catalog, table) for table in catalog.captured_tables),
        *(_asset(*copy) for copy in copies),
        *(view_spec(catalog, mapping, names) for mapping in catalog.mappings),
    ]


def _asset(spec: dg.AssetSpec, mapping_id: str, materialize: _Materialize) -> dg.AssetsDefinition:
    name = "_".join(spec.key.path)

    @dg.multi_asset(specs=[spec], name=name, backfill_policy=dg.BackfillPolicy.single_run())
    def copy(context: dg.AssetExecutionContext, databases: Databases) -> dg.MaterializeResult[Any]:
        return materialize(context, databases.pipeline(), spec.key, mapping_id)

    return copy


def _materialize(
    context: dg.AssetExecutionContext, pipeline: Pipeline, key: dg.AssetKey, mapping_id: str
) -> dg.MaterializeResult[Any]:
    """Bring the run's partitions up to date.

    Raises:
        Failure: some of them could not be; the others are recorded as materialized all the same.
    """
    tenancies = list(context.partition_keys)
    context.log.info("Bringing %d tenancies of %s up to date.", len(tenancies), mapping_id)
    outcome = _watched(context, pipeline, lambda stop: catch_up(pipeline, mapping_id, tenancies, stop=stop))
    if outcome.failed:
        for tenancy, advance in outcome.advances.items():
            context.log_event(advance.materialization(Pair(tenancy, mapping_id)))
        raise failure_of([(Pair(tenancy, mapping_id), error) for tenancy, error in outcome.failed.items()])
    for tenancy, advance in outcome.advances.items():
        context.add_asset_metadata(advance.metadata, asset_key=key, partition_key=tenancy)
    # Dagster takes one data version for all partitions of a run; they are complete up to the same point of the order.
    newest = max(advance.sequence_to for advance in outcome.advances.values())
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(str(newest)))


def _materialize_externally(
    context: dg.AssetExecutionContext, pipeline: Pipeline, key: dg.AssetKey, mapping_id: str
) -> dg.MaterializeResult[Any]:
    """Bring the run's partitions up to date in every database; a tenancy without one is up to date as it is.

    Raises:
        Failure: some of them could not be; the others are recorded as materialized all the same.
    """
    tenancies = list(context.partition_keys)
    context.log.info("Bringing %d tenancies of %s up to date in their own databases.", len(tenancies), mapping_id)
    outcomes = _watched(context, pipeline, lambda stop: catch_up_externally(pipeline, mapping_id, tenancies, stop=stop))
    failed: list[tuple[Pair, str]] = []
    for tenancy, by_database in outcomes.items():
        pair = Pair(tenancy, mapping_id)
        for outcome in by_database.values():
            failed += [(pair, error) for error in outcome.failed.values()]
            for advance in outcome.advances.values():
                context.log_event(advance.materialization(pair))
    if failed:
        raise failure_of(failed)
    for tenancy, by_database in outcomes.items():
        context.add_asset_metadata({"databases": len(by_database)}, asset_key=key, partition_key=tenancy)
    newest = max((o.advances[t].sequence_to for t, by in outcomes.items() for o in by.values()), default=0)
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(str(newest)))


def _watched(context: dg.AssetExecutionContext, pipeline: Pipeline, work: Callable[[Event], _Result]) -> _Result:
    """Do the work beside a heartbeat, so that the run's log shows it is at it and a person can stop it."""
    with visible_failures():
        return beside(
            work, every_seconds=pipeline.settings.report_seconds, beat=partial(context.log.info, "Still at it.")
        )
