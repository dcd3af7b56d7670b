"""The assets: what the pipeline reads, what it fills, and what people query.

Only the tables in ClickHouse can be materialized; doing so brings partitions up to date through the same engine as
always. Their steady deliveries are recorded by `sync_job`.
"""

from functools import partial
from typing import Any

import dagster as dg

from dbsync_pipeline.defs.catch_up import catch_up
from dbsync_pipeline.defs.resources import Databases
from dbsync_pipeline.defs.specs import clickhouse_spec, source_spec, view_spec
from dbsync_pipeline.defs.work import beside, failure_of, visible_failures
from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.destinations.clickhouse.tables import ClickHouseNames
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.pipeline import Pipeline


def build_assets(catalog: Catalog, names: ClickHouseNames) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every asset of a catalog, in the order in which a row travels."""
    return [
        *(source_spec(catalog, table) for table in catalog.captured_tables),
        *(_clickhouse_asset(clickhouse_spec(catalog, entry, names), entry.mapping_id) for entry in catalog.mappings),
        *(view_spec(catalog, mapping, names) for mapping in catalog.mappings),
    ]


def _clickhouse_asset(spec: dg.AssetSpec, mapping_id: str) -> dg.AssetsDefinition:
    @dg.multi_asset(specs=[spec], name=f"clickhouse_{mapping_id}", backfill_policy=dg.BackfillPolicy.single_run())
    def materialize(context: dg.AssetExecutionContext, databases: Databases) -> dg.MaterializeResult[Any]:
        return _materialize(context, databases.pipeline(), spec.key, mapping_id)

    return materialize


def _materialize(
    context: dg.AssetExecutionContext, pipeline: Pipeline, key: dg.AssetKey, mapping_id: str
) -> dg.MaterializeResult[Any]:
    """Bring the run's partitions up to date.

    Raises:
        Failure: some of them could not be; the others are recorded as materialized all the same.
    """
    tenancies = list(context.partition_keys)
    context.log.info("Bringing %d tenancies of %s up to date.", len(tenancies), mapping_id)
    with visible_failures():
        outcome = beside(
            lambda stop: catch_up(pipeline, mapping_id, tenancies, stop=stop),
            every_seconds=pipeline.settings.report_seconds,
            beat=partial(context.log.info, "Still at it."),
        )
    if outcome.failed:
        for tenancy, advance in outcome.advances.items():
            context.log_event(advance.materialization(Pair(tenancy, mapping_id)))
        raise failure_of({Pair(tenancy, mapping_id): error for tenancy, error in outcome.failed.items()})
    for tenancy, advance in outcome.advances.items():
        context.add_asset_metadata(advance.metadata, asset_key=key, partition_key=tenancy)
    # Dagster takes one data version for all partitions of a run; they are complete up to the same point of the order.
    newest = max(advance.sequence_to for advance in outcome.advances.values())
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(str(newest)))
