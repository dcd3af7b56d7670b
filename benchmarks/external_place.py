"""One tenancy with many users, and the Postgres that its owner configured: what loads of it are measured on.

Every row is numbered already; source and target are databases of one server, with commits that survive a crash.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import psycopg
from psycopg import sql

from benchmarks.bench import Bench, generated_source, number_all, settle
from benchmarks.first_load import live_rows
from benchmarks.worker import in_new_process, peak_memory
from dbsync_pipeline.demo.generator import DemoSize
from dbsync_pipeline.destinations.base import ProjectedColumn
from dbsync_pipeline.destinations.configured import databases_of
from dbsync_pipeline.destinations.postgres.destination import PostgresDestination
from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.destinations.postgres.tables import SEQUENCE
from dbsync_pipeline.engine.cycle import Selection, SyncResult
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pipeline import Pipeline

_USERS = 1_000_000
_CHANGED_PER_HUNDRED = 10
_MAPPING = "users"
_SOURCE = "bench_external_source"
TARGET = "bench_external_target"

VIEW = "bench_users"
"""What the rivals read, in the source."""


@dataclass(frozen=True)
class Load:
    """What arrived, how long that took, and the most memory of the process that did it, where that was looked at."""

    rows: int
    seconds: float
    megabytes: float = 0.0

    @property
    def rows_per_second(self) -> float:
        """Its speed."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Place:
    """A source with one large tenancy, and the target that its owner configured."""

    bench: Bench
    pipeline: Pipeline
    destination_id: str
    users: int

    @property
    def source_url(self) -> str:
        """URL of the source."""
        return self.bench.postgres.url(_SOURCE)

    @property
    def target_url(self) -> str:
        """URL of the target."""
        return self.bench.postgres.url(TARGET)

    @property
    def mapping(self) -> SyncMapping:
        """The mapping of the users."""
        return self.pipeline.catalog.mapping(_MAPPING)

    @property
    def table(self) -> sql.Identifier:
        """Our table in the target."""
        return self.pipeline.external_tables.table(self.mapping)

    def drop(self, *names: str) -> None:
        """Remove the source, the target, and other databases made meanwhile."""
        self.bench.drop(_SOURCE, TARGET, *names)


def prepared(bench: Bench) -> Place:
    """Make the source, number it, and configure the target, which is not made."""
    users = bench.scaled(_USERS, at_least=1_000)
    bench.say(f"external Postgres: a tenancy of {users:,} users, every row numbered")
    url = generated_source(bench, _SOURCE, DemoSize(tenancies=1, users=users, users_only=True))
    pipeline = bench.pipeline(url)
    with pipeline.source("bench") as connection:
        connection.execute(
            "insert into dbsync.destination (tenancy_id, name, connection, mappings) "
            """select "id", 'bench', %s, %s from "Tenancy" """,
            [bench.postgres.url(TARGET), [_MAPPING]],
        )
        (database,) = databases_of(connection)
        number_all(pipeline)
        rows = live_rows(pipeline, pipeline.catalog.mapping(_MAPPING), readable(pipeline))
        connection.execute(sql.SQL("create view {} as {}").format(sql.Identifier("public", VIEW), rows))
    settle(url)
    return Place(bench, pipeline, database.destination_id, users)


def projection(pipeline: Pipeline) -> Sequence[ProjectedColumn]:
    """Return the columns of our copy, as they are read from the source."""
    destination = PostgresDestination(
        "",
        lambda: None,
        KeptSessions(pipeline.external_session, most=0, idle_seconds=0),
        pipeline.catalog,
        pipeline.external_merges,
        begin_again=lambda _mappings: None,
    )
    return destination.projection(pipeline.catalog.mapping(_MAPPING))


def readable(pipeline: Pipeline) -> list[ProjectedColumn]:
    """Return the same with documents as text: dlt asks for that, and its driver cannot read all of them."""
    columns = pipeline.catalog.mapping(_MAPPING).columns_for("postgres")
    documents = {entry.name for entry in columns if entry.data_type.postgres == "jsonb"}
    return [
        replace(entry, live=f"({entry.live})::text") if entry.name in documents else entry
        for entry in projection(pipeline)
    ]


def make_tables(place: Place) -> None:
    """Make our tables in the target, and nothing else."""
    with place.pipeline.source("bench") as connection:
        (database,) = databases_of(connection)
    place.pipeline.inspect_external(replace(database, mappings=[_MAPPING]), prepare=True)


def deliver(place: Place) -> Load:
    """Deliver all there is, as if the source did not know how far the target is."""
    with place.pipeline.source("bench") as connection:
        connection.execute("update dbsync.pending set reached = default, claims = default")
    seconds, megabytes = in_new_process(_work, place.pipeline, place.destination_id)
    return Load(0, seconds, megabytes)


def _work(pipeline: Pipeline, destination_id: str) -> tuple[float, float]:
    results: list[SyncResult] = []
    started = time.perf_counter()
    with pipeline.external_worker(destination_id, Selection(mappings=[_MAPPING])) as worker:
        worker.run(stop=Event(), max_seconds=float("inf"), idle_seconds=0, report=results.extend)
        seconds = time.perf_counter() - started
    errors = {result.delivery.error for result in results} - {None}
    if errors:
        raise AssertionError(f"the worker failed: {errors}")
    return seconds, peak_memory()


def change(place: Place) -> int:
    """Change some users, number them, and return how many."""
    with place.pipeline.source("bench") as connection:
        changed = connection.execute(
            """update "ProjectUser" set "displayName" = 'Changed' where hashtext("projectUserId"::text) %% 100 """
            "between 0 and %s",
            # Half of all hashes are negative, and so are their remainders.
            [2 * _CHANGED_PER_HUNDRED - 1],
        ).rowcount
    number_all(place.pipeline)
    settle(place.source_url)
    return changed


def highest_sequence(place: Place) -> int:
    """Return the last sequence id there is."""
    with place.pipeline.source("bench") as connection:
        row = connection.execute("select last_sequence_id from dbsync.sequencer").fetchone()
    assert row is not None
    return row[0]


def keep(place: Place, name: str) -> None:
    """Keep the target under another name, as if it had been idle for long."""
    settle(place.target_url)
    place.bench.database(name, template=TARGET)


def counted(place: Place, table: sql.Identifier, *, above: int) -> int:
    """Return how many rows of a table in the target are newer than a sequence id."""
    with psycopg.connect(place.target_url) as connection:
        query = sql.SQL("select count(*) from {} where {} > %s").format(table, sql.Identifier(SEQUENCE))
        row = connection.execute(query, [above]).fetchone()
    assert row is not None
    return row[0]


def expect_rows(loads: list[Load], rows: int) -> None:
    """A load that left rows behind counts for nothing."""
    if {load.rows for load in loads} != {rows}:
        raise AssertionError(f"{rows} rows should have arrived, not {loads}")
