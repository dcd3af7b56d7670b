"""One generated database for a module's tests, which leave it as it was."""

import uuid
from collections.abc import Generator

import psycopg
import pytest

from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.source import connect


@pytest.fixture(scope="module")
def demo_size() -> DemoSize:
    return DemoSize(tenancies=12, users=300)


@pytest.fixture(scope="module")
def generated(postgres_server: EmbeddedPostgres, demo_size: DemoSize) -> Generator[psycopg.Connection]:
    """A connection to a database full of generated data."""
    with connect(postgres_server.create_database(f"demo_{uuid.uuid4().hex[:12]}")) as connection:
        create_schema(connection)
        generate(connection, demo_size)
        yield connection
