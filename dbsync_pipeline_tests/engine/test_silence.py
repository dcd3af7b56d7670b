"""ClickHouse takes what it is asked, and never answers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count
from threading import Event
from time import monotonic
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import SecretStr
from urllib3 import Timeout

from dbsync_pipeline.destinations.clickhouse.client import ANSWER_SECONDS
from dbsync_pipeline.destinations.clickhouse.destination import ClickHouseDestination
from dbsync_pipeline.engine.cycle import SyncCycle
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.pending.queue import PendingQueue
from dbsync_pipeline_tests.harness import Harness
from dbsync_pipeline_tests.invariants.stepping import expire_leases
from dbsync_pipeline_tests.proxy import Proxy

DEADLINE_SECONDS = 30.0
WHERE = ["checkpoints", "insert_stream", "record"]


@pytest.fixture
def proxy(pipeline: Harness) -> Iterator[Proxy]:
    """What the pipeline takes for ClickHouse."""
    with Proxy(pipeline.server.clickhouse.url) as proxy:
        pipeline.configure(clickhouse_url=SecretStr(proxy.url))
        yield proxy
        pipeline.configure(clickhouse_url=SecretStr(pipeline.server.clickhouse.url))


@pytest.fixture
def changed(pipeline: Harness) -> UUID:
    """A tenancy with a change, a deletion and a new row to deliver."""
    tenancy = pipeline.app.tenancy()
    for name in ("changes", "goes"):
        pipeline.app.user(tenancy, displayName=name)
    pipeline.drain()
    pipeline.app.update("ProjectUser", {"displayName": "changes"}, displayName="changed")
    pipeline.app.delete("ProjectUser", displayName="goes")
    pipeline.app.team(tenancy)
    pipeline.sequence()
    return tenancy


Fall = Callable[[SyncCycle, str], Event]


@pytest.fixture
def fall_silent(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Fall:
    """Return what has ClickHouse fall silent when a worker asks something of it, and returns what tells of that."""

    def fall(worker: SyncCycle, where: str) -> Event:
        destination = cast("ClickHouseDestination", worker._destination)
        asked = destination if hasattr(destination, where) else destination._clickhouse
        ask: Callable[..., Any] = getattr(asked, where)
        silent = Event()

        def asking(*what: object) -> object:
            proxy.fall_silent()
            silent.set()
            return ask(*what)

        monkeypatch.setattr(asked, where, asking)
        return silent

    return fall


def wait_no_longer_than(seconds: float, worker: SyncCycle) -> None:
    """Have a worker that would wait for as long as it does wait for so long only."""
    client = cast("ClickHouseDestination", worker._destination)._clickhouse._client
    assert client.timeout.read_timeout == ANSWER_SECONDS
    client.timeout = Timeout(read=seconds)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("size", [10, 1_500_000], ids=["a block", "a stream"])
def test_who_is_not_answered_gives_back_what_it_has_claimed(
    pipeline: Harness, proxy: Proxy, changed: UUID, fall_silent: Fall, *, where: str, size: int
) -> None:
    """I5, I8: it is an outage of ClickHouse, and no row's fault; what is not known to have arrived is sent again."""
    pipeline.configure(retry_base_seconds=3_600, retry_max_seconds=3_600)
    for _ in range(2):
        pipeline.app.user(changed, serverMetadata=f'"{"x" * size}"')
    pipeline.sequence()
    left = pipeline.pending()
    with pipeline.worker() as worker:
        fall_silent(worker, where)
        wait_no_longer_than(0.5, worker)
        results = worker.run_once()
        assert {(entry.item.tenancy_id, entry.item.mapping_id) for entry in results} == {*left}
        for entry in results:
            assert isinstance(entry.outage, UnreachableError)
            assert str(changed) not in str(entry.delivery.error)
            assert "does not answer" in str(entry.delivery.error)
        assert pipeline.pending() == left
        assert pipeline.value("select bool_and(lease_until is null) from dbsync.pending")
        assert pipeline.value("select max(next_attempt_at) <= now() + interval '10 s' from dbsync.pending")
    proxy.restore()
    pipeline.rows("update dbsync.pending set next_attempt_at = '-infinity' returning 1")
    pipeline.assert_synced()
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null or attempts > 0") == 0


@pytest.mark.usefixtures("changed")
def test_who_waits_for_an_insert_keeps_what_it_has_claimed(
    pipeline: Harness, proxy: Proxy, fall_silent: Fall, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A third of a lease is over whenever a worker looks.
    monkeypatch.setattr("dbsync_pipeline.pipeline.PendingQueue", partial(PendingQueue, clock=count(0, 3_600).__next__))
    with ExitStack() as stack:
        worker, other = (stack.enter_context(pipeline.worker()) for _ in range(2))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(proxy.restore)
        silent = fall_silent(worker, "insert_stream")
        turn = thread.submit(worker.run_once)
        assert silent.wait(DEADLINE_SECONDS)
        expire_leases(pipeline)
        until = monotonic() + DEADLINE_SECONDS
        while not pipeline.value(
            "select bool_and(lease_until > clock_timestamp()) from dbsync.pending where wanted > reached"
        ):
            assert monotonic() < until
        assert other.run_once() == []
        monkeypatch.undo()
        proxy.restore()
        turn.result()
    pipeline.assert_synced()


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("where", ["checkpoints", "record"])
def test_who_waits_for_checkpoints_keeps_claims_for_a_lease(
    pipeline: Harness, proxy: Proxy, fall_silent: Fall, where: str
) -> None:
    """I6: a worker that is answered has them then; what the late one does and says counts no more."""
    with ExitStack() as stack:
        worker = stack.enter_context(pipeline.worker())
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(proxy.restore)
        silent = fall_silent(worker, where)
        pipeline.configure(clickhouse_url=SecretStr(pipeline.server.clickhouse.url))
        turn = thread.submit(worker.run_once)
        assert silent.wait(DEADLINE_SECONDS)
        with pipeline.worker() as other:
            assert other.run_once() == []
            expire_leases(pipeline)
            assert [entry.delivery.error for entry in other.run_once()] == [None, None]
            assert other.run_once() == []
        assert pipeline.pending() == []
        proxy.restore()
        turn.result()
    assert pipeline.pending() == []
    assert pipeline.value("select count(*) from dbsync.pending where last_error is not null or attempts > 0") == 0
    pipeline.assert_equal()
