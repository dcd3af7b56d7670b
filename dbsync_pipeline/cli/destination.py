"""`dbsync destination`: the databases of tenancies' owners, configured from a terminal."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import psycopg
import typer
from rich.box import SIMPLE
from rich.table import Table

from dbsync_pipeline.cli.output import console, wide
from dbsync_pipeline.cli.status import next_attempt
from dbsync_pipeline.destinations.configured import (
    ExternalDatabase,
    add_database,
    databases_of,
    enable_database,
    remove_database,
    require_database,
)
from dbsync_pipeline.destinations.postgres.address import look_up, shown
from dbsync_pipeline.destinations.postgres.inspection import Inspection
from dbsync_pipeline.errors import DbsyncError, UnreachableError
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.pending.standing import DestinationStanding, standings_of
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import DestinationStatus, read_destinations

destination_commands = typer.Typer(
    help="Add, list, check, enable, disable and remove external databases.", no_args_is_help=True
)

_LIST_WIDTH = 140

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the database, as `dbsync destination list` shows it.")]


@destination_commands.command("add")
def add_destination(
    connection: Annotated[
        str,
        typer.Argument(
            metavar="CONNECTION",
            help="Where it is: a URL or libpq string, env:NAME, file:NAME, or - to read it from standard input.",
        ),
    ],
    tenancy: Annotated[str, typer.Option(help="Id of the tenancy whose rows it receives.")],
    name: Annotated[str, typer.Option(help="Tells the tenancy's databases apart.")] = "main",
    mapping: Annotated[list[str] | None, typer.Option(help="Only this mapping; may be repeated.")] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not connect; the database need not be there yet.")
    ] = False,
) -> None:
    """Add a database of a tenancy's owner; workers fill it by themselves.

    Connects and makes its schema and tables first; when that fails, nothing is stored.
    """
    pipeline = Pipeline(load_settings())
    given = sys.stdin.readline().strip() if connection == "-" else connection
    for mapping_id in mapping or ():
        pipeline.catalog.mapping(mapping_id)
    with _source(pipeline, "add") as source, source.transaction():
        added = add_database(source, tenancy, name, given, mapping or None)
        if no_check:
            with suppress(UnreachableError):
                look_up(given, pipeline.external_policy)
        else:
            console.print(f"{pipeline.inspect_external(added, prepare=True)}.", markup=False, soft_wrap=True)
    console.print(f"Added {added.destination_id}.", markup=False, soft_wrap=True)


@destination_commands.command("list")
def list_destinations(
    tenancy: Annotated[str | None, typer.Option(help="Only those of this tenancy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array instead of a table.")] = False,
) -> None:
    """List the external databases, with what waits for each; never their connection strings."""
    pipeline = Pipeline(load_settings())
    with _source(pipeline, "list") as source:
        states = read_destinations(source, pipeline.catalog, pipeline.columns, tenancy=tenancy)
        databases = databases_of(source, None if tenancy is None else [tenancy])
    entries = [_entry(database, states.get(database.destination_id)) for database in databases]
    if as_json:
        typer.echo(json.dumps(entries, indent=2, default=str))
        return
    wide(_LIST_WIDTH).print(_list_table(entries))
    for entry in entries:
        if entry["last_error"]:
            message = f"{entry['destination_id']}: {entry['last_error']}"
            console.print(message, style="red", markup=False, soft_wrap=True)


@destination_commands.command("check")
def check_destination(destination_id: _Id) -> None:
    """Connect to a database and say what is there, how far each mapping is, and what failed last."""
    pipeline = Pipeline(load_settings())
    with _source(pipeline, "check") as source:
        database = require_database(source, destination_id)
        waiting = standings_of(source, destination_id)
    place = shown(database.connection)
    console.print(f"{destination_id} is {_state(database)}, at {place}.", markup=False, soft_wrap=True)
    found = failure = None
    try:
        found = pipeline.inspect_external(database)
        console.print(f"{found}.", markup=False, soft_wrap=True)
    except DbsyncError as error:
        failure = error
    # Also where nobody answers: what is known here says since when.
    console.print(_check_table(pipeline, database, found, waiting))
    for message in dict.fromkeys(entry.last_error for entry in waiting.values()):
        if message and message != str(failure):
            console.print(message, style="red", markup=False, soft_wrap=True)
    if failure is not None:
        raise failure


@destination_commands.command("enable")
def enable_destination(destination_id: _Id) -> None:
    """Deliver to a database again, everything that it lacks."""
    pipeline = Pipeline(load_settings())
    with _source(pipeline, "enable") as source:
        enable_database(source, destination_id, enabled=True)
    console.print(f"{destination_id} is enabled.", markup=False, soft_wrap=True)


@destination_commands.command("disable")
def disable_destination(destination_id: _Id) -> None:
    """Deliver nothing more to a database until it is enabled; what it holds stays."""
    pipeline = Pipeline(load_settings())
    with _source(pipeline, "disable") as source:
        enable_database(source, destination_id, enabled=False)
    console.print(f"{destination_id} is disabled; its data stays as it is.", markup=False, soft_wrap=True)


@destination_commands.command("remove")
def remove_destination(destination_id: _Id) -> None:
    """Forget a database. Its data stays there, schema and tables included; they are its owner's to drop."""
    pipeline = Pipeline(load_settings())
    with _source(pipeline, "remove") as source:
        remove_database(source, destination_id)
    schema = pipeline.settings.external_schema
    console.print(
        f"{destination_id} is removed; schema {schema} stays there with its data.", markup=False, soft_wrap=True
    )


