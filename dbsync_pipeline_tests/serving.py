"""Rounds over external databases, one step at a time, with workers of single ones that share their sessions."""

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from dbsync_pipeline.destinations.postgres.kept import KeptSessions
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.engine.rounds import Begun, Rounds
from dbsync_pipeline.pending.due import destinations_due
from dbsync_pipeline.source import SessionPool
from dbsync_pipeline_tests.harness import External, Harness

_IDLE_SECONDS = 3_600.0


@dataclass
class Serving:
    """What a run that serves external databases has, and no threads."""

    pipeline: Harness
    kept: KeptSessions
    pool: SessionPool
    rounds: Rounds
    results: list[SyncResult] = field(default_factory=list[SyncResult])
    passed: list[float] = field(default_factory=lambda: [0.0])

    @property
    def seconds(self) -> float:
        """How much later it is for the rounds than it is."""
        return self.passed[0]

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self.passed[0] = seconds

    def begin(self, destination_ids: Iterable[str]) -> Begun:
        return self.rounds.begin([*destination_ids])

    def alone(self, destination_id: str) -> list[SyncResult]:
        """Give one database a turn of a worker of its own."""
        with (
            self.pool.taken() as sessions,
            self.pipeline.pipeline._external_worker(sessions, self.kept, destination_id) as worker,
        ):
            return worker.run_once()

    def drain(self, copies: list[External]) -> list[str]:
        """Deliver all there is, and return the names of those that needed a worker of their own."""
        self.pipeline.sequence()
        for send in self.begin(copy.destination_id for copy in copies).sending.values():
            send()
        self.rounds.finish()
        left = [copy for copy in copies if copy.destination_id in self.due()]
        for copy in left:
            while results := self.alone(copy.destination_id):
                assert [entry.delivery.error for entry in results if entry.delivery.error] == []
        return [copy.name for copy in left]

    def due(self) -> set[str]:
        return {entry.destination_id for entry in destinations_due(self.pipeline.admin, 100)}


@contextmanager
def serving(pipeline: Harness) -> Generator[Serving]:
    """Open what serves a pipeline's external databases."""
    made = pipeline.pipeline
    results: list[SyncResult] = []
    passed = [0.0]
    with (
        KeptSessions(made.external_session, most=100, idle_seconds=_IDLE_SECONDS) as kept,
        SessionPool(made._sessions) as pool,
        made.source("test") as connection,
        made._rounds(connection, kept, pool, results.extend, clock=lambda: time.monotonic() + passed[0]) as rounds,
    ):
        yield Serving(pipeline, kept, pool, rounds, results, passed)
