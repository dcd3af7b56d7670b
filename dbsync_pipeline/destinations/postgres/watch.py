"""Cuts off servers that have fallen silent: one thread for all sessions of a process that are at work.

A thread for each piece of work would be right, too, but to start one takes a tenth of the time of a small delivery.
"""

import math
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

_LONGEST_PAUSE_SECONDS = 1.0
"""So much later than due may a server be cut off that has been given less time meanwhile."""


class Watched(Protocol):
    """Somebody who waits for a server."""

    @property
    def silent_at(self) -> float:
        """When the server is taken for silent, by `time.monotonic`."""
        ...

    def cut(self) -> None:
        """Have whoever waits for the server wait no longer."""
        ...


class Watch:
    """Whom the thread looks after; it ends while there is nobody, and begins again."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Look after nobody, as a process that was forked must: what the other one waits for is the other's."""
        self._changed = threading.Condition()
        self._watched = set[Watched]()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, watched: Watched) -> Generator[None]:
        """Look after somebody for as long as the context lasts, and not a moment longer."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dbsync watch", daemon=True)
                self._thread.start()
            self._watched.add(watched)
            if watched.silent_at < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.discard(watched)

    def _run(self) -> None:
        with self._changed:
            while self._watched:
                now = time.monotonic()
                for silent in [entry for entry in self._watched if now >= entry.silent_at]:
                    silent.cut()
                    self._watched.discard(silent)
                soonest = min((entry.silent_at for entry in self._watched), default=math.inf)
                self._wakes_at = min(soonest, now + _LONGEST_PAUSE_SECONDS)
                self._changed.wait(self._wakes_at - now)
            self._thread = None


WATCH = Watch()
"""The one of this process."""

os.register_at_fork(after_in_child=WATCH.forget)
