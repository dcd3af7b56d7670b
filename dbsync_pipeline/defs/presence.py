"""One run's place among the workers of its job: taken at its beginning, handed over when its time is up.

It lives in the run's main thread, on a session of its own, so that work that takes long never hides that the run is
alive. A source that does not answer ends nothing: the work goes through the outage, and the place is taken again.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

import psycopg

from dbsync_pipeline.defs import liveness
from dbsync_pipeline.errors import DbsyncError

HAND_OVER_SECONDS = 120.0
"""A run whose time is up works on for so long, if nobody comes to take its place."""


class Presence:
    """Shows a run in the source.

    Args:
        open_session: opens the session that holds the locks.
        job_name: the run's job.
        place: the number of its place.
        run_id: the run.
        seconds: how long it stays before it looks for a successor.
        clock: a monotonic clock.
    """

    def __init__(
        self,
        open_session: Callable[[], AbstractContextManager[psycopg.Connection]],
        job_name: str,
        place: int,
        run_id: str,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_session = open_session
        self._job_name = job_name
        self._place = place
        self._run_id = run_id
        self._seconds = seconds
        self._clock = clock
        self._started = clock()
        self._session = ExitStack()
        self._connection: psycopg.Connection | None = None
        self._was_at_work = False
        self._leaving = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()

    def goes_on(self) -> bool:
        """Show the run as alive, and return whether it is to go on working; to be called again and again."""
        try:
            wanted = self._look(self._connection or self._open())
        except (DbsyncError, psycopg.Error):
            self._forget()
            wanted = True
        return wanted and self._clock() - self._started < self._seconds + HAND_OVER_SECONDS

    def end_work(self) -> None:
        """Give the place back for good: the run works no more, but is alive, which goes on being shown."""
        self._leaving = True
        try:
            if self._connection is not None:
                liveness.withdraw(self._connection, self._run_id)
        except psycopg.Error:
            self._forget()

    def _open(self) -> psycopg.Connection:
        self._connection = self._session.enter_context(self._open_session())
        if not self._leaving:
            # After an outage, the session that was lost may hold the place for a while; the run has it all the same.
            self._was_at_work |= liveness.fill(self._connection, self._job_name, self._place)
        liveness.show(self._connection, self._run_id)
        return self._connection

    def _look(self, connection: psycopg.Connection) -> bool:
        filled = liveness.Places.of(connection, self._job_name).filled
        if not self._was_at_work:
            return False
        if self._leaving:
            return self._place not in filled
        if self._clock() - self._started >= self._seconds:
            self._leaving = True
            liveness.leave(connection, self._job_name, self._place)
        return True

    def _forget(self) -> None:
        self._connection = None
        try:
            self._session.close()
        except (DbsyncError, psycopg.Error):
            self._session = ExitStack()
