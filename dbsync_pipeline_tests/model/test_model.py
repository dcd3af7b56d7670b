"""Runs the model; DBSYNC_TEST_MODEL_EXAMPLES and DBSYNC_TEST_MODEL_STEPS make a longer search of it."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.model.machine import PipelineMachine

_SEARCH = "DBSYNC_TEST_MODEL_EXAMPLES" in os.environ
_EXAMPLES = int(os.environ.get("DBSYNC_TEST_MODEL_EXAMPLES", "6"))
_STEPS = int(os.environ.get("DBSYNC_TEST_MODEL_STEPS", "40"))


def test_whatever_happens_the_copies_equal_the_source_at_rest(
    pipeline: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough for whoever answers, and soon over with who does not.
    pipeline.configure(external_statement_seconds=3)
    monkeypatch.setattr("dbsync_pipeline.destinations.postgres.session._GRACE_SECONDS", 1)

    class Machine(PipelineMachine):
        pass

    Machine.pipeline = pipeline
    with EmbeddedPostgres(tmp_path, durable=False) as Machine.elsewhere:
        _run(Machine)


def _run(machine: type[PipelineMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            # The same few runs every time; a search finds others, and makes what it finds as short as it can.
            derandomize=not _SEARCH,
            phases=(Phase.generate, Phase.shrink) if _SEARCH else (Phase.generate,),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
