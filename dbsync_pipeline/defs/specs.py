"""Describes tables as assets: one pure function for each kind of table, from mapping to `AssetSpec`.

The graph reads as a row travels: source tables, tables in ClickHouse, the views people query. Everything comes from
the mappings; nothing about a table is said here.
"""

from collections import defaultdict
from collections.abc import Iterable

import dagster as dg

from dbsync_pipeline.defs.partitions import TENANCIES
from dbsync_pipeline.destinations.clickhouse.tables import (
    TENANCY,
    ClickHouseNames,
    TargetColumn,
    columns,
    readable_columns,
)
from dbsync_pipeline.destinations.postgres.tables import ExternalTables
from dbsync_pipeline.mappings import expressions
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.mappings.spec import SOURCE, DestinationKind, Join, SyncMapping, Table

OWNERS = ["team:data-platform"]

_LIVE = "Kept up to date by `{}`, which starts runs of `{}`: Dagster does not show those among an asset's automations."

_Lineage = dict[str, list[dg.TableColumnDep]]


def source_key(table: Table) -> dg.AssetKey:
    """Return the key of a table of the application."""
    return dg.AssetKey(["source", *str(table).split(".")])


def clickhouse_key(mapping_id: str) -> dg.AssetKey:
    """Return the key of a mapping's table in ClickHouse."""
    return dg.AssetKey(["clickhouse", mapping_id])


def postgres_key(mapping_id: str) -> dg.AssetKey:
    """Return the key of a mapping's tables in external databases."""
    return dg.AssetKey(["postgres", mapping_id])


COPY_KEYS = {"clickhouse": clickhouse_key, "postgres": postgres_key}
"""The key of a mapping's copies of each kind."""


def copy_key(destination_id: str, mapping_id: str) -> dg.AssetKey:
    """Return the key of the asset that a delivery to a destination advances."""
    return clickhouse_key(mapping_id) if destination_id == CLICKHOUSE else postgres_key(mapping_id)


def view_key(mapping_id: str) -> dg.AssetKey:
    """Return the key of the view over that table."""
    return dg.AssetKey(["analytics", mapping_id])


def source_spec(catalog: Catalog, table: Table) -> dg.AssetSpec:
    """Describe a table of the application by the columns that mappings read."""
    fed = [mapping.mapping_id for mapping in catalog.mappings if table in _tables(catalog, mapping)]
    copied = {
        column.source: column.data_type.postgres
        for mapping in catalog.mappings_of(table)
        for column in mapping.columns
        if column.source is not None
    }
    read = set[str]().union(*(mapping.source_columns for mapping in catalog.mappings_of(table)))
    for fed_by in catalog.dependants_of(table):
        read |= fed_by.mapping.join_columns(fed_by.join) | set(fed_by.join.quiet)
    if table == catalog.tenancy.table:
        read |= {catalog.tenancy.id, *(column.source for column in catalog.tenancy.columns)}
    schema = dg.TableSchema([dg.TableColumn(name, copied.get(name, "unspecified")) for name in sorted(read)])
    return dg.AssetSpec(
        source_key(table),
        group_name="source",
        kinds={"postgres"},
        owners=OWNERS,
        description=f"The application's table {table}; feeds {', '.join(fed)}. Columns shown are those that are read.",
        metadata={"dagster/table_name": f"{table.schema_name}.{table.name}", "dagster/column_schema": schema},
    )


def clickhouse_spec(catalog: Catalog, mapping: SyncMapping, names: ClickHouseNames) -> dg.AssetSpec:
    """Describe a mapping's table in ClickHouse, a partition for each tenancy."""
    return _copy_spec(
        catalog,
        mapping,
        "clickhouse",
        clickhouse_key(mapping.mapping_id),
        about="Every version of every row; read the view instead. " + _LIVE.format("sync_sensor", "sync_job"),
        schema_name=names.internal,
        schema=_schema(columns(catalog, mapping)),
        lineage=_clickhouse_lineage(catalog, mapping),
    )


