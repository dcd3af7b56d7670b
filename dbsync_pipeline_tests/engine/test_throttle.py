"""How many rows go in which time, by a clock that only the test moves."""

from dataclasses import dataclass

import pytest

from dbsync_pipeline.engine.throttle import Throttle
from dbsync_pipeline_tests.harness import Harness


@dataclass
class Clock:
    """Seconds that pass when somebody sleeps."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_bucket_holds_a_second_and_is_worth_a_turn_when_half_full() -> None:
    clock = Clock()
    throttle = Throttle(100, clock=clock)
    clock.sleep(60)
    assert (throttle.seconds(), throttle.take(30), throttle.seconds()) == (0, 30, 0)
    assert throttle.take(1_000) == 70
    assert throttle.seconds() == pytest.approx(0.5)
    clock.sleep(0.5)
    assert throttle.seconds() == 0
    assert throttle.take(1_000) == 50


def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_owed() -> None:
    clock = Clock()
    throttle = Throttle(100, clock=clock)
    throttle.settle(throttle.take(100), 10)
    assert throttle.take(100) == 90
    throttle.settle(90, 190)
    assert throttle.seconds() == pytest.approx(1.5)
    # Whoever has claimed something gets on, if by a single row.
    assert throttle.take(100) == 1


def test_rows_go_out_at_the_rate_and_all_of_them(pipeline: Harness) -> None:
    large, *small = (pipeline.app.tenancy() for _ in range(9))
    for tenancy in (*[large] * 12, *small * 3):
        pipeline.app.user(tenancy)
    pipeline.sequence()
    clock = Clock()
    throttle = Throttle(8, clock=clock)
    with pipeline.worker() as worker:
        worker._throttles = worker._engine._throttles = [throttle]
        worker._sleep = clock.sleep
        started, rows = clock.now, 0
        while results := worker.run_once():
            assert all(result.delivery.error is None for result in results)
            rows += sum(result.delivery.upserted for result in results)
            # A second's worth at once, and what the last turn may owe: four rows that came on top of three.
            assert rows <= 8 * (clock.now - started) + 8 + 3
    assert rows == 36
    # The whole time, but for the full bucket at the beginning.
    assert clock.now - started == pytest.approx(36 / 8 - 1, abs=0.6)
    pipeline.assert_equal("users")


def test_threads_share_the_bucket_of_the_process_and_workers_that_of_a_destination(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    one, two = (pipeline.configure_external(tenancy, name).destination_id for name in ("one", "two"))
    pipeline.configure(
        worker_rows_per_second=1_000, destination_rows_per_second=100, sync_workers=4, external_sync_workers=2
    )
    with (
        pipeline.worker() as clickhouse,
        pipeline.external_worker(one) as first,
        pipeline.external_worker(one) as again,
        pipeline.external_worker(two) as second,
    ):
        assert [throttle._rate for throttle in clickhouse._throttles] == [1_000, 25]
        assert [throttle._rate for throttle in first._throttles] == [1_000, 50]
        assert first._throttles == again._throttles == first._engine._throttles
        assert first._throttles[0] is second._throttles[0] is clickhouse._throttles[0]
        assert first._throttles[1] is not second._throttles[1]
