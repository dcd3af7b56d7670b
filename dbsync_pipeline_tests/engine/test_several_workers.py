"""Several workers on one pending table: everything is delivered, and nothing twice."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Event

from dbsync_pipeline.engine.cycle import SyncCycle, SyncResult
from dbsync_pipeline_tests.harness import Harness

WORKERS = 4


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
