"""A backfill as the UI starts it: through the webserver's API, Dagster's daemon, its queue, and a run of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import dagster as dg
import pytest

from dbsync_pipeline.defs.instance import write_dagster_home
from dbsync_pipeline.defs.specs import clickhouse_key
from dbsync_pipeline_tests.harness import Harness

_PATIENCE_SECONDS = 120.0

_BACKFILL = """
mutation ($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_REPOSITORIES = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A DAGSTER_HOME as the project writes it."""
    write_dagster_home(tmp_path / "dagster home")
    return tmp_path / "dagster home"


@contextmanager
def process(home: Path, program: str, *arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Run one of Dagster's programs on the project, in its own process group, until the context ends."""
    command = [str(Path(sys.executable).parent / program), *arguments, "-m", "dbsync_pipeline.definitions"]
    with (home / f"{program}.log").open("wb") as log:
        running = subprocess.Popen(
            command, env={**os.environ, "DAGSTER_HOME": str(home)}, cwd=home, stdout=log, stderr=log
        )
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def ask(url: str, query: str, **variables: Any) -> Any:
    """Send a GraphQL query, as the UI does."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(  # noqa: S310 -- our own loopback address
        f"{url}/graphql", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- likewise
        return json.load(answer)["data"]


def answers(url: str) -> bool:
    try:
        return bool(ask(url, _REPOSITORIES)["repositoriesOrError"]["nodes"])
    except (URLError, OSError):
        return False


def test_a_backfill_of_a_range_is_one_run_that_delivers_every_partition(
    pipeline: Harness, settings: None, home: Path
) -> None:
    tenancies = [str(pipeline.app.tenancy()) for _ in range(3)]
    for tenancy in tenancies:
        pipeline.app.user(tenancy, email="ada@example.com")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        instance.add_dynamic_partitions("tenancy", tenancies)
        webserver = stack.enter_context(process(home, "dagster-webserver", "-h", "127.0.0.1", "-p", str(port)))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not answers(url):
            assert webserver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        launched = ask(
            url,
            _BACKFILL,
            parameters={
                "assetSelection": [{"path": clickhouse_key(mapping_id).path} for mapping_id in ("users", "teams")],
                "partitionNames": tenancies,
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        daemon = stack.enter_context(process(home, "dagster-daemon", "run"))
        while not (ended := [run for run in instance.get_runs() if run.job_name == "__ASSET_JOB" and run.is_finished]):
            assert daemon.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

        (run,) = ended
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.tags["dagster/backfill"] == launched["backfillId"]
        for mapping_id in ("users", "teams"):
            assert instance.get_materialized_partitions(clickhouse_key(mapping_id)) == set(tenancies)
    pipeline.assert_equal("users", "teams")
