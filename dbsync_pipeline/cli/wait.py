"""`dbsync wait`: returns when copies hold what a tenancy wrote."""

from typing import Annotated

import typer

from dbsync_pipeline.cli.output import console, errors
from dbsync_pipeline.completeness import wait_until
from dbsync_pipeline.mappings.installed import require_installed
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def wait(
    tenancy: Annotated[str, typer.Option(help="Whose changes to wait for.")],
    sequence: Annotated[
        str, typer.Option(help="Up to which sequence id; `now` means everything committed by now.")
    ] = "now",
    destination: Annotated[
        str | None, typer.Option(help="Only there: clickhouse, or the id of an external database.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait at most.")] = 60.0,
) -> None:
    """Wait until a tenancy's copies hold everything up to a point; does nothing to bring that about.

    Prints the sequence id up to which they do. Exits with 9 when they do not in time; what holds them up is named.
    """
    if sequence != "now" and not sequence.isdigit():
        raise typer.BadParameter("it is a sequence id, or `now`", param_hint="--sequence")
    pipeline = Pipeline(load_settings())
    with pipeline.source("wait") as connection, errors.status("waiting"):
        require_installed(connection, pipeline.catalog)
        complete = wait_until(
            connection,
            pipeline.catalog,
            pipeline.columns,
            tenancy,
            sequence_id=None if sequence == "now" else int(sequence),
            destination_id=destination,
            timeout_seconds=timeout,
        )
    console.print(complete)
