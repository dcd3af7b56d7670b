"""`dbsync purge` and `dbsync erase`: remove what everybody has had, and what nobody may have any more."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.filesize import decimal
from rich.table import Table

from dbsync_pipeline import cleanup, erasure, retention
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def purge() -> None:
    """Remove the tombstones that every copy has got and that are older than DBSYNC_TOMBSTONE_RETENTION_DAYS.

    Deleted rows that have been in ClickHouse for as long go, too, from tables where they are a tenth of the rows.
    """
    pipeline = Pipeline(load_settings())
    days = pipeline.settings.tombstone_retention_days
    with pipeline.source("purge") as connection:
        done = retention.purge(connection, pipeline.catalog, days=days)
    console.print(f"Removed {done.tombstones:,} tombstones; their table takes {decimal(done.left.bytes)}.")
    cleaned = cleanup.clean_up(pipeline, days=days)
    console.print(f"Removed {cleaned.rows:,} deleted rows from ClickHouse.")
    for reason in cleaned.left:
        console.print(f"Left for the next time: {reason}.", markup=False, soft_wrap=True)


def erase(tenancy: Annotated[str, typer.Option(help="Whom to erase: one that the application has deleted.")]) -> None:
    """Remove all that is kept of a deleted tenancy, for good, and count what is left.

    Every version of its rows and its checkpoints go from ClickHouse, its entries from the source, and from its own
    databases what DBSYNC_ERASE_EXTERNAL says. What was done before is not done twice.
    """
    done = erasure.erase(Pipeline(load_settings()), tenancy)
    table = Table(box=SIMPLE)
    table.add_column("place", no_wrap=True)
    table.add_column("table", no_wrap=True)
    table.add_column("before", justify="right")
    table.add_column("now", justify="right")
    for entry in done.tables:
        table.add_row(entry.destination_id, entry.table, f"{entry.before:,}", f"{entry.after:,}")
    console.print(table)
    for destination_id in done.kept:
        console.print(f"{destination_id} is left as it is, and forgotten.", markup=False, soft_wrap=True)
    done.require_complete()
