"""What one could do to fill a customer's Postgres without any pipeline: the naive way, and the least there is to do.

The bare ways know nothing of tenancies, cannot resume, and leave no trace of how far they came. They tell how much of a
load's time is PostgreSQL's own: one COPY of everything into another into a table without a key, which is built at the
end; and for changed rows, the upsert alone, of rows that are there already.
"""

import time
from itertools import islice

import psycopg
from psycopg import sql

from benchmarks.external_place import VIEW, Place, make_tables, projection, readable
from benchmarks.first_load import live_rows
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE
from dbsync_pipeline.engine.snapshot import take_snapshot

_KEY = ("tenancy_id", "id")


def statement_per_row(place: Place, rows: int, above: int = 0) -> float:
    """Write so many rows, one by one, and return the seconds that took."""
    names = [entry.name for entry in readable(place.pipeline)]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    read = sql.SQL("select {} from {} where {} > {}").format(
        columns, sql.Identifier("public", VIEW), sql.Identifier(SEQUENCE), sql.Literal(above)
    )
    write = sql.SQL(
        "insert into {table} as target ({columns}) values ({values}) on conflict (tenancy_id, id) do update "
        "set {changes} where target.{sequence} < excluded.{sequence}"
    ).format(
        table=place.table,
        columns=columns,
        values=sql.SQL(", ").join(sql.Placeholder() for _ in names),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names if name not in _KEY
        ),
        sequence=sql.Identifier(SEQUENCE),
    )
    started = time.perf_counter()
    with (
        psycopg.connect(place.source_url) as reading,
        psycopg.connect(place.target_url, autocommit=True) as writing,
        reading.cursor("rows") as cursor,
        writing.cursor() as writer,
    ):
        cursor.itersize = 1_000
        for row in islice(cursor.execute(read), rows):
            writer.execute(write, row, prepare=True)
        return time.perf_counter() - started


def bare_pipe(place: Place) -> float:
    """Fill our table, made before, by one COPY from the source, build its key, and return the seconds that took."""
    make_tables(place)
    everything = sql.SQL("copy ({}) to stdout (format binary)").format(
        live_rows(place.pipeline, place.mapping, projection(place.pipeline))
    )
    tables = place.pipeline.external_tables
    with (
        place.pipeline.source("bench") as reading,
        psycopg.connect(place.target_url, autocommit=True) as writing,
    ):
        tables.drop_key(writing, place.mapping)
        started = time.perf_counter()
        _carry(reading, everything, writing, place.pipeline.external_merges.of(place.mapping).fill)
        tables.add_key(writing, place.mapping)
        return time.perf_counter() - started


def bare_upsert(place: Place, *, above: int) -> float:
    """Write what is newer than a sequence id into our table, from a table beside it; return the seconds that took."""
    changed = sql.SQL("copy (select * from ({}) as changed where {} > {}) to stdout (format binary)").format(
        live_rows(place.pipeline, place.mapping, projection(place.pipeline)),
        sql.Identifier(SEQUENCE),
        sql.Literal(above),
    )
    statements = place.pipeline.external_merges.of(place.mapping)
    with place.pipeline.source("bench") as reading, psycopg.connect(place.target_url) as writing:
        writing.execute(statements.make_stage)
        _carry(reading, changed, writing, statements.copy)
        started = time.perf_counter()
        writing.execute(statements.write)
        writing.commit()
        return time.perf_counter() - started


def _carry(reading: psycopg.Connection, query: sql.Composed, writing: psycopg.Connection, take: sql.Composed) -> None:
    """Give what one COPY yields to another."""
    with (
        take_snapshot(reading) as snapshot,
        snapshot.copy(query) as blocks,
        writing.cursor() as cursor,
        cursor.copy(take) as copy,
    ):
        for block in blocks:
            copy.write(block)
