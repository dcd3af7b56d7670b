"""`dbsync purge`: removes what everybody has had."""

from rich.filesize import decimal

from dbsync_pipeline import retention
from dbsync_pipeline.cli.output import console
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.settings import load_settings


def purge() -> None:
    """Remove the tombstones that every copy has got and that are older than DBSYNC_TOMBSTONE_RETENTION_DAYS."""
    pipeline = Pipeline(load_settings())
    with pipeline.source("purge") as connection:
        done = retention.purge(connection, pipeline.catalog, days=pipeline.settings.tombstone_retention_days)
    console.print(f"Removed {done.tombstones:,} tombstones; their table takes {decimal(done.left.bytes)}.")
