"""`dbsync status`: what waits, for how long, and what fails."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.filesize import decimal
from rich.table import Table

from dbsync_pipeline.cli.output import console
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import MOST_FAILING_LISTED, DestinationStatus, MappingStatus, read_status


def status(
    tenancy: Annotated[str | None, typer.Option(help="Only this tenancy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show, per mapping and kind of copy, what waits for the sequencer and for delivery, the lag, and errors.

    External databases are summed up per mapping; those that fail are listed below.
    """
    pipeline = Pipeline(load_settings())
    with pipeline.source("status") as connection:
        found = read_status(connection, pipeline.catalog, pipeline.columns, tenancy=tenancy)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, default=str))
        return
    console.print(_mapping_table(found.mappings))
    sizes = ", ".join(f"{entry.table_name} {entry.rows:,} rows, {decimal(entry.bytes)}" for entry in found.sizes)
    console.print(f"In the source: {sizes}.", soft_wrap=True)
    if found.numbering_paused:
        console.print("The sequencer is paused.", style="yellow")
    for part in found.pauses:
        console.print(f"Delivery is paused: {part}.", style="yellow", markup=False, soft_wrap=True)
    for entry in found.mappings:
        if entry.last_error is not None and entry.kind == "clickhouse":
            console.print(entry.last_error, style="red", markup=False)
    for failing in found.failing:
        console.print(_failing_line(failing), style="red", markup=False, soft_wrap=True)
    if len(found.failing) == MOST_FAILING_LISTED:
        console.print(f"These {MOST_FAILING_LISTED} have waited longest; there may be more.", style="red")


def next_attempt(at: datetime | None) -> str:
    """Return in how long something is tried again."""
    seconds = 0.0 if at is None else (at - datetime.now(UTC)).total_seconds()
    return f"in {seconds:.0f} s" if seconds >= 1 else "now"


def _mapping_table(found: list[MappingStatus]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", no_wrap=True)
    for name in ("places", "to number", "to deliver", "pending", "lag", "failing", "paused"):
        table.add_column(name, justify="right")
    for entry in found:
        table.add_row(
            entry.mapping_id,
            entry.kind,
            f"{entry.destinations:,}",
            f"{entry.waiting_for_sequencer:,}",
            f"{entry.waiting_for_delivery:,}",
            f"{entry.pending:,}",
            f"{entry.lag_seconds:.1f} s",
            f"{entry.failing:,}",
            f"{entry.paused:,}",
            style="red" if entry.failing else None,
        )
    return table


def _failing_line(found: DestinationStatus) -> str:
    return (
        f"{found.destination_id}: {len(found.failing)} of {found.pending} pending mappings failed, "
        f"attempt {found.attempts}, next {next_attempt(found.next_attempt_at)}: {found.last_error}"
    )
