"""The worker's loop: when it goes on, when it rests, and when it ends."""

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.engine.cycle import SyncCycle, SyncResult
from dbsync_pipeline.engine.engine import Delivery
from dbsync_pipeline.pending.claims import PendingItem
from dbsync_pipeline.pending.queue import PendingQueue
from dbsync_pipeline_tests.harness import Harness, init_clickhouse
from dbsync_pipeline_tests.sequencer.test_loop import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that also tells how long a worker has waited for work."""
    clock = Clock()
    monkeypatch.setattr(PendingQueue, "listen", lambda _queue: None)
    monkeypatch.setattr(PendingQueue, "wait", lambda _queue, seconds: clock.wait(seconds))
    return clock


def test_a_worker_delivers_rests_and_ends(pipeline: Harness, clock: Clock) -> None:
    """What arrives while it is up is delivered; ten idle seconds end it."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.sequence()
    reports: list[list[SyncResult]] = []

    def report(results: list[SyncResult]) -> None:
        reports.append(results)
        if len(reports) == 5:
            pipeline.app.user(tenancy)
            pipeline.sequence()

    with pipeline.worker() as worker:
        worker.run(stop=clock, max_seconds=1_000, idle_seconds=10, report=report, clock=clock)
    assert [bool(results) for results in reports[:7]] == [True, False, False, False, False, True, False]
    assert max(clock.waits) <= 0.5
    assert 10 <= clock.now < 12
    pipeline.assert_equal("users")


@pytest.mark.parametrize(
    ("reached", "batch_size", "pause"),
    [
        pytest.param(5, 2, 0.06, id="all there was"),
        pytest.param(5, 1, 0, id="a full batch"),
        pytest.param(3, 2, 0, id="a part of a load"),
    ],
)
def test_a_turn_is_followed_by_a_pause_as_long(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, reached: int, batch_size: int, pause: float
) -> None:
    """For more to gather, unless a pass ends meanwhile; where more is known to wait, the next turn follows at once."""
    pair = Pair(uuid4(), "users")
    item = PendingItem(pair.tenancy_id, pair.mapping_id, wanted=5, epoch=0, attempts=1, waited_seconds=0)
    worker = SyncCycle.__new__(SyncCycle)
    worker._batch_size = batch_size
    worker._queue = PendingQueue.__new__(PendingQueue)

    def turn() -> list[SyncResult]:
        clock.now += 0.06
        return [SyncResult(item, Delivery(pair, 0, reached), "clickhouse")]

    monkeypatch.setattr(worker, "run_once", turn, raising=False)
    worker.run(stop=clock, max_seconds=0, idle_seconds=10, report=lambda results: None, clock=clock)
    assert sum(clock.waits) == pytest.approx(pause)


def test_an_outage_of_clickhouse_does_not_end_a_worker(pipeline: Harness, clock: Clock, tmp_path: Path) -> None:
    """D18: its pairs rest, nothing spins, and all is delivered when ClickHouse is back."""
    with EmbeddedClickHouse(tmp_path) as clickhouse:
        pipeline.configure(clickhouse_url=SecretStr(clickhouse.url))
        with pipeline.pipeline.clickhouse() as opened:
            init_clickhouse(opened, pipeline.catalog, pipeline.names)
        pipeline.app.user(pipeline.app.tenancy())
        pipeline.sequence()
        reports: list[list[SyncResult]] = []

        def report(results: list[SyncResult]) -> None:
            reports.append(results)
            # Its pair rests for longer than this test takes, as far as the database can tell.
            pipeline.admin.execute("update dbsync.pending set next_attempt_at = 'infinity' where attempts > 0")
            if len(reports) == 3:
                clickhouse.start()
                pipeline.admin.execute("update dbsync.pending set next_attempt_at = '-infinity'")

        with pipeline.worker() as worker:
            clickhouse.kill()
            worker.run(stop=clock, max_seconds=1_000, idle_seconds=10, report=report, clock=clock)
        ((failed,), *rest) = reports
        assert "does not answer" in str(failed.delivery.error)
        assert [bool(results) for results in rest[:4]] == [False, False, True, False]
        assert [result.delivery.error for result in rest[2]] == [None]
        with pipeline.pipeline.clickhouse() as opened:
            assert opened.query(f"select count() from {pipeline.names.database}.users") == [(1,)]
