"""Loads one table by dlt's pyarrow backend; runs in the rivals' environment and prints the seconds that took.

Arguments: a directory for dlt's own files, the target's schema, the table, and for an incremental load its key and its
cursor column. CSV is what dlt's documentation names for loading arrow tables into Postgres fast.
"""

import os
import sys
import time

import dlt
from dlt.sources.sql_database import sql_table


def main(home: str, schema: str, table: str, key: str | None = None, cursor: str | None = None) -> None:
    """Load it whole, or merge what is new by its cursor."""
    started = time.perf_counter()
    rows = sql_table(
        credentials=os.environ["BENCH_SOURCE"].replace("postgresql://", "postgresql+psycopg2://"),
        schema="public",
        table=table,
        backend="pyarrow",
        primary_key=key,
        incremental=None if cursor is None else dlt.sources.incremental(cursor),
    )
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(os.environ["BENCH_TARGET"]),
        dataset_name=schema,
        pipelines_dir=home,
    )
    disposition = "replace" if cursor is None else "merge"
    pipeline.run(rows, table_name=table, write_disposition=disposition, loader_file_format="csv").raise_on_failed_jobs()
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