def postgres_spec(catalog: Catalog, mapping: SyncMapping, external: ExternalTables) -> dg.AssetSpec:
    """Describe a mapping's tables in the databases of a tenancy's owner, a partition for each tenancy."""
    shown = [
        dg.TableColumn(
            column.name,
            column.type,
            description=column.description or None,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in external.columns(mapping)
    ]
    return _copy_spec(
        catalog,
        mapping,
        "postgres",
        postgres_key(mapping.mapping_id),
        about="One tenancy's rows, in each database that its owner configured. "
        + _LIVE.format("external_sync_sensor", "external_sync_job"),
        schema_name=external.schema,
        schema=dg.TableSchema(shown),
        lineage=_lineage(mapping, "postgres"),
    )


def _copy_spec(
    catalog: Catalog,
    mapping: SyncMapping,
    kind: DestinationKind,
    key: dg.AssetKey,
    *,
    about: str,
    schema_name: str,
    schema: dg.TableSchema,
    lineage: _Lineage,
) -> dg.AssetSpec:
    """Describe what the pipeline fills from a mapping, of whichever kind."""
    return dg.AssetSpec(
        key,
        deps=[source_key(table) for table in _tables(catalog, mapping)],
        group_name=kind,
        kinds={kind},
        owners=OWNERS,
        description=f"{mapping.description} {about}",
        code_version=mapping.code_version,
        tags={"dbsync/mapping": mapping.mapping_id},
        partitions_def=TENANCIES,
        metadata={
            "dagster/table_name": f"{schema_name}.{mapping.mapping_id}",
            "dagster/column_schema": schema,
            "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=lineage),
            "dagster/code_references": _code_reference(catalog, mapping),
        },
    )


def view_spec(catalog: Catalog, mapping: SyncMapping, names: ClickHouseNames) -> dg.AssetSpec:
    """Describe the view that people query: the newest version of every row that is not deleted."""
    shown = readable_columns(catalog, mapping)
    table = clickhouse_key(mapping.mapping_id)
    lineage = {column.name: [dg.TableColumnDep(table, column.name)] for column in shown}
    return dg.AssetSpec(
        view_key(mapping.mapping_id),
        deps=[table],
        group_name="analytics",
        kinds={"clickhouse", "view"},
        owners=OWNERS,
        description=mapping.description,
        tags={"dbsync/mapping": mapping.mapping_id},
        metadata={
            "dagster/table_name": f"{names.database}.{mapping.mapping_id}",
            "dagster/column_schema": _schema(shown),
            "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=lineage),
        },
    )


def _tables(catalog: Catalog, mapping: SyncMapping) -> tuple[Table, ...]:
    """Every table that a row of the mapping is made of, each once."""
    joined = (join.table for join in mapping.joins)
    return tuple(dict.fromkeys((mapping.source, *joined, catalog.tenancy.table)))


def _schema(shown: Iterable[TargetColumn]) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                description=column.comment or None,
                constraints=dg.TableColumnConstraints(nullable="Nullable(" in column.type),
            )
            for column in shown
        ]
    )


def _code_reference(catalog: Catalog, mapping: SyncMapping) -> dg.CodeReferencesMetadataValue:
    file = str(catalog.files[mapping.mapping_id])
    reference = dg.LocalFileCodeReference(file_path=file, line_number=1, label=mapping.mapping_id)
    return dg.CodeReferencesMetadataValue(code_references=[reference])


def _clickhouse_lineage(catalog: Catalog, mapping: SyncMapping) -> _Lineage:
    """Return, for each column of the ClickHouse table, the source columns that its value is made of."""
    tenancy: _Lineage = {
        column.name: [dg.TableColumnDep(source_key(catalog.tenancy.table), column.source)]
        for column in catalog.tenancy.columns
    }
    return tenancy | _lineage(mapping, "clickhouse")


def _lineage(mapping: SyncMapping, kind: DestinationKind) -> _Lineage:
    owner = f'{SOURCE}."{mapping.tenancy.column}"' if mapping.tenancy.column else mapping.tenancy.value or ""
    own = {column.name: _deps(mapping, column.expression) for column in mapping.columns_for(kind)}
    return {TENANCY: _deps(mapping, owner), **own}


def _deps(mapping: SyncMapping, expression: str) -> list[dg.TableColumnDep]:
    read: dict[Table, set[str]] = defaultdict(set)
    read[mapping.source] |= expressions.columns_of(expression, SOURCE)
    for join in mapping.joins:
        for name in expressions.columns_of(expression, join.alias):
            read[join.table] |= _columns_behind(join, name)
    return [dg.TableColumnDep(source_key(table), name) for table, names in read.items() for name in sorted(names)]


def _columns_behind(join: Join, name: str) -> frozenset[str]:
    """An aggregate's name stands for the columns that it aggregates."""
    aggregate = join.aggregate.get(name)
    return frozenset({name}) if aggregate is None else expressions.columns_of(aggregate, join.alias)
