"""Several workers on one pending table: everything is delivered, and nothing twice."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Event

import pytest

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import SyncCycle, SyncResult
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline_tests.harness import Harness

WORKERS = 4


def test_what_has_no_room_in_a_turn_is_others_meanwhile(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker claims far more than a turn holds, so that small changes are among it; it keeps what it delivers."""
    pipeline.configure(chunk_rows=2)
    tenancies = {pipeline.app.tenancy() for _ in range(5)}
    for tenancy in tenancies:
        for _ in range(3):
            pipeline.app.user(tenancy)
    pipeline.sequence()
    delivering, others_done = Event(), Event()
    deliver = ClickHouseDestination.deliver

    def waiting(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        if not delivering.is_set():
            delivering.set()
            assert others_done.wait(30)
        deliver(self, mapping, slices, blocks)

    monkeypatch.setattr(ClickHouseDestination, "deliver", waiting)
    with pipeline.worker() as slow, pipeline.worker() as other, ThreadPoolExecutor(1) as thread:
        turn = thread.submit(slow.run_once)
        assert delivering.wait(30)
        found = [result for _ in range(20) for result in other.run_once()]
        others_done.set()
        mine = {result.item.tenancy_id for result in turn.result()}
        # One more is kept, as what the slow worker goes on with.
        assert len(tenancies - mine - {result.item.tenancy_id for result in found}) == 1
    pipeline.drain()
    pipeline.assert_equal("users")


def test_workers_share_what_is_pending(pipeline: Harness) -> None:
    pipeline.configure(sync_batch_tenancies=3)
    tenancies = [pipeline.app.tenancy() for _ in range(20)]
    for tenancy in tenancies:
        pipeline.app.user(tenancy, email=f"{tenancy}@example.com")
        pipeline.app.user(tenancy)
    pipeline.sequence()
    results: list[list[SyncResult]] = [[] for _ in range(WORKERS)]
    together = Barrier(WORKERS)

    def work(number: int, worker: SyncCycle) -> None:
        together.wait()
        worker.run(stop=Event(), max_seconds=60, idle_seconds=0, report=results[number].extend)

    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as threads:
        workers = [stack.enter_context(pipeline.worker()) for _ in range(WORKERS)]
        for done in [threads.submit(work, number, worker) for number, worker in enumerate(workers)]:
            done.result()

    assert pipeline.pending() == []
    pipeline.assert_equal()
    assert len(pipeline.versions("users")) == 2 * len(tenancies)
    delivered = [entry.delivery.pair for of_one in results for entry in of_one if entry.delivery.upserted]
    assert len(delivered) == len(set(delivered))
    assert sum(bool(of_one) for of_one in results) > 1
