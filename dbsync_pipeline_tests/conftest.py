"""The real services that tests share: one Postgres and one ClickHouse for the whole test session.

A test never gets a server's own database: it gets a fresh one from a fixture here, which is dropped behind it.
"""

import uuid
from collections.abc import Generator

import clickhouse_connect
import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.destinations.clickhouse.client import ClickHouse
from dbsync_pipeline.destinations.clickhouse.tables import ClickHouseNames
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.mappings.catalog import load_catalog
from dbsync_pipeline_tests import harness


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedPostgres]:
    """A running Postgres, fast and without care for the machine's crash."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedClickHouse]:
    """A running ClickHouse."""
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def source_url(postgres_server: EmbeddedPostgres) -> Generator[str]:
    """The URL of an empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def clickhouse_database_prefix(clickhouse_server: EmbeddedClickHouse) -> Generator[str]:
    """A name of this test's own; every database whose name starts with it is dropped after the test."""
    prefix = f"test_{uuid.uuid4().hex[:12]}"
    yield prefix
    with clickhouse_connect.get_client(dsn=clickhouse_server.url) as client:
        found = client.query("select name from system.databases where startsWith(name, {p:String})", {"p": prefix})
        for (name,) in found.result_rows:
            client.command(f"drop database `{name}` sync")


@pytest.fixture(scope="session")
def pipeline_server(postgres_server: EmbeddedPostgres, clickhouse_server: EmbeddedClickHouse) -> harness.Server:
    """What all pipelines of the session share: a source database to copy, and tables in ClickHouse to empty."""
    server = harness.Server(postgres_server, clickhouse_server, f"template_{uuid.uuid4().hex[:12]}", "pipeline")
    harness.build_template(postgres_server, server.template)
    with ClickHouse(clickhouse_server.url) as clickhouse:
        harness.init_clickhouse(clickhouse, load_catalog(), ClickHouseNames(server.clickhouse_database))
    return server


@pytest.fixture
def pipeline(pipeline_server: harness.Server) -> Generator[harness.Harness]:
    """A whole pipeline with an empty source, and an empty ClickHouse."""
    pipeline = harness.Harness(pipeline_server)
    yield pipeline
    pipeline.close()
