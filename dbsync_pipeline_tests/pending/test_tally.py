"""The counters of what was delivered: nothing is missed, and nobody waits for long."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from dbsync_pipeline import source
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending import tally
from dbsync_pipeline.pending.queue import PendingQueue, RetryPolicy
from dbsync_pipeline.pending.tally import Delivered, Outcome, read_delivered
from dbsync_pipeline_tests.harness import Harness

HOUR = 3_600.0
DEADLINE_SECONDS = 30.0


class Worker(PendingQueue):
    """A queue on a session of its own, and at a chosen place."""

    def __init__(self, pipeline: Harness, place: int) -> None:
        self.session = source.connect(pipeline.url, application_name="test worker")
        super().__init__(self.session, CLICKHOUSE, lease_seconds=HOUR, retry=RetryPolicy(HOUR, HOUR))
        # Whoever has nothing claimed may be known under any number.
        self._worker = place

    def end_turn(self, *mappings: str) -> None:
        """Say that a pair of each mapping, of which this worker has claimed none, was delivered."""
        outcomes = [Outcome(mapping_id, 2, 1) for mapping_id in mappings]
        self.complete({(uuid4(), name): 1 for name in mappings}, complete_up_to=1, outcomes=outcomes)


@pytest.fixture
def worker(pipeline: Harness) -> Iterator[Callable[[int], Worker]]:
    """Return what makes a worker at a place."""
    made: list[Worker] = []

    def make(place: int) -> Worker:
        made.append(Worker(pipeline, place))
        return made[-1]

    yield make
    for entry in made:
        entry.session.close()


def numbers(pipeline: Harness, mapping_id: str, kind: str) -> tuple[int, int, int]:
    found = read_delivered(pipeline.admin).get((mapping_id, kind), Delivered())
    assert (found.last_at is None) == (found.rows == 0)
    return found.upserted, found.deleted, found.failed


def test_whoever_delivers_adds_to_it(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    users = [pipeline.app.user(tenancy) for _ in range(3)]
    pipeline.drain()
    assert numbers(pipeline, "users", "clickhouse") == (3, 0, 0)
    assert numbers(pipeline, "users", "postgres") == (0, 0, 0)
    pipeline.configure_external(tenancy, mappings=["users"])
    pipeline.app.delete("ProjectUser", projectUserId=users[0])
    pipeline.app.run('update "ProjectUser" set "displayName" = \'changed\'')
    pipeline.sequence()
    with pipeline.worker() as other:
        other.run_once()
    pipeline.drain()
    assert numbers(pipeline, "users", "clickhouse") == (5, 1, 0)
    assert numbers(pipeline, "users", "postgres") == (2, 0, 0)


def test_a_turn_that_fails_counts_its_pairs(pipeline: Harness) -> None:
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    pipeline.configure_external(tenancy, url="postgresql://nobody@127.0.0.1:1/gone", mappings=["users"])
    pipeline.sequence()
    for attempt in (1, 2):
        pipeline.sync_external(errors=True)
        assert numbers(pipeline, "users", "postgres") == (0, 0, attempt)
    assert numbers(pipeline, "users", "clickhouse") == (0, 0, 0)


def test_nothing_is_written_where_nothing_was_delivered(pipeline: Harness, worker: Callable[[int], Worker]) -> None:
    """I9: a turn that only moves checkpoints, or finds nothing to do, adds nothing."""
    idle = worker(0)
    idle.complete({(uuid4(), "users"): 1}, complete_up_to=1, outcomes=[Outcome("users")])
    assert pipeline.rows("select from dbsync.delivered") == []


def test_workers_at_different_places_do_not_wait_for_each_other(
    pipeline: Harness, worker: Callable[[int], Worker]
) -> None:
    first, second = worker(0), worker(1)
    second.session.execute("set lock_timeout = '1ms'")
    with first.session.transaction():
        first.end_turn("users")
        second.end_turn("users")
    assert numbers(pipeline, "users", "clickhouse") == (4, 2, 0)
    # There are as many places as there are, however many workers.
    worker(tally._PLACES).end_turn("users")
    assert pipeline.value("select count(*) from dbsync.delivered") == 2


def test_counters_are_taken_in_one_order(pipeline: Harness, worker: Callable[[int], Worker]) -> None:
    """Two workers at one place; a deadlock would end one of them."""
    queue = worker(0)
    queue.end_turn("teams", "users")
    take = "select from dbsync.delivered where mapping_id = %s for update"
    with ThreadPoolExecutor(1) as thread, source.connect(pipeline.url) as other:
        with other.transaction():
            other.execute(take, ["teams"])
            done = thread.submit(queue.end_turn, "users", "teams")
            while not pipeline.value("select cardinality(pg_blocking_pids(%s))", queue.session.info.backend_pid):
                assert not done.done()
            other.execute(take, ["users"])
        done.result(DEADLINE_SECONDS)
    assert numbers(pipeline, "users", "clickhouse") == (4, 2, 0)


@pytest.mark.parametrize("end", ["delivered", "failed"])
def test_counters_are_taken_after_the_pending_rows(
    pipeline: Harness, worker: Callable[[int], Worker], end: str
) -> None:
    """Whoever waits for a pair, such as one that the sequencer has, holds up no other worker."""
    tenancy = uuid4()
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, lease_worker) "
        "values (%s, 'users', 'clickhouse', 10, 0)",
        [tenancy],
    )
    queue, other = worker(0), worker(0)
    other.session.execute("set lock_timeout = '1ms'")
    other.end_turn("users")

    def end_turn() -> None:
        if end == "delivered":
            queue.complete({(tenancy, "users"): 10}, complete_up_to=10, outcomes=[Outcome("users", 1)])
        else:
            queue.back_off({(tenancy, "users"): "no"})

    with ThreadPoolExecutor(1) as thread, source.connect(pipeline.url) as sequencer:
        with sequencer.transaction():
            sequencer.execute("select from dbsync.pending for update")
            done = thread.submit(end_turn)
            while not pipeline.value("select cardinality(pg_blocking_pids(%s))", queue.session.info.backend_pid):
                assert not done.done()
            other.end_turn("users")
        done.result(DEADLINE_SECONDS)
    assert numbers(pipeline, "users", "clickhouse") == ((5, 2, 0) if end == "delivered" else (4, 2, 1))
