"""Who gets a thread, for how long, and what the dead ones cost the others."""

import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Semaphore

import pytest

from dbsync_pipeline.engine import dispatcher
from dbsync_pipeline.engine.cycle import SyncResult
from dbsync_pipeline.engine.dispatcher import Dispatcher, Stint
from dbsync_pipeline.engine.rounds import Begun, Rounds
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.pending.due import DueDestination, destinations_due
from dbsync_pipeline_tests.harness import Harness

PATIENCE_SECONDS = 20.0


class Scene:
    """Destinations that are due until they are served, and workers that hold their thread until they are let go."""

    def __init__(self, *, workers: int, failing: list[str], good: list[str], rounds: Rounds | None = None) -> None:
        self.lock = threading.Lock()
        self.waiting = [*(DueDestination(name, failing=True) for name in failing), *map(self._good, good)]
        self.served: list[str] = []
        self.stints: dict[str, Stint] = {}
        self.begun = Semaphore(0)
        self.release: dict[str, Event] = {name: Event() for name in (*failing, *good)}
        self.now = 0.0
        self.stop = Event()
        self.notes: list[str] = []
        self.looks = 0
        self.error: BaseException | None = None
        self.act: Callable[[str], None] = lambda _: None
        self.dispatcher = Dispatcher(
            self._due, self._serve, self.stop.wait, rounds=rounds, workers=workers, clock=lambda: self.now
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _good(name: str) -> DueDestination:
        return DueDestination(name, failing=False)

    def _due(self, limit: int) -> list[DueDestination]:
        with self.lock:
            self.looks += 1
            return self.waiting[:limit]

    def _serve(self, name: str, stint: Stint) -> None:
        with self.lock:
            self.waiting = [entry for entry in self.waiting if entry.destination_id != name]
            self.served.append(name)
            self.stints[name] = stint
        self.begun.release()
        self.act(name)
        assert self.release[name].wait(PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            self.dispatcher.run(stop=self.stop, max_seconds=1000, idle_seconds=1000, note=self.notes.append)
        except BaseException as error:  # noqa: BLE001 -- looked at by the test.
            self.error = error

    def start(self) -> None:
        self.thread.start()

    def await_begun(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE_SECONDS)

    def await_told_to_end(self, *names: str) -> None:
        """Let time pass on the dispatcher's clock until it makes room."""
        for name in names:
            while not self.stints[name].stop.wait(0.02):
                self.now += 0.5
                assert self.now < PATIENCE_SECONDS, f"{name} goes on"

    def await_looks(self, count: int) -> None:
        """Wait until the dispatcher has looked for what is due that often again."""
        self._await(lambda looks=self.looks: self.looks >= looks + count)

    def await_noted(self, count: int) -> None:
        self._await(lambda: len(self.notes) >= count)

    @staticmethod
    def _await(happened: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert time.monotonic() < until
            time.sleep(0.01)

    def end(self) -> None:
        self.stop.set()
        for event in self.release.values():
            event.set()
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()


class SlowRounds(Rounds):
    """Takes all but some in rounds, and sends when it is let go."""

    def __init__(self, alone: set[str]) -> None:
        self.alone = alone
        self.begun: list[list[str]] = []
        self.sent: list[str] = []
        self.ended: list[str] = []
        self.let_go = Event()
        self.scene: Scene | None = None

    def begin(self, destination_ids: Sequence[str]) -> Begun:
        taken = [name for name in destination_ids if name not in self.alone]
        if taken:
            assert self.scene is not None
            with self.scene.lock:
                self.scene.waiting = [entry for entry in self.scene.waiting if entry.destination_id not in taken]
            self.begun.append(taken)
        return Begun({name: partial(self._send_slowly, name) for name in taken}, self.alone & {*destination_ids})

    def _send_slowly(self, name: str) -> None:
        assert self.let_go.wait(PATIENCE_SECONDS)
        self.sent.append(name)

    def finish(self) -> None:
        self.ended = [*self.sent]


def with_rounds(rounds: SlowRounds, *, workers: int, good: list[str]) -> Scene:
    scene = Scene(workers=workers, failing=[], good=good, rounds=rounds)
    rounds.scene = scene
    return scene


def test_a_round_has_room_for_four_of_a_thread_and_less_while_one_hangs() -> None:
    """I8: what hangs has a thread, so that others' sends do not wait behind it; and large loads make room for them."""
    rounds = SlowRounds({"load"})
    scene = with_rounds(rounds, workers=2, good=["load"])
    scene.start()
    scene.await_begun(1)
    with scene.lock:
        scene.waiting += [DueDestination(f"{number:02}", failing=False) for number in range(20)]
    scene._await(lambda: len(rounds.begun) == 1)
    scene.await_looks(3)
    assert [len(names) for names in rounds.begun] == [4]
    scene.await_told_to_end("load")
    rounds.let_go.set()
    scene._await(lambda: len(rounds.sent) == 20)
    assert max(len(names) for names in rounds.begun) == 4
    scene.end()
    assert scene.error is None


def test_what_a_round_has_sent_is_ended_while_others_are_still_at_work() -> None:
    """Else whoever takes over could not claim it until the longest turn is over."""
    rounds = SlowRounds({"load"})
    scene = with_rounds(rounds, workers=2, good=["load", "small"])
    scene.start()
    scene.await_begun(1)
    scene._await(lambda: len(rounds.begun) == 1)
    scene.stop.set()
    rounds.let_go.set()
    scene._await(lambda: rounds.ended == ["small"])
    assert scene.thread.is_alive()
    scene.end()


def test_the_dead_get_half_of_the_threads_at_most() -> None:
    """I8: ten that hang leave two threads of four to the others, whoever has waited longer."""
    scene = Scene(workers=4, failing=[f"dead {number}" for number in range(10)], good=[])
    scene.start()
    scene.await_begun(2)
    with scene.lock:
        scene.waiting += [DueDestination("good 1", failing=False), DueDestination("good 2", failing=False)]
        scene.release |= {"good 1": Event(), "good 2": Event()}
    scene.await_begun(2)
    assert sorted(scene.served) == ["dead 0", "dead 1", "good 1", "good 2"]
    scene.end()


def test_room_is_made_after_a_stint() -> None:
    """Between two batches, when others wait; not before."""
    scene = Scene(workers=2, failing=[], good=["a", "b", "c"])
    scene.start()
    scene.await_begun(2)
    assert not any(stint.stop.is_set() for stint in scene.stints.values())
    scene.await_told_to_end("a", "b")
    scene.release["a"].set()
    scene.await_begun(1)
    assert scene.served == ["a", "b", "c"]
    scene.end()


def begun(pipeline: Harness, count: int) -> tuple[list[str], Event, threading.Thread]:
    """Begin to serve whatever is due until so many deliveries are done; return what was served, and what ends it."""
    served: list[str] = []
    stop = Event()

    def report(results: list[SyncResult]) -> None:
        served.extend(entry.destination_id for entry in results)
        if len(served) >= count:
            stop.set()

    def run() -> None:
        with pipeline.pipeline.external_dispatcher(pipeline.admin, report) as dispatcher:
            dispatcher.run(stop=stop, max_seconds=math.inf, idle_seconds=math.inf, note=served.append)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return served, stop, thread


def test_many_with_a_small_change_each_pass_one_after_another(
    pipeline: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for another's second, which does not end here."""
    monkeypatch.setattr(dispatcher, "_STINT_SECONDS", math.inf)
    pipeline.configure(external_workers=2)
    tenancies = [pipeline.app.tenancy() for _ in range(10)]
    first = pipeline.configure_external(tenancies[0])
    copies = [first, *(pipeline.configure_external(tenancy, url=first.url) for tenancy in tenancies[1:])]
    pipeline.drain()
    for tenancy in tenancies:
        pipeline.app.user(tenancy)
    pipeline.sequence()
    served, stop, thread = begun(pipeline, len(copies))
    in_time = stop.wait(PATIENCE_SECONDS)
    stop.set()
    thread.join(PATIENCE_SECONDS)
    assert in_time
    assert sorted(served) == sorted(copy.destination_id for copy in copies)
    first.assert_equal("users")


def test_a_server_that_accepts_and_never_answers_delays_no_other(pipeline: Harness) -> None:
    """I8: it costs a thread, and the others are served by the rest, though it is still held when they are done."""
    pipeline.configure(external_workers=2, external_connect_seconds=PATIENCE_SECONDS)
    tenancy = pipeline.app.tenancy()
    pipeline.app.user(tenancy)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        pipeline.configure_external(tenancy, "a", url=f"postgresql://me:x@127.0.0.1:{port}/shop", mappings=["users"])
        copies = [pipeline.configure_external(tenancy, name, mappings=["users"]) for name in "bcd"]
        pipeline.sequence()
        # What hangs is served first, and has a thread when the others come.
        hangs = "update dbsync.pending set pending_since = 'epoch' where destination_id like '%%:a'"
        pipeline.admin.execute(hangs)
        served, stop, thread = begun(pipeline, len(copies))
        wire, _ = silent.accept()
        assert stop.wait(PATIENCE_SECONDS)
        assert sorted(served) == [copy.destination_id for copy in copies]
        wire.close()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert [len(copy.view("users")) for copy in copies] == [1, 1, 1]


def test_one_that_is_back_makes_room_for_others_that_may_be() -> None:
    """A long catch-up after an outage does not keep other outages from being looked after, though threads are free."""
    scene = Scene(workers=4, failing=["back 1", "back 2", "back 3"], good=[])
    scene.start()
    scene.await_begun(2)
    scene.await_told_to_end("back 1", "back 2")
    scene.release["back 1"].set()
    scene.await_begun(1)
    assert scene.served[2] == "back 3"
    scene.end()


def test_a_stop_ends_every_stint() -> None:
    scene = Scene(workers=2, failing=[], good=["a"])
    scene.start()
    scene.await_begun(1)
    scene.stop.set()
    assert scene.stints["a"].stop.wait(PATIENCE_SECONDS)
    assert scene.thread.is_alive()
    scene.end()
    assert scene.error is None


@pytest.mark.parametrize("known", [True, False])
def test_one_that_cannot_be_served_is_noted(*, known: bool) -> None:
    """What nobody foresaw ends the run, after the others were told to end."""
    scene = Scene(workers=2, failing=[], good=["a", "b"])

    def fail(name: str) -> None:
        if name == "a":
            raise UnreachableError("gone") if known else ValueError("bug")

    scene.act = fail
    scene.start()
    scene.await_begun(2)
    if known:
        scene.release["b"].set()
        scene.end()
        assert (scene.notes, scene.error) == (["a: gone"], None)
    else:
        assert scene.stints["b"].stop.wait(PATIENCE_SECONDS)
        scene.end()
        assert isinstance(scene.error, ValueError)


def test_one_whose_stint_failed_rests_for_longer_each_time() -> None:
    """I8: what the queue does not know of is not tried again at once, is said, and counts as failing meanwhile."""
    scene = Scene(workers=2, failing=[], good=["a"])
    scene.release["a"].set()
    failing = True

    def fail(name: str) -> None:
        with scene.lock:
            scene.waiting.append(DueDestination(name, failing=False))
        if failing:
            raise UnreachableError("gone")
        scene.release[name].clear()

    scene.act = fail
    scene.start()
    scene.await_begun(1)
    scene.await_noted(1)
    for count, seconds in ((2, 1.0), (3, 2.0)):
        scene.now += seconds - 0.1
        scene.await_looks(2)
        assert len(scene.served) == count - 1
        scene.now += 0.1
        scene.await_begun(1)
        scene.await_noted(count)
    failing = False
    scene.now += 4.0
    scene.await_begun(1)
    assert scene.stints["a"].failing
    scene.release["a"].set()
    scene.await_begun(1)
    assert not scene.stints["a"].failing
    scene.end()
    assert set(scene.notes) == {"a: gone"}


def test_those_that_fail_are_found_last_and_in_turn(pipeline: Harness) -> None:
    """I8: however many are dead, one that is not is found; and each of the dead is tried before any is tried again."""
    tenancy = pipeline.app.tenancy()
    for name in ("a dead", "b dead", "c good"):
        pipeline.configure_external(tenancy, name, url="postgresql://me:x@127.0.0.1:1/shop")
    pipeline.sequence()
    where = "where destination_id like '%% dead'"
    pipeline.admin.execute(
        "update dbsync.pending set wanted = 1, last_error = case when destination_id like '%% dead' then 'x' end, "
        "next_attempt_at = case when destination_id like '%%a dead' then now() - interval '1 minute' "
        "when destination_id like '%%b dead' then now() - interval '2 minutes' else '-infinity' end, "
        "pending_since = now() - case when destination_id like '%%a dead' then interval '1 hour' else '0' end"
    )
    found = [entry.destination_id.rpartition(":")[2] for entry in destinations_due(pipeline.admin, 10)]
    assert found == ["c good", "b dead", "a dead"]
    assert pipeline.value(f"select count(*) > 0 from dbsync.pending {where}") is True
