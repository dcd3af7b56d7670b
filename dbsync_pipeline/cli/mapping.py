"""`dbsync mapping`: looks at the mapping files, and drafts them; needs a database only to hold them against it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.syntax import Syntax
from rich.table import Table as Grid

from dbsync_pipeline.capture.install import check_source
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.errors import DbsyncError, MappingError
from dbsync_pipeline.mappings.catalog import TENANCY_FILE, load_catalog
from dbsync_pipeline.mappings.document import read_file
from dbsync_pipeline.mappings.scaffold import draft, snake_case
from dbsync_pipeline.mappings.spec import DestinationKind, SyncMapping, Table, TenancySpec
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_mapping_directories, load_settings

mapping_commands = typer.Typer(help="List, show, validate and draft mappings.", no_args_is_help=True)


@mapping_commands.command("list")
def list_mappings() -> None:
    """List the mappings in use, with their source tables and keys."""
    catalog = load_catalog(load_mapping_directories())
    table = Grid(box=SIMPLE)
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
    table = Grid(box=SIMPLE)
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


@mapping_commands.command("new")
def new_mapping(
    table: Annotated[str, typer.Argument(help="Table of the source: name, or schema.name.")],
    directory: Annotated[Path, typer.Argument(help="Directory of mapping files, with its _tenancy.yaml.")],
    name: Annotated[str | None, typer.Option(help="Id of the mapping; the table's name when left out.")] = None,
    tenancy_column: Annotated[
        str | None, typer.Option(help="Says whose a row is; when left out, what references the tenancy table.")
    ] = None,
) -> None:
    """Draft a mapping file from a table as it is: every column, the key, and whose its rows are.

    Nothing is overwritten, and nothing kept that does not fit the source. Delete from the file what copies are not to
    hold before you run `dbsync init`.
    """
    pipeline = Pipeline(load_settings().model_copy(update={"mappings": str(directory)}))
    source = Table.model_validate(table)
    mapping_id = name or snake_case(source.name)
    path = directory / f"{mapping_id}.yaml"
    if path.exists():
        raise MappingError(f"{path} is there already", "Choose another --name, or delete it first.")
    tenancy = read_file(directory / TENANCY_FILE, TenancySpec)
    with pipeline.source("mapping new") as connection:
        text = draft(
            connection, source, tenancy, pipeline.columns, mapping_id=mapping_id, tenancy_column=tenancy_column
        )
        path.write_text(text, encoding="utf-8")
        try:
            check_source(connection, pipeline.catalog.select([mapping_id]))
        except DbsyncError:
            path.unlink()
            raise
    mapping = pipeline.catalog.mapping(mapping_id)
    console.print(f"{path}: {len(mapping.columns)} columns, key {', '.join(mapping.key)}.", soft_wrap=True)


def _type(mapping: SyncMapping, name: str, kind: DestinationKind) -> str:
    for column in mapping.columns_for(kind):
        if column.name == name:
            if kind == "clickhouse":
                return column.data_type.clickhouse_column(nullable=column.nullable)
            return column.data_type.postgres + ("" if column.nullable else " not null")
    return "-"
