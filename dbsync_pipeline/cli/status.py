"""`dbsync status`: what waits, for how long, and what fails."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from dbsync_pipeline.cli.output import console
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import MappingStatus, read_status


def status(
    tenancy: Annotated[str | None, typer.Option(help="Only this tenancy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array instead of a table.")] = False,
) -> None:
    """Show, per mapping, what waits for the sequencer, what waits for delivery, the lag, and errors."""
    pipeline = Pipeline(load_settings())
    with pipeline.source("status") as connection:
        found = read_status(connection, pipeline.catalog, pipeline.columns, tenancy=tenancy)
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    console.print(_table(found))
    for entry in found:
        if entry.last_error is not None:
            console.print(entry.last_error, style="red", markup=False)


def _table(found: list[MappingStatus]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("destination", no_wrap=True)
    for name in ("to number", "to deliver", "tenancies", "lag", "failing", "paused"):
        table.add_column(name, justify="right")
    for entry in found:
        table.add_row(
            entry.mapping_id,
            entry.destination_id,
            f"{entry.waiting_for_sequencer:,}",
            f"{entry.waiting_for_delivery:,}",
            f"{entry.pending_tenancies:,}",
            f"{entry.lag_seconds:.1f} s",
            f"{entry.failing_tenancies:,}",
            f"{entry.paused_tenancies:,}",
            style="red" if entry.failing_tenancies else None,
        )
    return table
