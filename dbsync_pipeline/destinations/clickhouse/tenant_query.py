"""Runs a person's query as one tenancy.

Two locks, each enough by itself for honest queries: the statement is parsed and may name the mappings' views and
nothing else, no table functions either; and ClickHouse itself filters every read of the tables behind the views by the
tenancy (`additional_table_filters`), in a mode in which the query cannot change settings (invariant I7). The embedded
engine has neither users nor row policies; this needs none.
"""

from collections.abc import Sequence
from typing import Any

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.mappings.catalog import Catalog

_READ_ONLY = 1
"""ClickHouse's strictest mode: no writes, no changed settings, no table functions that reach elsewhere."""


def query_all(clickhouse: ClickHouse, statement: str) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Run a query over all tenancies, for an operator; it can read everything and write nothing."""
    return clickhouse.read(statement, {"readonly": _READ_ONLY})


def query_tenancy(
    clickhouse: ClickHouse, catalog: Catalog, names: tables.ClickHouseNames, statement: str, tenancy: str
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Run a query over one tenancy's rows.

    Raises:
        DbsyncError: the statement is not one SELECT over the mappings' views.
    """
    check(statement, catalog, names)
    condition = f"toString({tables.TENANCY}) = {tables.literal(tenancy)}"
    restricted = [*(mapping.mapping_id for mapping in catalog.mappings), tables.CHECKPOINT_TABLE]
    filters = ", ".join(
        f"{tables.literal(f'{names.internal}.{table}')}: {tables.literal(condition)}" for table in restricted
    )
    return clickhouse.read(statement, {"readonly": _READ_ONLY, "additional_table_filters": f"{{{filters}}}"})


def check(statement: str, catalog: Catalog, names: tables.ClickHouseNames) -> None:
    """Refuse a statement that is not one SELECT over the mappings' views.

    Raises:
        DbsyncError: it is something else; the message says what.
    """
    views = {mapping.mapping_id for mapping in catalog.mappings}
    mend = f"As a tenancy, write one SELECT over these views: {', '.join(sorted(views))}."
    try:
        trees = parse(statement, dialect="clickhouse")
    except SqlglotError as error:
        raise DbsyncError(f"the query cannot be read: {str(error).splitlines()[0]}", mend) from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise DbsyncError("the query is not one SELECT", mend)
    defined = {definition.alias for definition in trees[0].find_all(exp.CTE)}
    for table in trees[0].find_all(exp.Table):
        known = table.name in views and table.db in ("", names.database) and not table.catalog
        if not isinstance(table.this, exp.Identifier) or not (known or (table.name in defined and not table.db)):
            raise DbsyncError(f"the query reads {table.sql(dialect='clickhouse')}, which is no view of a mapping", mend)
    for membership in trees[0].find_all(exp.In):
        if membership.args.get("field") is not None:
            raise DbsyncError("the query uses a table's name as the list of an IN", mend)
