"""`dbsync mapping`: looks at the mapping files; needs a database only to validate against the live schema."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.syntax import Syntax
from rich.table import Table

from dbsync_pipeline.capture.install import check_source
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline.mappings.spec import DestinationKind, SyncMapping
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_mapping_directories, load_settings

mapping_commands = typer.Typer(help="List, show and validate mappings.", no_args_is_help=True)


@mapping_commands.command("list")
def list_mappings() -> None:
    """List the mappings in use, with their source tables and keys."""
    catalog = load_catalog(load_mapping_directories())
    table = Table(box=SIMPLE)
    for name in ("mapping", "source", "also reads", "key"):
        table.add_column(name, overflow="fold")
    for mapping in catalog.mappings:
        joined = ", ".join(str(join.table) for join in mapping.joins)
        table.add_row(
            mapping.mapping_id,
            str(mapping.source),
            joined,
            ", ".join(mapping.key),
        )
    console.print(table)


@mapping_commands.command("show")
def show_mapping(mapping: Annotated[str, typer.Argument(help="Id of the mapping.")]) -> None:
    """Show one mapping: its file, and its columns as each destination has them."""
    catalog = load_catalog(load_mapping_directories())
    found = catalog.mapping(mapping)
    console.print(f"[bold]{found.mapping_id}[/]: {found.description}")
    console.print(f"file: {catalog.files[found.mapping_id]}", soft_wrap=True)
    table = Table(box=SIMPLE)
    for name in ("column", "ClickHouse", "Postgres", "value"):
        table.add_column(name)
    for column in found.columns:
        table.add_row(
            ("* " if column.name in found.key else "") + column.name,
            _type(found, column.name, "clickhouse"),
            _type(found, column.name, "postgres"),
            Syntax(column.expression.strip(), "sql", word_wrap=True, background_color="default"),
        )
    console.print(table)
    console.print("* part of the key, after the tenancy")


@mapping_commands.command("validate")
def validate_mappings(
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Check the files alone, without the source database.")
    ] = False,
    directory: Annotated[
        Path | None, typer.Argument(help="A directory of mapping files; those of DBSYNC_MAPPINGS when left out.")
    ] = None,
) -> None:
    """Check the mapping files, and that they fit the live source schema.

    The first problem of each kind is named with file, line, reason and mend; exits with 2 if there is one.
    """
    if files_only:
        catalog = load_catalog(str(directory) if directory else load_mapping_directories())
        console.print(f"{len(catalog.mappings)} mappings are well formed.")
        return
    settings = load_settings()
    if directory is not None:
        settings = settings.model_copy(update={"mappings": str(directory)})
    pipeline = Pipeline(settings)
    with pipeline.source("mapping validate") as connection:
        check_source(connection, pipeline.catalog)
    console.print(f"{len(pipeline.catalog.mappings)} mappings fit the source.")


def _type(mapping: SyncMapping, name: str, kind: DestinationKind) -> str:
    for column in mapping.columns_for(kind):
        if column.name == name:
            if kind == "clickhouse":
                return column.data_type.clickhouse_column(nullable=column.nullable)
            return column.data_type.postgres + ("" if column.nullable else " not null")
    return "-"
