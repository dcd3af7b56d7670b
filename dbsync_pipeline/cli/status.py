"""`dbsync status`: what waits, for how long, and what fails."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Group
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dbsync_pipeline.cli.output import console, errors, wide
from dbsync_pipeline.destinations.clickhouse.sizes import LONGEST_LOOK_SECONDS, StoredTable, read_stored
from dbsync_pipeline.errors import DbsyncError, UnreachableError
from dbsync_pipeline.pending.tally import Delivered
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.status import MOST_FAILING_LISTED, DestinationStatus, MappingStatus, Status, read_status

_NUMBERS = ("places", "to number", "to deliver", "pending", "claimed", "lag", "failing", "paused", "delivered", "last")
_MOST_URGENT = ("to number", "to deliver", "lag", "failing")
_WIDTH = 150
"""Characters that all numbers need. What is printed once is as wide, and wrapped by the terminal at worst; in place,
the most urgent numbers alone are shown where the terminal is narrower."""


def status(
    tenancy: Annotated[str | None, typer.Option(help="Only this tenancy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Show it again every so many seconds until Ctrl-C.")
    ] = None,
) -> None:
    """Show, per mapping and kind of copy, what waits for the sequencer and for delivery, the lag, errors, deliveries.

    External databases are summed up per mapping; those that fail are listed below.
    """
    pipeline = Pipeline(load_settings())

    def look() -> _Look:
        with pipeline.source("status") as connection:
            found = read_status(connection, pipeline.catalog, pipeline.columns, tenancy=tenancy)
        return _Look(found, _stored(pipeline))

    if watch is not None:
        _watch(look, watch, as_json=as_json)
    elif as_json:
        typer.echo(look().json(indent=2))
    else:
        wide(_WIDTH).print(_shown(look()), soft_wrap=True)


def next_attempt(at: datetime | None) -> str:
    """Return in how long something is tried again."""
    seconds = 0.0 if at is None else (at - datetime.now(UTC)).total_seconds()
    return f"in {seconds:.0f} s" if seconds >= 1 else "now"


@dataclass(frozen=True)
class _Stored:
    """What the copies in ClickHouse take, or why that is not known: the state of the copies is the source's to say."""

    tables: list[StoredTable]
    error: str | None = None


@dataclass(frozen=True)
class _Look:
    """All that is shown."""

    status: Status
    clickhouse: _Stored

    def json(self, *, indent: int | None = None) -> str:
        return json.dumps({**asdict(self.status), "clickhouse": asdict(self.clickhouse)}, indent=indent, default=str)


def _stored(pipeline: Pipeline) -> _Stored:
    try:
        with pipeline.clickhouse(answer_seconds=LONGEST_LOOK_SECONDS) as clickhouse:
            return _Stored(read_stored(clickhouse, pipeline.catalog, pipeline.clickhouse_names))
    except DbsyncError as error:
        return _Stored([], error.what)


def _watch(look: Callable[[], _Look], seconds: float, *, as_json: bool) -> None:
    """Show the state until interrupted: in place on a terminal, one after the other elsewhere."""
    rates = _Rates()
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
                    typer.echo(found.json())
                elif live is None:
                    wide(_WIDTH).print(_shown(found), rates.lines(found.status), soft_wrap=True)
                else:
                    numbers = _NUMBERS if console.width >= _WIDTH else _MOST_URGENT
                    live.update(Group(_shown(found, numbers), rates.lines(found.status)), refresh=True)
            time.sleep(seconds)


class _Rates:
    """How fast changes are numbered and delivered, from one look to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, dict[tuple[str, str], int]] | None = None

    def lines(self, found: Status) -> str:
        # A sequence id is a row or a tombstone, which each copy gets. Nobody counts deliveries by tenancy.
        counts = {("Numbered", ""): found.sequence_id}
        for entry in found.mappings:
            if entry.delivered is not None:
                counts[f"Delivered to {entry.kind}", entry.mapping_id] = entry.delivered.rows
        now, before = self._clock(), self._before
        self._before = now, counts
        if before is None:
            return ""
        rows = Counter[str]()
        for (name, mapping_id), count in counts.items():
            # A mapping that somebody has begun to receive counts from the next look on.
            rows[name] += count - before[1].get((name, mapping_id), count)
        return "\n".join(
            f"{name} since the last look: {count / (now - before[0]):,.0f} rows/s." for name, count in rows.items()
        )


def _shown(look: _Look, numbers: Sequence[str] = _NUMBERS) -> Group:
    found = look.status
    sizes = ", ".join(f"{entry.table_name} {entry.rows:,} rows, {decimal(entry.bytes)}" for entry in found.sizes)
    lines = [Text(f"In the source: {sizes}."), _stored_line(look.clickhouse)]
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
    return Group(_mapping_table(found.mappings, numbers), *lines)


def _stored_line(found: _Stored) -> Text:
    if found.error is not None:
        return Text(f"What is in ClickHouse is not known: {found.error}", style="yellow")
    sizes = ", ".join(
        f"{entry.mapping_id} {entry.rows:,} rows, {decimal(entry.bytes)}" for entry in found.tables if entry.rows
    )
    return Text(f"In ClickHouse, with former versions: {sizes or 'nothing'}.")


def _mapping_table(found: list[MappingStatus], numbers: Sequence[str]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for entry in found:
        delivered, last = _delivered(entry.delivered)
        cells = (
            f"{entry.destinations:,}",
            f"{entry.waiting_for_sequencer:,}{'+' * entry.more_to_number}",
            f"{entry.waiting_for_delivery:,}{'+' * entry.more_to_deliver}",
            f"{entry.pending:,}",
            f"{entry.claimed:,}",
            f"{entry.lag_seconds:.1f} s",
            f"{entry.failing:,}",
            f"{entry.paused:,}",
            delivered,
            last,
        )
        shown: dict[str, str] = dict(zip(_NUMBERS, cells, strict=True))
        style = "red" if entry.failing else None
        table.add_row(entry.mapping_id, entry.kind, *(shown[name] for name in numbers), style=style)
    return table


def _delivered(found: Delivered | None) -> tuple[str, str]:
    """Return how much has been, and how long ago the last of it was."""
    if found is None:
        return "", ""
    return f"{found.rows:,}", "" if found.last_at is None else f"{_since(found.last_at)} ago"


def _since(at: datetime) -> str:
    seconds = max(0.0, (datetime.now(UTC) - at).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _failing_mapping(found: MappingStatus) -> str:
    return f"{found.last_error} (attempt {found.attempts}, next {next_attempt(found.next_attempt_at)})"


def _failing_line(found: DestinationStatus) -> str:
    return (
        f"{found.destination_id}: {len(found.failing)} of {found.pending} pending mappings failed, "
        f"attempt {found.attempts}, next {next_attempt(found.next_attempt_at)}: {found.last_error}"
    )
