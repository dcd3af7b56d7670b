"""`dbsync` on the databases of a test."""

import subprocess

import pytest

from dbsync_pipeline_tests.cli.commands import Command, run
from dbsync_pipeline_tests.harness import Harness


@pytest.fixture
def dbsync(pipeline: Harness, clickhouse_database_prefix: str) -> Command:
    """Runs `dbsync` on the test's source and on ClickHouse databases of its own."""
    variables = {
        "DBSYNC_SOURCE_URL": pipeline.url,
        "DBSYNC_CLICKHOUSE_URL": pipeline.server.clickhouse.url,
        "DBSYNC_CLICKHOUSE_DATABASE": clickhouse_database_prefix,
        "DBSYNC_EXTERNAL_PRIVATE_ADDRESSES": "true",
    }

    def on_test_databases(*arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments, **(variables | others))

    return on_test_databases
