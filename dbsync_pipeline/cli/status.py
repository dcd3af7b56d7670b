"""`dbsync status`: what waits, for how long, and what fails."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Group
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dbsync_pipeline.cli.output import console, errors
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import MOST_FAILING_LISTED, DestinationStatus, MappingStatus, Status, read_status


def status(
    tenancy: Annotated[str | None, typer.Option(help="Only this tenancy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Show it again every so many seconds until Ctrl-C.")
    ] = None,
) -> None:
    """Show, per mapping and kind of copy, what waits for the sequencer and for delivery, the lag, and errors.

    External databases are summed up per mapping; those that fail are listed below.
    """
    pipeline = Pipeline(load_settings())

    def look() -> Status:
        with pipeline.source("status") as connection:
            return read_status(connection, pipeline.catalog, pipeline.columns, tenancy=tenancy)

    if watch is not None:
        _watch(look, watch, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(asdict(look()), indent=2, default=str))
    else:
        console.print(_shown(look()), soft_wrap=True)


def next_attempt(at: datetime | None) -> str:
    """Return in how long something is tried again."""
    seconds = 0.0 if at is None else (at - datetime.now(UTC)).total_seconds()
    return f"in {seconds:.0f} s" if seconds >= 1 else "now"


def _watch(look: Callable[[], Status], seconds: float, *, as_json: bool) -> None:
    """Show the state until interrupted: in place on a terminal, one after the other elsewhere."""
    numbered = _Rate()
    in_place = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False, vertical_overflow="visible") if in_place else None
    with live or nullcontext():
        while True:
            try:
                found = look()
            except UnreachableError as error:
                # Whoever watches wants to see it come back.
                errors.print(str(error), style="red", markup=False, soft_wrap=True)
            else:
                if as_json:
                    typer.echo(json.dumps(asdict(found), default=str))
                elif live is None:
                    console.print(_shown(found), numbered.line(found), soft_wrap=True)
                else:
                    live.update(Group(_shown(found), numbered.line(found)), refresh=True)
            time.sleep(seconds)


class _Rate:
    """How fast changes are numbered, from one look to the next: a sequence id is a row or a tombstone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, int] | None = None

    def line(self, found: Status) -> str:
        now, before = self._clock(), self._before
        self._before = now, found.sequence_id
        if before is None:
            return ""
        return f"Numbered since the last look: {(found.sequence_id - before[1]) / (now - before[0]):,.0f} rows/s."


def _shown(found: Status) -> Group:
    sizes = ", ".join(f"{entry.table_name} {entry.rows:,} rows, {decimal(entry.bytes)}" for entry in found.sizes)
    lines = [Text(f"In the source: {sizes}.")]
    waiting = [entry for entry in found.mappings if entry.oldest_tenancy is not None]
    if waiting:
        oldest = max(waiting, key=lambda entry: entry.lag_seconds)
        lines.append(
            Text(
                f"{oldest.mapping_id} in {oldest.kind} has waited longest, {oldest.lag_seconds:.1f} s: "
                f"tenancy {oldest.oldest_tenancy}."
            )
        )
    if found.numbering_paused:
        lines.append(Text("The sequencer is paused.", style="yellow"))
    lines += [Text(f"Delivery is paused: {part}.", style="yellow") for part in found.pauses]
    lines += [
        Text(_failing_mapping(entry), style="red")
        for entry in found.mappings
        if entry.last_error is not None and entry.kind == "clickhouse"
    ]
    lines += [Text(_failing_line(failing), style="red") for failing in found.failing]
    if len(found.failing) == MOST_FAILING_LISTED:
        lines.append(Text(f"These {MOST_FAILING_LISTED} have waited longest; there may be more.", style="red"))
    return Group(_mapping_table(found.mappings), *lines)


def _mapping_table(found: list[MappingStatus]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", no_wrap=True)
    for name in ("places", "to number", "to deliver", "pending", "claimed", "lag", "failing", "paused"):
        table.add_column(name, justify="right")
    for entry in found:
        table.add_row(
            entry.mapping_id,
            entry.kind,
            f"{entry.destinations:,}",
            f"{entry.waiting_for_sequencer:,}{'+' * entry.more_to_number}",
            f"{entry.waiting_for_delivery:,}{'+' * entry.more_to_deliver}",
            f"{entry.pending:,}",
            f"{entry.claimed:,}",
            f"{entry.lag_seconds:.1f} s",
            f"{entry.failing:,}",
            f"{entry.paused:,}",
            style="red" if entry.failing else None,
        )
    return table


def _failing_mapping(found: MappingStatus) -> str:
    return f"{found.last_error} (attempt {found.attempts}, next {next_attempt(found.next_attempt_at)})"


def _failing_line(found: DestinationStatus) -> str:
    return (
        f"{found.destination_id}: {len(found.failing)} of {found.pending} pending mappings failed, "
        f"attempt {found.attempts}, next {next_attempt(found.next_attempt_at)}: {found.last_error}"
    )
