"""Serves many destinations that have nothing to do with each other, several at a time.

Each gets a thread of its own while it has work, so that one that hangs costs a thread until its own time limits end it.
Those whose last attempt failed get half of the threads at most: however many databases are dead, the others are served
at once (I8). One that has nothing left gives its thread up at once, so that many destinations with small changes pass
one after another, however few the threads are.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event

from dbsync_pipeline.engine.rounds import Rounds
from dbsync_pipeline.errors import DbsyncError
from dbsync_pipeline.pending.due import DueDestination

_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.25
_STINT_SECONDS = 1.0
"""After that, a worker makes room between two batches when others wait for a thread."""

_SHORTEST_REST_SECONDS = 1.0
_LONGEST_REST_SECONDS = 60.0

_LOOK_AHEAD = 4
"""So many times the threads there are is looked for, as some may fail and some be at work."""


@dataclass(frozen=True)
class Stint:
    """A thread's time at one destination.

    Attributes:
        in_round: it is one delivery, together with others.
        stop: ends it between two batches.
    """

    since: float
    failing: bool
    in_round: bool = False
    stop: Event = field(default_factory=Event)


@dataclass(frozen=True)
class _Rest:
    """How long a destination whose stint has failed is left alone; as no delivery failed, the queue does not say."""

    until: float
    seconds: float


class Dispatcher:
    """One sync run's threads.

    Args:
        due: returns the destinations that have something due, at most as many as it is asked for.
        serve: works at one destination until nothing is left there, or its stint is told to stop.
        wait: returns after so many seconds, or as soon as something may have become due.
        rounds: serve those that they can, together.
        workers: threads.
    """

    def __init__(
        self,
        due: Callable[[int], list[DueDestination]],
        serve: Callable[[str, Stint], None],
        wait: Callable[[float], object],
        *,
        rounds: Rounds | None = None,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._due = due
        self._serve = serve
        self._wait = wait
        self._rounds = rounds
        self._workers = workers
        self._clock = clock
        self._running: dict[str, tuple[Stint, Future[None]]] = {}
        self._rests: dict[str, _Rest] = {}

    def run(
        self,
        *,
        stop: Event,
        max_seconds: float,
        idle_seconds: float,
        note: Callable[[str], None],
    ) -> None:
        """Serve until stopped, out of time, or idle for long; what has begun is always finished.

        Args:
            stop: set it to end early, between two batches.
            max_seconds: nothing is begun after that.
            idle_seconds: how long nothing may be due.
            note: takes a line about a destination that could not even be served.

        Raises:
            UnreachableError: the source does not answer.
        """
        started = last_work = self._clock()
        pause = _SHORTEST_PAUSE_SECONDS
        with ThreadPoolExecutor(self._workers, thread_name_prefix="dbsync external") as threads:
            try:
                while not stop.is_set() and self._clock() - started < max_seconds:
                    self._collect(note)
                    if self._begin(threads):
                        pause = _SHORTEST_PAUSE_SECONDS
                    if self._running:
                        last_work = self._clock()
                    elif self._clock() - last_work >= idle_seconds:
                        return
                    pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
                    self._pause(pause)
            finally:
                for stint in self._stints:
                    stint.stop.set()
                while self._running:
                    wait([future for _, future in self._running.values()], _LONGEST_PAUSE_SECONDS, FIRST_COMPLETED)
                    self._collect(note)

    @property
    def _stints(self) -> list[Stint]:
        return [stint for stint, _ in self._running.values()]

    def _pause(self, seconds: float) -> None:
        """Wait until a round is over, but for those that take long, or else for what may become due."""
        in_round = [
            future for stint, future in self._running.values() if stint.in_round and not self._takes_long(stint)
        ]
        if in_round:
            wait(in_round, seconds)
            seconds = 0
        self._wait(seconds)

    @property
    def _free(self) -> int:
        """How many threads nobody has for long; what is in a round takes them in turn, as a rule in a moment."""
        return self._workers - sum(not stint.in_round or self._takes_long(stint) for stint in self._stints)

    def _takes_long(self, stint: Stint) -> bool:
        return self._clock() - stint.since >= _STINT_SECONDS

    def _collect(self, note: Callable[[str], None]) -> None:
        for destination_id, (_, future) in list(self._running.items()):
            if future.done():
                del self._running[destination_id]
                error = future.exception()
                rest = self._rests.pop(destination_id, None)
                if isinstance(error, DbsyncError):
                    seconds = min(rest.seconds * 2, _LONGEST_REST_SECONDS) if rest else _SHORTEST_REST_SECONDS
                    self._rests[destination_id] = _Rest(self._clock() + seconds, seconds)
                    note(f"{destination_id}: {error.what}")
                elif error is not None:
                    raise error
        if self._rounds is not None:
            self._rounds.finish()

    def _begin(self, threads: ThreadPoolExecutor) -> bool:
        now = self._clock()
        resting = {name for name, rest in self._rests.items() if now < rest.until}
        due = [
            DueDestination(entry.destination_id, entry.failing or entry.destination_id in self._rests)
            for entry in self._due(_LOOK_AHEAD * self._workers + len(resting))
            if entry.destination_id not in self._running.keys() | resting
        ]
        waiting = self._begin_round(due, threads)
        failing = sum(stint.failing for stint in self._stints)
        free = self._free
        # Sorting keeps the order of waiting within the two kinds.
        for entry in sorted(waiting, key=lambda entry: entry.failing):
            if free <= 0:
                self._make_room(self._stints)
                break
            if entry.failing:
                if failing >= self._workers // 2:
                    # One that failed and is back may have much to catch up with, and counts as any other by now.
                    self._make_room(stint for stint in self._stints if stint.failing)
                    break
                failing += 1
            stint = Stint(self._clock(), entry.failing)
            self._running[entry.destination_id] = stint, threads.submit(self._serve, entry.destination_id, stint)
            free -= 1
        return bool(due)

    def _begin_round(self, due: list[DueDestination], threads: ThreadPoolExecutor) -> list[DueDestination]:
        """Send what those of the longest waiting that can be served together need; return the others."""
        if self._rounds is None or self._free <= 0:
            return due
        if any(stint.in_round and self._takes_long(stint) for stint in self._stints):
            self._make_room(self._stints)
        room = _LOOK_AHEAD * self._free - sum(stint.in_round for stint in self._stints)
        together = [entry.destination_id for entry in due if not entry.failing][: max(room, 0)]
        begun = self._rounds.begin(together)
        for destination_id, send in begun.sending.items():
            stint = Stint(self._clock(), failing=False, in_round=True)
            self._running[destination_id] = stint, threads.submit(send)
        # Whoever has no room in this one has in the next, and needs no worker of its own for that.
        return [entry for entry in due if entry.failing or entry.destination_id in begun.alone]

    def _make_room(self, stints: Iterable[Stint]) -> None:
        for stint in stints:
            if self._takes_long(stint):
                stint.stop.set()
