"""`dbsync query`: runs a query on the ClickHouse in use."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from dbsync_pipeline.cli.output import console
from dbsync_pipeline.destinations.clickhouse.tenant_query import query_all, query_tenancy
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def query(
    statement: Annotated[str, typer.Argument(help="The query, such as 'select count() from users'.")],
    tenancy: Annotated[
        str | None, typer.Option(help="Run it as this tenancy: it sees that tenancy's rows and no others.")
    ] = None,
) -> None:
    """Run a query over the views of the mappings, read-only."""
    pipeline = Pipeline(load_settings())
    names = pipeline.clickhouse_names
    with pipeline.clickhouse(default_database=names.database) as clickhouse:
        if tenancy is None:
            columns, rows = query_all(clickhouse, statement)
        else:
            columns, rows = query_tenancy(clickhouse, pipeline.catalog, names, statement, tenancy)
    table = Table(*columns, box=SIMPLE)
    for row in rows:
        table.add_row(*("NULL" if value is None else str(value).replace("[", "\\[") for value in row))
    console.print(table)
