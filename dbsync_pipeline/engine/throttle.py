"""Bounds how many rows a second are delivered.

A bucket fills at that rate, up to what comes in a second. A turn takes what is there, before it cuts its chunks, and
the next one waits until half a second's worth is there again: so turns are few, also where threads share a bucket.
"""

import time
from collections.abc import Callable
from threading import Lock


class Throttle:
    """One bucket; safe to share between threads."""

    def __init__(self, rows_per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._level = rows_per_second
        self._filled_at = clock()
        self._lock = Lock()

    def seconds(self) -> float:
        """Return how long to wait before the next turn."""
        with self._lock:
            self._fill()
            return max(0.0, 0.5 - self._level / self._rate)

    def take(self, most: int) -> int:
        """Take what is there, `most` rows at most, and at least one: who has claimed something must get on with it."""
        with self._lock:
            self._fill()
            taken = max(1, min(most, int(self._level)))
            self._level -= taken
            return taken

    def settle(self, taken: int, used: int) -> None:
        """Give back what was taken and not used, or owe what was used beyond it."""
        with self._lock:
            self._level += taken - used

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._rate, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
