"""Servers that fall silent: who is cut off, and who is not."""

import math
import os
import threading
import time
from dataclasses import dataclass, field

from dbsync_pipeline.destinations.postgres.watch import WATCH, Watch

PATIENCE_SECONDS = 20.0


@dataclass(eq=False)
class Waiting:
    """Somebody who waits for a server."""

    silent_at: float
    was_cut: threading.Event = field(default_factory=threading.Event)

    def cut(self) -> None:
        self.was_cut.set()


def test_only_those_whose_server_is_silent_are_cut_off() -> None:
    """One that comes later may be due earlier, and is."""
    watch, patient, hurried = Watch(), Waiting(math.inf), Waiting(time.monotonic() + 0.1)
    with watch.over(patient), watch.over(hurried):
        assert hurried.was_cut.wait(PATIENCE_SECONDS)
    assert not patient.was_cut.is_set()


def test_nobody_is_cut_off_once_it_is_over() -> None:
    watch, over, other = Watch(), Waiting(time.monotonic() + 0.3), Waiting(time.monotonic() + 0.6)
    with watch.over(other):
        with watch.over(over):
            pass
        assert other.was_cut.wait(PATIENCE_SECONDS)
    assert not over.was_cut.is_set()


def test_the_thread_ends_and_begins_again() -> None:
    watch = Watch()
    for _ in range(2):
        waiting = Waiting(time.monotonic())
        with watch.over(waiting):
            assert waiting.was_cut.wait(PATIENCE_SECONDS)
        (thread,) = [entry for entry in [watch._thread] if entry is not None]
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_a_process_that_was_forked_looks_after_its_own_only() -> None:
    """A socket that is shut down in one is shut in the other, too."""
    waiting = Waiting(math.inf)
    with WATCH.over(waiting):
        child = os.fork()
        if child == 0:
            os._exit(len(WATCH._watched))
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
