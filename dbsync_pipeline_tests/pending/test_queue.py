"""The queue of pending pairs: who gets what, when, and what becomes of a claim."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest

from dbsync_pipeline import source
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending.claims import PendingItem
from dbsync_pipeline.pending.due import Waiting, waiting
from dbsync_pipeline.pending.queue import PendingQueue, RetryPolicy
from dbsync_pipeline_tests.harness import Harness

HOURS = 3_600.0
DEADLINE_SECONDS = 30.0


class Worker(PendingQueue):
    """A queue on a session of its own."""

    def __init__(self, pipeline: Harness, *, retry: RetryPolicy | None = None) -> None:
        self.session = source.connect(pipeline.url, application_name="test worker")
        self.seconds = 0.0
        super().__init__(
            self.session,
            CLICKHOUSE,
            lease_seconds=HOURS,
            retry=retry or RetryPolicy(1_000 * HOURS, 8_000 * HOURS),
            clock=lambda: self.seconds,
        )


@pytest.fixture
def worker(pipeline: Harness) -> Iterator[Callable[..., Worker]]:
    """Return what makes a worker."""
    made: list[Worker] = []

    def make(retry: RetryPolicy | None = None) -> Worker:
        made.append(Worker(pipeline, retry=retry))
        return made[-1]

    yield make
    for entry in made:
        entry.session.close()


def add(pipeline: Harness, *, mapping: str = "users", minutes: int = 0, tenancy: UUID | None = None) -> UUID:
    """Make a pair pending that has waited for so many minutes."""
    tenancy = tenancy or uuid4()
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, pending_since) "
        "values (%s, %s, 'clickhouse', 10, clock_timestamp() - make_interval(mins => %s))",
        [tenancy, mapping, minutes],
    )
    return tenancy


def keys(items: list[PendingItem]) -> list[tuple[UUID, str]]:
    return [(item.tenancy_id, item.mapping_id) for item in items]


def state(pipeline: Harness, column: str) -> object:
    return pipeline.value(f"select {column} from dbsync.pending")


def test_who_has_waited_longest_comes_first(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """D9: no tenancy's place depends on its id, nor on how much it has to deliver."""
    tenancies = [add(pipeline, minutes=minutes) for minutes in (5, 60, 30, 1)]
    queue = worker()
    assert {item.tenancy_id for item in queue.claim(2)} == {tenancies[1], tenancies[2]}
    assert {item.tenancy_id for item in queue.claim(2)} == {tenancies[0], tenancies[3]}
    assert queue.claim(2) == []


