"""Several workers on one pending table: everything is delivered, and nothing twice."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import chain, count
from threading import Barrier, Event
from time import monotonic

import pytest

from dbsync_pipeline.destinations.base import Slice
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import SyncCycle, SyncResult
from dbsync_pipeline.mappings.spec import SyncMapping
from dbsync_pipeline.pending.due import WORKER_LOCK_CLASS
from dbsync_pipeline.pending.queue import PendingQueue
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import expire_leases, kill

WORKERS = 4
DEADLINE_SECONDS = 30.0


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


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a lease is over whenever a worker looks."""
    clock = count(0, 3_600).__next__
    monkeypatch.setattr("dbsync_pipeline.pipeline.PendingQueue", partial(PendingQueue, clock=clock))


def is_leased(pipeline: Harness) -> bool:
    return pipeline.value("select bool_and(lease_until > clock_timestamp()) from dbsync.pending where wanted > reached")


def sessions_with_claims(pipeline: Harness) -> list[int]:
    found = pipeline.rows(
        "select distinct l.pid from pg_locks l join dbsync.pending p on l.objid = p.lease_worker::oid "
        "where l.locktype = 'advisory' and l.classid = %s",
        WORKER_LOCK_CLASS,
    )
    return [pid for (pid,) in found]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("dies", [False, True])
def test_a_turn_longer_than_its_lease_is_one_workers_alone(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    """The destination is slow; what a dead worker had is another's at once all the same."""
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.app.team(tenancy)
    pipeline.sequence()
    delivering, go_on = Event(), Event()
    deliver = ClickHouseDestination.deliver

    def slow(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        if not go_on.is_set():
            delivering.set()
            assert go_on.wait(DEADLINE_SECONDS)
        deliver(self, mapping, slices, blocks)

    monkeypatch.setattr(ClickHouseDestination, "deliver", slow)
    with ThreadPoolExecutor(1) as thread, pipeline.worker() as other, ExitStack() as stack:
        turn = thread.submit(stack.enter_context(pipeline.worker()).run_once)
        assert delivering.wait(DEADLINE_SECONDS)
        expire_leases(pipeline)
        until = monotonic() + DEADLINE_SECONDS
        while not is_leased(pipeline):
            assert monotonic() < until
        assert other.run_once() == []
        if dies:
            kill(pipeline, sessions_with_claims(pipeline))
        go_on.set()
        if dies:
            assert turn.exception() is not None
            stack.pop_all()
            assert len(other.run_once()) == 2
        else:
            assert len(turn.result()) == 2
            assert other.run_once() == []
    assert pipeline.pending() == []
    pipeline.assert_equal()


@pytest.mark.usefixtures("hasty")
def test_a_large_load_keeps_its_lease_while_it_streams(pipeline: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbsync_pipeline.engine.snapshot._BLOCK_BYTES", 1)
    tenancy = pipeline.app.tenancy()
    for _ in range(3):
        pipeline.app.user(tenancy)
    pipeline.sequence()
    leased: list[bool] = []
    deliver = ClickHouseDestination.deliver

    def watched(
        self: ClickHouseDestination, mapping: SyncMapping, slices: Sequence[Slice], blocks: Iterator[bytes]
    ) -> None:
        begun = [next(blocks), next(blocks)]
        expire_leases(pipeline)
        begun.append(next(blocks))
        leased.append(is_leased(pipeline))
        deliver(self, mapping, slices, chain(begun, blocks))

    monkeypatch.setattr(ClickHouseDestination, "deliver", watched)
    assert len(pipeline.sync()) == 1
    assert leased == [True]
    pipeline.assert_equal("users")
