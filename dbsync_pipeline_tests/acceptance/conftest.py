"""Every acceptance case runs once for each kind of destination."""

from collections.abc import Generator

import pytest

from dbsync_pipeline_tests.acceptance.both import EverywhereHarness
from dbsync_pipeline_tests.harness import Server


@pytest.fixture(params=[False, True], ids=["clickhouse", "postgres"])
def pipeline(pipeline_server: Server, request: pytest.FixtureRequest) -> Generator[EverywhereHarness]:
    """A whole pipeline with empty databases."""
    pipeline = EverywhereHarness(pipeline_server, external=request.param)
    yield pipeline
    pipeline.close()
