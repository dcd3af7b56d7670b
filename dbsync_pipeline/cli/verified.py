"""`dbsync verify --last`: what the last comparison of each tenancy came to, as it was recorded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import psycopg
import typer
from rich.box import SIMPLE
from rich.table import Table

from dbsync_pipeline.cli.output import console, wide
from dbsync_pipeline.errors import DifferenceError
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.verify.record import Coverage, LastComparison, read_coverage, read_last

_LINES_SHOWN = 20
_WIDTH = 250
"""Characters that a line needs, ids of tenancy and copy among them."""


def show_last(
    connection: psycopg.Connection,
    catalog: Catalog,
    tenancies: Sequence[str] | None,
    destinations: Sequence[str] | None,
    *,
    as_json: bool,
) -> None:
    """Show a line for each tenancy that is named, mapping and copy; where none is, sums, and what differed.

    Raises:
        DifferenceError: something differed.
    """
    # Where sums are shown, those that are equal are too many to be read one by one.
    in_sum = not (tenancies or as_json)
    chosen = {"tenancies": tenancies or None, "destinations": destinations or None}
    found = list(read_last(connection, catalog, **chosen, differing=in_sum))
    pairs = len(found)
    differing = [entry for entry in found if entry.differing]
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=2, default=_text))
    elif tenancies:
        wide(_WIDTH).print(_lines(found))
    else:
        coverage = read_coverage(connection, catalog, destinations=destinations or None)
        pairs = sum(entry.compared + entry.never_compared for entry in coverage)
        console.print(_sums(coverage))
        if differing:
            wide(_WIDTH).print(_lines(differing[:_LINES_SHOWN]))
        if len(differing) > _LINES_SHOWN:
            console.print(f"... and {len(differing) - _LINES_SHOWN} more.")
    if differing:
        raise DifferenceError(
            f"{len(differing)} of {pairs} copies of a tenancy's rows differed when they were last compared",
            "`dbsync verify` with their --tenancy compares them now.",
        )


def _lines(found: Sequence[LastComparison]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("tenancy", overflow="fold")
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", overflow="fold")
    table.add_column("compared", no_wrap=True)
    for name in ("sequence id", "source", "there", "differing", "on their way"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in found:
        numbers = (entry.sequence_id, entry.source_rows, entry.destination_rows, entry.differing, entry.waiting)
        table.add_row(
            entry.tenancy.replace("[", "\\["),
            entry.mapping_id,
            entry.destination_id.replace("[", "\\["),
            _when(entry.verified_at),
            *("" if number is None else f"{number:,}" for number in numbers),
            style="red" if entry.differing else None,
        )
    return table


def _sums(found: Sequence[Coverage]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", no_wrap=True)
    table.add_column("longest ago", no_wrap=True)
    for name in ("compared", "never", "differing"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in found:
        table.add_row(
            entry.mapping_id,
            entry.kind,
            _when(entry.oldest),
            *(f"{number:,}" for number in (entry.compared, entry.never_compared, entry.differing)),
            style="red" if entry.differing else None,
        )
    return table


def _when(at: datetime | None) -> str:
    return "never" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
