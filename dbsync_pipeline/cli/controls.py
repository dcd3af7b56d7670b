"""`dbsync pause`, `resume`, `retry` and `resync`: stops work, lets it go on, has it tried at once or done again."""

from typing import Annotated

import typer

from dbsync_pipeline import controls
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.controls import Controlled, Part
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings

_Sequencer = Annotated[bool, typer.Option("--sequencer", help="The numbering of changes.")]
_Sync = Annotated[bool, typer.Option("--sync", help="All delivery, to every destination.")]
_Tenancy = Annotated[str | None, typer.Option(help="Delivery of this tenancy.")]
_Mapping = Annotated[str | None, typer.Option(help="Delivery of this mapping.")]
_Destination = Annotated[
    str | None, typer.Option(help="Delivery to this destination: clickhouse, or the id of an external database.")
]


def pause(
    sequencer: _Sequencer = False,
    sync: _Sync = False,
    tenancy: _Tenancy = None,
    mapping: _Mapping = None,
    destination: _Destination = None,
) -> None:
    """Stop numbering, all delivery, or delivery of what tenancy, mapping and destination together name.

    It holds until `dbsync resume` with the same options, also for what comes to be pending later. A batch under way is
    finished. Nothing is lost: changes wait.
    """
    pipeline = Pipeline(load_settings())
    part = controls.chosen(sync=sync, part=Part(tenancy, mapping, destination), sequencer=sequencer)
    with pipeline.source("pause") as connection:
        _say("stopped", controls.pause(connection, pipeline.catalog, part, sequencer=sequencer))


def resume(
    sequencer: _Sequencer = False,
    sync: _Sync = False,
    tenancy: _Tenancy = None,
    mapping: _Mapping = None,
    destination: _Destination = None,
) -> None:
    """End the pause that was begun with the same options; what stays paused by another one is named."""
    pipeline = Pipeline(load_settings())
    part = controls.chosen(sync=sync, part=Part(tenancy, mapping, destination), sequencer=sequencer)
    with pipeline.source("resume") as connection:
        _say("may go on", controls.resume(connection, pipeline.catalog, part, sequencer=sequencer))


def retry(tenancy: _Tenancy = None, mapping: _Mapping = None, destination: _Destination = None) -> None:
    """Have what rests after a failure tried at once by the workers that are running; all of it, or a part."""
    pipeline = Pipeline(load_settings())
    with pipeline.source("retry") as connection:
        pairs = controls.retry(connection, pipeline.catalog, Part(tenancy, mapping, destination))
    console.print(f"Due at once: {pairs:,} pairs of tenancy and mapping.")


def resync(
    tenancy: Annotated[str | None, typer.Option(help="Only this tenancy.")] = None,
    mapping: Annotated[str | None, typer.Option(help="Only this mapping.")] = None,
    destination: Annotated[
        str | None, typer.Option(help="Only there: clickhouse, or the id of an external database.")
    ] = None,
) -> None:
    """Have everything of a tenancy, or of a mapping, delivered again, over what is there.

    Workers do so, or `dbsync sync`. Rows that should not be there are not removed: `dbsync verify --repair` does that.
    """
    pipeline = Pipeline(load_settings())
    with pipeline.source("resync") as connection:
        pairs = controls.resync(connection, pipeline.catalog, Part(tenancy, mapping, destination))
    console.print(f"To be delivered again: {pairs:,} tables of tenancies in their copies.")


def _say(happened: str, outcome: Controlled) -> None:
    console.print(f"{outcome.pairs:,} pairs of tenancy and mapping {happened}.")
    paused = "; ".join(outcome.paused) or "nothing"
    console.print(f"Paused now: {paused}.", markup=False, soft_wrap=True)
