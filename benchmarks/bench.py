"""What a benchmark gets to work with: the services, how large to be, and databases of its own.

The services are the embedded ones with commits that survive a crash, so that both sides of a comparison pay for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import psycopg
from psycopg import sql
from pydantic import SecretStr

from dbsync_pipeline import source
from dbsync_pipeline.capture import install
from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.destinations.clickhouse import tables
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.pipeline import Pipeline
from dbsync_pipeline.sequencer.sequencer import PassResult
from dbsync_pipeline.settings import Settings


@dataclass(frozen=True)
class Bench:
    """The place of all measurements of one invocation.

    Attributes:
        scale: 1 for the sizes that count; less for a quick look.
        say: tells what is going on.
        pictures: the directory that pictures are written to; none are drawn without it.
    """

    postgres: EmbeddedPostgres
    clickhouse_url: str
    scale: float
    say: Callable[[str], None]
    pictures: Path | None = None

    def scaled(self, number: float, *, at_least: int = 1) -> int:
        """Return a number of rows or seconds for this scale."""
        return max(at_least, round(number * self.scale))

    @property
    def rounds(self) -> int:
        """How often each side of a comparison is measured."""
        # Below that nobody looks at the numbers, and above it at memory, which does not vary.
        return 3 if 0.02 <= self.scale <= 1 else 1  # noqa: PLR2004

    def database(self, name: str, *, template: str = "template1") -> str:
        """Create a database anew, as a copy of `template`, and return its URL."""
        self.drop(name)
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {} strategy file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.postgres.url(name)

    def drop(self, *names: str) -> None:
        """Remove databases and whoever is connected to them."""
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def pipeline(self, source_url: str, clickhouse_database: str = "bench") -> Pipeline:
        """Return the deployment that a source database and a ClickHouse database make."""
        return Pipeline(
            Settings(
                source_url=SecretStr(source_url),
                clickhouse_url=SecretStr(self.clickhouse_url),
                clickhouse_database=clickhouse_database,
                # Everything here is on loopback.
                external_private_addresses=True,
            )
        )


def install_source(pipeline: Pipeline) -> None:
    """Do what `dbsync init` does to a source."""
    with pipeline.source("init") as connection:
        steps = install.plan(connection, pipeline.catalog, pipeline.columns)
        install.apply(connection, steps, lambda _step: None)


def number_all(pipeline: Pipeline) -> None:
    """Number everything that waits for it."""
    with pipeline.sequencer() as sequencer:
        sequencer.run(stop=Event(), max_seconds=float("inf"), idle_seconds=0, report=expect_no_errors)


def expect_no_errors(result: PassResult) -> None:
    """A benchmark measures nothing once a table cannot be numbered."""
    if result.errors:
        raise AssertionError(f"the sequencer failed: {result.errors}")


def generated_source(bench: Bench, name: str, size: DemoSize) -> str:
    """Make a database with generated tenancies and all sync objects, nothing of it numbered; return its URL."""
    url = bench.database(name)
    with source.session(url) as connection:
        create_schema(connection)
        generate(connection, size)
    install_source(bench.pipeline(url))
    return url


def install_clickhouse(pipeline: Pipeline) -> None:
    """Do what `dbsync init` does to ClickHouse, in an empty database."""
    with pipeline.clickhouse() as clickhouse:
        names = pipeline.clickhouse_names
        for database in (names.database, names.internal):
            clickhouse.execute(f"drop database if exists {tables.name(database)} sync")
        for step in tables.plan(clickhouse, pipeline.catalog, names):
            clickhouse.execute(step.statement)


def settle(url: str) -> None:
    """Leave a database as if it had been idle for long: vacuumed, analyzed, its pages written."""
    with source.session(url) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")
