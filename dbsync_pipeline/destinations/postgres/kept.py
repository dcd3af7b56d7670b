"""Sessions on external databases that a process keeps while their workers have nothing left to do there.

To open one takes both sides several times the processor time of a small delivery. So a worker that is done leaves its
session here, and whoever comes next with the same connection string goes on with it; a database that many tenancies
share thus never has more of them than were at work in it at once. How a database is configured, what it has, and how
far it is are not kept: everyone who comes looks at them anew.

A session is kept until nobody has wanted it for a while, its destination has another connection string, or there are
too many. One on which a worker has failed is not left here: it may lead to a server that its name no longer stands for.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Self

from dbsync_pipeline.destinations.postgres.session import ExternalSession

_MOST_KEPT = 500


def most_kept() -> int:
    """Return how many sessions a process may keep: each is an open file."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_KEPT if files == resource.RLIM_INFINITY else min(_MOST_KEPT, files // 2)


@dataclass(frozen=True)
class _Kept:
    """A session at rest, and whose worker has left it when."""

    destination_id: str
    connection: str = field(repr=False)
    session: ExternalSession
    since: float


class KeptSessions:
    """What rests in one process; safe to share between threads. All of it is closed with the context.

    Args:
        connect: opens a session from a connection string.
        most: how many may rest.
        idle_seconds: for how long each may.
    """

    def __init__(
        self,
        connect: Callable[[str], ExternalSession],
        *,
        most: int,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.open = connect
        self._most = most
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = Lock()
        # The longest unused first.
        self._resting: list[_Kept] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_those(lambda _kept: True)

    def rests(self, connection: str) -> bool:
        """Tell whether a session that was opened by a connection string rests here."""
        with self._lock:
            return any(kept.connection == connection for kept in self._resting)

    def take(self, destination_id: str, connection: str) -> ExternalSession | None:
        """Return the session that was used last of those opened by a connection string; None where none rests here.

        What the same destination has left here under another string is closed.
        """
        self._close_those(lambda kept: kept.destination_id == destination_id and kept.connection != connection)
        with self._lock:
            found = next((kept for kept in reversed(self._resting) if kept.connection == connection), None)
            if found is None:
                return None
            self._resting.remove(found)
            return found.session

    def leave(self, destination_id: str, connection: str, session: ExternalSession) -> None:
        """Keep a session for whoever comes next, instead of the longest unused where there are too many."""
        if not session.is_at_rest:
            session.close()
            return
        with self._lock:
            self._resting.append(_Kept(destination_id, connection, session, self._clock()))
            surplus = [self._resting.pop(0) for _ in range(len(self._resting) - self._most)]
        for kept in surplus:
            kept.session.close()

    def close_idle(self) -> None:
        """Close what nobody has wanted for too long."""
        since = self._clock() - self._idle_seconds
        self._close_those(lambda kept: kept.since <= since)

    def _close_those(self, unwanted: Callable[[_Kept], bool]) -> None:
        with self._lock:
            closing = [kept for kept in self._resting if unwanted(kept)]
            self._resting = [kept for kept in self._resting if kept not in closing]
        for kept in closing:
            kept.session.close()