@contextmanager
def _source(pipeline: Pipeline, purpose: str) -> Generator[psycopg.Connection]:
    with pipeline.source(f"destination {purpose}") as connection:
        require_installed(connection, pipeline.catalog)
        yield connection


def _state(database: ExternalDatabase) -> str:
    return "enabled" if database.enabled else "disabled"


def _entry(database: ExternalDatabase, state: DestinationStatus | None) -> dict[str, Any]:
    return {
        "destination_id": database.destination_id,
        "tenancy_id": str(database.tenancy_id),
        "name": database.name,
        "place": shown(database.connection),
        "enabled": database.enabled,
        "mappings": database.mappings,
        "waiting_for_delivery": state.waiting_for_delivery if state else 0,
        "more_to_deliver": state.more_to_deliver if state else False,
        "lag_seconds": state.lag_seconds if state else 0.0,
        "failing": state.failing if state else [],
        "attempts": state.attempts if state else 0,
        "next_attempt_at": state.next_attempt_at if state else None,
        "last_error": state.last_error if state else None,
    }


def _list_table(entries: list[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("id", no_wrap=True)
    table.add_column("at", overflow="fold")
    for name in ("enabled", "mappings"):
        table.add_column(name)
    for name in ("to deliver", "lag", "failing"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            entry["destination_id"],
            entry["place"],
            "yes" if entry["enabled"] else "no",
            "all" if entry["mappings"] is None else ", ".join(entry["mappings"]),
            f"{entry['waiting_for_delivery']:,}{'+' * entry['more_to_deliver']}",
            f"{entry['lag_seconds']:.1f} s",
            f"{len(entry['failing'])}",
            style="red" if entry["last_error"] else None,
        )
    return table


def _check_table(
    pipeline: Pipeline,
    database: ExternalDatabase,
    found: Inspection | None,
    waiting: dict[str, DestinationStanding],
) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    for name in ("table", "complete up to", "to reach", "failed attempts", "next"):
        table.add_column(name, justify="right")
    for mapping in pipeline.catalog.mappings:
        if not database.receives(mapping.mapping_id):
            continue
        standing = waiting.get(mapping.mapping_id)
        reached = found.checkpoints.get(mapping.mapping_id) if found else None
        failing = standing is not None and standing.last_error is not None
        table.add_row(
            mapping.mapping_id,
            "?" if found is None else "to be made" if mapping.mapping_id in found.missing else "there",
            f"{reached:,}" if reached is not None else "?" if found is None else "-",
            f"{standing.wanted:,}" if standing else "-",
            f"{standing.attempts}" if standing and failing else "",
            next_attempt(standing.next_attempt_at) if standing and failing else "",
            style="red" if failing else None,
        )
    return table
