"""The sequencer's loop: when it goes on, when it rests, and when it ends."""

from collections.abc import Callable
from threading import Event

import pytest

from dbsync_pipeline.sequencer.sequencer import PassResult, Sequencer


class Clock(Event):
    """A clock and a stop signal in one: waiting makes the time pass, and nothing else does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        self.now += timeout or 0
        return self.is_set()


def loop(
    monkeypatch: pytest.MonkeyPatch,
    passes: Callable[[int], PassResult],
    *,
    clock: Clock,
    max_seconds: float = 1_000,
    idle_seconds: float = 10,
) -> list[PassResult]:
    """Run the loop over made-up passes; return what it reported."""
    reports: list[PassResult] = []
    sequencer = Sequencer.__new__(Sequencer)
    monkeypatch.setattr(sequencer, "run_pass", lambda: passes(len(reports)), raising=False)
    sequencer.run(stop=clock, max_seconds=max_seconds, idle_seconds=idle_seconds, report=reports.append, clock=clock)
    return reports


def test_idle_passes_come_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """D10: within a second the pause is ten times the first one, and it ends after ten idle seconds."""
    clock = Clock()
    reports = loop(monkeypatch, lambda number: PassResult(), clock=clock)
    assert len(reports) < 60
    assert clock.waits[0] < 0.05
    assert max(clock.waits) <= 0.3
    assert 10 <= clock.now < 12


def test_a_backlog_is_numbered_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fast as it can be, also where a pass has nothing to deliver."""
    clock = Clock()
    reports = loop(
        monkeypatch,
        lambda number: PassResult(handled=1, filled=True) if number < 50 else PassResult(),
        clock=clock,
    )
    assert len(reports) > 50
    assert clock.waits[0] < 0.05
    assert len(clock.waits) == len(reports) - 51


def test_a_trickle_is_gathered_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as changes come one by one, the pause stays the shortest there is."""
    clock = Clock()
    loop(monkeypatch, lambda number: PassResult(handled=1), clock=clock, max_seconds=1)
    assert 0 < min(clock.waits) <= max(clock.waits) < 0.05


@pytest.mark.parametrize(("pass_seconds", "pause"), [(0.06, 0.06), (5, 0.1)])
def test_a_pass_is_followed_by_a_pause_as_long(
    monkeypatch: pytest.MonkeyPatch, pass_seconds: float, pause: float
) -> None:
    """A busy machine is left alone for half of the time, but nobody waits long for that."""
    clock = Clock()

    def busy(number: int) -> PassResult:
        clock.now += pass_seconds
        return PassResult(handled=1)

    loop(monkeypatch, busy, clock=clock, max_seconds=20)
    assert 0.8 * pause <= min(clock.waits) <= max(clock.waits) <= 1.2 * pause


def test_it_starts_quickly_again_after_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    loop(monkeypatch, lambda number: PassResult(handled=1 if number == 10 else 0), clock=clock)
    assert clock.waits[10] < 0.05 < clock.waits[9]


def test_a_failing_table_does_not_make_it_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """D60: it goes on, with pauses, and the others' work keeps it from ending."""
    clock = Clock()
    broken = PassResult(handled=1, errors={"Team": "broken"})
    reports = loop(monkeypatch, lambda number: broken, clock=clock, max_seconds=1)
    assert len(clock.waits) == len(reports) - 1 > 5


def test_a_failing_table_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """D60: whoever starts it would have to start it again at once, and each of its runs would fail."""
    clock = Clock()
    reports = loop(monkeypatch, lambda number: PassResult(errors={"Team": "gone"}), clock=clock, max_seconds=900)
    assert clock.now >= 900
    assert len(reports) < 600
    assert max(clock.waits) <= 3


def test_a_table_that_is_mended_lets_it_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    broken = PassResult(errors={"Team": "gone"})
    loop(monkeypatch, lambda number: broken if number < 50 else PassResult(), clock=clock)
    assert 50 < clock.now < 150


def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is left to do."""
    clock = Clock()

    def busy(number: int) -> PassResult:
        clock.now += 1
        return PassResult(handled=1)

    assert len(loop(monkeypatch, busy, clock=clock, max_seconds=5)) == 5


def test_it_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def stopping(number: int) -> PassResult:
        if number == 3:
            clock.set()
        return PassResult(handled=1)

    assert len(loop(monkeypatch, stopping, clock=clock)) == 4