def test_a_new_change_of_a_busy_tenancy_goes_to_the_end(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """D9: what arrives while a pair is delivered has waited since then, not since the pair was first pending."""
    busy, patient = add(pipeline, minutes=60), add(pipeline, minutes=30)
    queue = worker()
    (item,) = queue.claim(1)
    assert item.tenancy_id == busy
    pipeline.admin.execute("update dbsync.pending set wanted = 11 where tenancy_id = %s", [busy])
    queue.complete({(busy, "users"): 10}, complete_up_to=10)
    assert [item.tenancy_id for item in queue.claim(1)] == [patient]


def test_what_is_left_of_a_large_load_keeps_its_place(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """The tenancy whose load was cut has waited since before the one that came later."""
    large, late = add(pipeline, minutes=60), add(pipeline, minutes=30)
    queue = worker()
    queue.claim(1)
    queue.complete({(large, "users"): 5}, complete_up_to=10)
    assert [item.tenancy_id for item in queue.claim(1)] == [large]
    assert [item.tenancy_id for item in queue.claim(1)] == [late]


def test_a_claim_is_one_workers_alone(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    tenancy = add(pipeline)
    first, second = worker(), worker()
    assert keys(first.claim(5)) == [(tenancy, "users")]
    assert second.claim(5) == []
    first.release()
    assert keys(second.claim(5)) == [(tenancy, "users")]


def test_what_is_given_back_counts_as_never_claimed(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """Whether a load is a first one goes by it; a worker that ends in the middle may have sent something."""
    tenancy = add(pipeline)
    first, second = worker(), worker()
    first.claim(5)
    second.give_back([(tenancy, "users")])
    assert second.claim(5) == []
    first.give_back([(tenancy, "users")])
    assert (state(pipeline, "claims"), state(pipeline, "attempts")) == (0, 0)
    second.claim(5)
    second.release()
    assert (state(pipeline, "claims"), state(pipeline, "attempts")) == (1, 0)


@pytest.mark.parametrize("way", ["give back", "release"])
def test_rows_are_given_back_in_the_order_in_which_the_sequencer_takes_them(
    pipeline: Harness, worker: Callable[[], Worker], way: str
) -> None:
    """Whatever order they lie in; a deadlock would end the one or the other."""
    later, sooner = sorted((uuid4(), uuid4()), reverse=True)
    add(pipeline, tenancy=later, minutes=2)
    add(pipeline, tenancy=sooner, minutes=1)
    queue = worker()
    # Read as they lie, the last that was written comes last.
    for way_of_reading in ("indexscan", "bitmapscan", "indexonlyscan"):
        queue.session.execute(f"set enable_{way_of_reading} = off")
    claimed = keys([*queue.claim(1), *queue.claim(1)])
    lock = "select from dbsync.pending where tenancy_id = %s for update"
    with ThreadPoolExecutor(1) as thread, source.connect(pipeline.url) as sequencer:
        with sequencer.transaction():
            sequencer.execute(lock, [sooner])
            done = thread.submit(queue.release) if way == "release" else thread.submit(queue.give_back, claimed)
            while not pipeline.value("select cardinality(pg_blocking_pids(%s))", queue.session.info.backend_pid):
                assert not done.done()
            sequencer.execute(lock, [later])
        done.result(DEADLINE_SECONDS)
    assert len(worker().claim(5)) == 2


@pytest.mark.parametrize("end", ["its session is lost", "its time is up", "it leaves"])
def test_a_claim_ends_with_its_worker(pipeline: Harness, worker: Callable[[], Worker], end: str) -> None:
    """D7: by itself, and without anybody who looks for stranded work."""
    tenancy = add(pipeline)
    first, second = worker(), worker()
    first.claim(5)
    assert second.claim(5) == []
    if end == "its session is lost":
        pipeline.rows("select pg_terminate_backend(%s, 10000)", first.session.info.backend_pid)
    elif end == "its time is up":
        pipeline.admin.execute("update dbsync.pending set lease_until = clock_timestamp() - interval '1 s'")
    else:
        first.__exit__(None, None, None)
    assert keys(second.claim(5)) == [(tenancy, "users")]


def test_who_lost_the_lease_has_nothing_to_say(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """I5, I6: neither success nor failure of a worker that was given up counts."""
    tenancy = add(pipeline)
    slow, other = worker(), worker()
    slow.claim(5)
    pipeline.admin.execute("update dbsync.pending set lease_until = clock_timestamp() - interval '1 s'")
    other.claim(5)
    slow.back_off({(tenancy, "users"): "too late"})
    assert state(pipeline, "last_error") is None
    slow.complete({(tenancy, "users"): 10}, complete_up_to=10)
    assert state(pipeline, "reached") == 0
    others = state(pipeline, "lease_until")
    slow.seconds = HOURS
    slow.renew()
    assert state(pipeline, "lease_until") == others
    other.complete({(tenancy, "users"): 10}, complete_up_to=10)
    assert state(pipeline, "reached") == 10


def test_a_lease_is_renewed_once_a_third_of_it_is_over(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    add(pipeline)
    slow = worker()
    slow.claim(5)
    first = state(pipeline, "lease_until")
    now = slow.seconds
    for seconds, renewed in ((HOURS / 4, False), (HOURS / 2, True), (HOURS * 3 / 4, False)):
        slow.seconds = now + seconds
        slow.renew()
        assert (state(pipeline, "lease_until") != first) is renewed
        first = state(pipeline, "lease_until")


def test_a_change_that_arrives_meanwhile_stays_pending(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """I2: what was numbered after the claim is another turn's work."""
    tenancy = add(pipeline)
    queue = worker()
    queue.claim(5)
    pipeline.admin.execute("update dbsync.pending set wanted = 12")
    queue.complete({(tenancy, "users"): 10}, complete_up_to=10)
    assert [item.wanted for item in queue.claim(5)] == [12]


def test_what_is_reached_never_goes_back(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    tenancy = add(pipeline)
    queue = worker()
    queue.claim(5)
    pipeline.admin.execute("update dbsync.pending set reached = 9")
    queue.complete({(tenancy, "users"): 7}, complete_up_to=7)
    assert state(pipeline, "reached") == 9


def test_a_failure_rests_longer_each_time(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """D18, I8: from half the base to the base, doubling up to the maximum, and none of the others with it."""
    tenancy = add(pipeline)
    unharmed = add(pipeline, mapping="teams", tenancy=tenancy)
    queue = worker()
    for attempt, longest in enumerate((1_000, 2_000, 4_000, 8_000, 8_000), start=1):
        claimed = queue.claim(5, mappings=["users"])
        assert [item.attempts for item in claimed] == [attempt]
        queue.back_off({(tenancy, "users"): f"attempt {attempt}"})
        ((error, hours),) = pipeline.rows(
            "select last_error, extract(epoch from next_attempt_at - clock_timestamp()) / 3600 from dbsync.pending "
            "where mapping_id = 'users'"
        )
        assert error == f"attempt {attempt}"
        assert longest / 2 - 1 <= hours <= longest
        assert queue.claim(5, mappings=["users"]) == []
        pipeline.admin.execute("update dbsync.pending set next_attempt_at = '-infinity'")
    assert [item.tenancy_id for item in queue.claim(5, mappings=["teams"])] == [unharmed]
    queue.claim(5)
    queue.complete({(tenancy, "users"): 10}, complete_up_to=10)
    assert pipeline.rows("select attempts, last_error from dbsync.pending where mapping_id = 'users'") == [(0, None)]


def test_after_an_outage_what_rests_comes_back_together(
    pipeline: Harness, worker: Callable[[RetryPolicy], Worker]
) -> None:
    """I8: a dead destination is asked once, not once for each pair, and never later than an outage may go unnoticed."""
    queue = worker(RetryPolicy(1 * HOURS, 8 * HOURS))
    first, second, third = (add(pipeline) for _ in range(3))
    queue.claim(5)

    def rests(tenancy: UUID) -> float:
        return float(
            pipeline.value(
                "select extract(epoch from next_attempt_at - clock_timestamp()) / 3600 from dbsync.pending "
                "where tenancy_id = %s",
                tenancy,
            )
        )

    pipeline.admin.execute("update dbsync.pending set attempts = 5")
    queue.back_off({(first, "users"): "gone", (second, "users"): "gone"}, outage_seconds=2 * HOURS)
    assert rests(first) == pytest.approx(rests(second), abs=0.1)
    assert 0.9 <= rests(first) <= 2
    # What fails later joins those that rest already, however long it would have rested by itself.
    pipeline.admin.execute(
        "update dbsync.pending set next_attempt_at = clock_timestamp() + interval '30 minutes' where tenancy_id = %s",
        [first],
    )
    queue.back_off({(third, "users"): "gone"}, outage_seconds=2 * HOURS)
    assert rests(third) == pytest.approx(0.5, abs=0.1)
    # A pair's own failure is nobody else's.
    queue.retry_now(tenancies=[str(third)])
    queue.claim(5)
    queue.back_off({(third, "users"): "refused"})
    assert rests(third) > 3


def test_an_error_that_is_kept_holds_no_password(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """I10: and is as long as a person would read."""
    tenancy = add(pipeline)
    queue = worker()
    queue.claim(5)
    queue.back_off({(tenancy, "users"): f"postgresql://me:s3cret@host/db {'x' * 10_000}"})
    kept = str(state(pipeline, "last_error"))
    assert "s3cret" not in kept
    assert len(kept) <= 2_000


@pytest.mark.parametrize("error", ["\x00 nul", "half a pair \ud83d!", "back\\slash 'quotes' 全部"])
def test_any_text_is_kept_as_an_error(pipeline: Harness, worker: Callable[[], Worker], error: str) -> None:
    """A driver may say anything; that must not end the worker."""
    tenancy = add(pipeline)
    queue = worker()
    queue.claim(5)
    queue.back_off({(tenancy, "users"): error})
    assert str(state(pipeline, "last_error")).endswith(error[-1])


def test_a_paused_pair_is_left_alone(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """B32."""
    add(pipeline)
    pipeline.admin.execute("update dbsync.pending set paused = true")
    assert worker().claim(5) == []
    assert waiting(pipeline.admin, CLICKHOUSE).due is False


def test_a_selection_is_kept_to(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    tenancy = add(pipeline)
    add(pipeline, mapping="teams", tenancy=tenancy)
    other = add(pipeline)
    queue = worker()
    assert keys(queue.claim(5, tenancies=[str(tenancy)], mappings=["teams"])) == [(tenancy, "teams")]
    assert queue.claim(5, mappings=["teams"]) == []
    assert keys(queue.claim(5, tenancies=[str(other)])) == [(other, "users")]


def test_claims_do_not_wait_for_each_other(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """Two workers in the middle of a claim each take what the other has not."""
    tenancies = {add(pipeline) for _ in range(4)}
    first, second = worker(), worker()
    second.session.execute("set lock_timeout = '1ms'")
    with first.session.transaction():
        mine = {item.tenancy_id for item in first.claim(2)}
        theirs = {item.tenancy_id for item in second.claim(4)}
    assert mine | theirs == tenancies
    assert mine.isdisjoint(theirs)


def test_an_idle_look_is_one_query_over_an_index(pipeline: Harness) -> None:
    """I9: what has been delivered costs nothing, however much it is."""
    pipeline.admin.execute(
        "insert into dbsync.pending (tenancy_id, mapping_id, destination_id, wanted, reached) "
        "select gen_random_uuid(), 'users', 'clickhouse', 10, 10 from generate_series(1, 5000)"
    )
    pipeline.admin.execute("analyze dbsync.pending")
    assert waiting(pipeline.admin, CLICKHOUSE) == Waiting(due=False, later=False)
    (size,) = pipeline.rows("select reltuples from pg_class where oid = 'dbsync.pending_due'::regclass")
    assert size == (0,)
    plan = pipeline.rows(
        "explain select from dbsync.pending where destination_id = 'clickhouse' and wanted > reached and not paused"
    )
    assert "pending_due" in str(plan)


def test_a_worker_without_the_lock_is_no_worker(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """Another database's worker of the same number does not keep a claim alive."""
    tenancy = add(pipeline)
    with psycopg.connect(pipeline.server.postgres.url(), autocommit=True) as elsewhere:
        elsewhere.execute("select pg_advisory_lock(%s, %s)", [0x6462_7379, 424_242])
        pipeline.admin.execute(
            "update dbsync.pending set lease_worker = 424242, lease_until = clock_timestamp() + interval '1 hour'"
        )
        assert keys(worker().claim(5)) == [(tenancy, "users")]


def test_a_server_that_numbers_its_sessions_anew_keeps_no_claim_alive(
    pipeline: Harness, worker: Callable[[], Worker]
) -> None:
    """After a restart, or on the standby that has taken over, somebody has the session's number of a dead worker."""
    tenancy = add(pipeline)
    alive = worker()
    pipeline.admin.execute(
        "update dbsync.pending set lease_worker = %s, lease_until = 'infinity'", [alive.session.info.backend_pid]
    )
    assert keys(worker().claim(5)) == [(tenancy, "users")]


def test_a_waiting_worker_is_woken_by_the_sequencer(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """It hears of a pass that numbered something, also when it was busy at that moment."""
    queue = worker()
    queue.listen()
    assert not queue.wait(0)
    pipeline.app.user(pipeline.app.tenancy())
    with pipeline.pipeline.sequencer() as sequencer:
        sequencer.run(stop=Event(), max_seconds=0, idle_seconds=0, report=lambda _result: None)
    assert queue.wait(DEADLINE_SECONDS)
    assert not queue.wait(0)


def test_a_pass_without_work_wakes_nobody(pipeline: Harness, worker: Callable[[], Worker]) -> None:
    """I9: idle stays idle."""
    queue = worker()
    queue.listen()
    with pipeline.pipeline.sequencer() as sequencer:
        sequencer.run(stop=Event(), max_seconds=0, idle_seconds=0, report=lambda _result: None)
    assert not queue.wait(0)
