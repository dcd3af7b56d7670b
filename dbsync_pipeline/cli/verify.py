"""`dbsync verify`: compares every copy with the source, and repairs what differs."""

import json
import time
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from dbsync_pipeline.cli.output import console, errors, progress_bar, wide
from dbsync_pipeline.cli.sync import drain
from dbsync_pipeline.cli.verified import show_last
from dbsync_pipeline.destinations.configured import require_tenancies
from dbsync_pipeline.engine.cycle import Selection
from dbsync_pipeline.errors import DifferenceError, UnreachableError
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings
from dbsync_pipeline.verify.differences import BY_HAND, Difference, Verified
from dbsync_pipeline.verify.rounds import Choice
from dbsync_pipeline.verify.rounds import verify as verify_copies
from dbsync_pipeline.verify.scope import Scope, Share

_KEYS_SHOWN = 20
_WIDTH = 300
"""Characters that a row that differs needs: ids of its copy and tenancy, its key, columns."""

_DAY_SECONDS = 86_400


def verify(  # noqa: PLR0917 -- typer gives them by name
    tenancy: Annotated[list[str] | None, typer.Option(help="Only this tenancy; may be repeated.")] = None,
    mapping: Annotated[list[str] | None, typer.Option(help="Only this mapping; may be repeated.")] = None,
    destination: Annotated[
        list[str] | None,
        typer.Option(help="Only this destination: clickhouse, or the id of an external database; may be repeated."),
    ] = None,
    sample: Annotated[
        float | None,
        typer.Option(min=0.0001, max=1, help="Only this share of the tenancies, another one each day."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Deliver what differs again, and compare once more.")
    ] = False,
    last: Annotated[
        bool, typer.Option("--last", help="Show what the last comparison of each tenancy came to; compare nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array instead of tables.")] = False,
) -> None:
    """Compare the copies with the source, while both are being written, and name what differs.

    What came of it is recorded for each tenancy; --last shows that.

    Exits with 7 when something does; with --repair, when something still does after it was delivered again. Else with
    3 when a destination could not be looked at.
    """
    if last and (repair or sample is not None):
        raise typer.BadParameter("--last compares nothing, so that there is nothing to repair or to sample")
    pipeline = Pipeline(load_settings())
    with pipeline.source("verify") as connection:
        require_installed(connection, pipeline.catalog)
        require_tenancies(connection, tenancy or [])
        if last:
            show_last(connection, pipeline.catalog.select(mapping or ()), tenancy, destination, as_json=as_json)
            return
    share = None if sample is None or tenancy else Share.nth(sample, int(time.time() // _DAY_SECONDS))
    choice = Choice(Scope(tuple(tenancy) if tenancy else None, share), mapping, destination)
    found = _compare(pipeline, choice, repair=repair)
    if repair and any(entry.differing for entry in found):
        if not as_json:
            _show(found, as_json=False)
        drained = drain(pipeline, Selection(tenancy or None, mapping), destination)
        for failure in drained.failures:
            errors.print(failure, style="red", markup=False)
        found = _compare(pipeline, choice, repair=False)
    _show(found, as_json=as_json)
    _judge(found, repaired=repair)


def _compare(pipeline: Pipeline, choice: Choice, *, repair: bool) -> list[Verified]:
    with progress_bar() as progress:
        task = progress.add_task("comparing", total=None)
        found: list[Verified] = []
        for entry in verify_copies(
            pipeline, choice, repair=repair, expect=lambda count: progress.update(task, total=count)
        ):
            found.append(entry)
            progress.advance(task)
        return found


def _judge(found: list[Verified], *, repaired: bool) -> None:
    differing = [entry for entry in found if entry.differing]
    if differing:
        rows = sum(entry.differing for entry in differing)
        mappings = ", ".join(dict.fromkeys(entry.mapping_id for entry in differing))
        raise DifferenceError(
            f"{rows} rows differ{' after the repair' if repaired else ''}: {mappings}",
            _mend([difference for entry in differing for difference in entry.differences], repaired=repaired),
        )
    failed = [entry for entry in found if entry.error]
    if failed:
        raise UnreachableError(f"{len(failed)} of {len(found)} comparisons were not possible: {failed[0].error}")


def _mend(differences: list[Difference], *, repaired: bool) -> str:
    said: list[str] = []
    if any(difference.repairable for difference in differences):
        again = "`dbsync verify --repair` delivers them again."
        said.append("`dbsync status` shows what is not delivered." if repaired else again)
    if not all(difference.repairable for difference in differences):
        said.append(BY_HAND)
    return " ".join(said)


def _show(found: list[Verified], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([entry.document() for entry in found], indent=2))
        return
    wide(_WIDTH).print(_table(found))
    differences = [(entry, difference) for entry in found for difference in entry.differences]
    if differences:
        table = Table(title="rows that differ", title_justify="left", box=SIMPLE, style="red")
        for name in ("mapping", "copy", "what", "tenancy", "key", "columns"):
            table.add_column(name, overflow="fold")
        for entry, difference in differences[:_KEYS_SHOWN]:
            cells = (
                entry.mapping_id,
                entry.destination_id,
                difference.kind,
                difference.tenancy,
                ", ".join(f"{name}={value}" for name, value in difference.key.items()),
                ", ".join(difference.columns),
            )
            table.add_row(*(cell.replace("[", "\\[") for cell in cells))
        wide(_WIDTH).print(table)
        more = sum(entry.differing for entry in found) - _KEYS_SHOWN
        if more > 0:
            console.print(f"... and {more} more.")


def _table(found: list[Verified]) -> Table:
    table = Table(box=SIMPLE)
    table.add_column("mapping", no_wrap=True)
    table.add_column("copy", overflow="fold")
    for name in ("source", "there", "differing", "on their way"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not compared", overflow="fold")
    for entry in found:
        table.add_row(
            entry.mapping_id,
            entry.destination_id,
            f"{entry.source_rows:,}",
            f"{entry.destination_rows:,}",
            f"{entry.differing:,}",
            f"{entry.waiting:,}",
            (entry.error or "").replace("[", "\\["),
            style="red" if entry.differing or entry.error else None,
        )
    return table
