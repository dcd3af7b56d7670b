"""A run's place: taken once, kept through outages, handed over without a gap."""

import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from dbsync_pipeline.defs import liveness
from dbsync_pipeline.defs.presence import HAND_OVER_SECONDS, Presence
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline_tests.harness import Harness

JOB = "sync_job"


@dataclass
class Runs:
    """Opens runs of one job, under a time that only a test moves, on a source that a test can switch off."""

    pipeline: Harness
    stack: ExitStack
    now: float = 0.0
    answers: bool = True
    opened: list[psycopg.Connection] = field(default_factory=list[psycopg.Connection])

    @contextmanager
    def session(self) -> Generator[psycopg.Connection]:
        if not self.answers:
            raise UnreachableError("the source does not answer")
        with self.pipeline.pipeline.source("run") as connection:
            self.opened.append(connection)
            yield connection

    def begin(self, place: int = 0) -> Presence:
        presence = Presence(self.session, JOB, place, str(uuid.uuid4()), seconds=900, clock=lambda: self.now)
        return self.stack.enter_context(presence)

    @property
    def places(self) -> liveness.Places:
        return liveness.Places.of(self.pipeline.admin, JOB)


@pytest.fixture
def runs(pipeline: Harness) -> Generator[Runs]:
    with ExitStack() as stack:
        yield Runs(pipeline, stack)


def test_one_run_hands_over_to_the_next_without_a_gap(runs: Runs) -> None:
    first = runs.begin()
    assert first.goes_on()
    runs.now = 899
    assert first.goes_on()
    assert runs.places == liveness.Places(frozenset({0}), frozenset())
    runs.now = 900
    assert first.goes_on()
    assert runs.places == liveness.Places(frozenset(), frozenset({0}))
    assert first.goes_on()
    second = runs.begin()
    assert second.goes_on()
    assert runs.places == liveness.Places(frozenset({0}), frozenset())
    assert not first.goes_on()
    assert second.goes_on()


def test_a_run_that_nobody_follows_ends_all_the_same(runs: Runs) -> None:
    run = runs.begin()
    assert run.goes_on()
    runs.now = 900 + HAND_OVER_SECONDS - 1
    assert run.goes_on()
    runs.now += 1
    assert not run.goes_on()


def test_a_place_has_one_run(runs: Runs) -> None:
    first = runs.begin()
    assert first.goes_on()
    assert not runs.begin().goes_on()
    assert runs.begin(place=1).goes_on()
    assert first.goes_on()


def test_an_outage_ends_no_run(runs: Runs) -> None:
    run = runs.begin()
    runs.answers = False
    assert run.goes_on()
    runs.answers = True
    assert run.goes_on()
    assert runs.places.filled == {0}
    runs.pipeline.admin.execute("select pg_terminate_backend(%s)", [runs.opened[0].info.backend_pid])
    assert run.goes_on()
    assert run.goes_on()
    assert len(runs.opened) == 2
    assert runs.places.filled == {0}


def test_a_run_keeps_its_place_while_its_lost_session_still_seems_to_have_it(runs: Runs) -> None:
    run = runs.begin()
    assert run.goes_on()
    # The machine in between is gone: the server has heard nothing of it, and keeps the lock.
    lost = runs.opened[0]
    run._connection = None
    assert run.goes_on()
    assert runs.opened[1] is not lost
    assert run.goes_on()


def test_who_records_what_is_left_waits_for_nobody(runs: Runs) -> None:
    """Its successor may be idle and gone long before; that is no reason to start another one."""
    run = runs.begin()
    assert run.goes_on()
    runs.now = 900
    assert run.goes_on()
    run.end_work()
    assert runs.places == liveness.Places(frozenset(), frozenset())
