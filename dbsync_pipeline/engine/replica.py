"""Lets a worker read from a hot standby, which is always a little behind.

Everything that is right on the primary is right here, too, as long as one thing holds: what a worker reads is never
older than its claims. Then the rows that it was told of are in its view, so are the mappings of the claims' epochs, and
whoever claims a pair later sees a later view. So before each snapshot the standby has to have replayed what the primary
had written after the claim. Lag delays by its length, and nothing can be skipped.
"""

import time
from collections.abc import Callable

import psycopg

from dbsync_pipeline.errors import UnreachableError

_SHORTEST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.25


class Replica:
    """Waits for a standby; owns neither session.

    Args:
        primary: the session that claims, in autocommit mode.
        standby: the session that reads, in autocommit mode.
        longest_seconds: how long to wait at most; a claim is no use for longer than its lease.
    """

    def __init__(
        self,
        primary: psycopg.Connection,
        standby: psycopg.Connection,
        *,
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._primary = primary
        self._standby = standby
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._sleep = sleep

    def catch_up(self) -> None:
        """Return when the standby shows everything that is committed now.

        Raises:
            UnreachableError: it is too far behind, or is no standby.
        """
        # Where the next record will be: also what is committed without waiting for the disk comes before it.
        row = self._primary.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        (position,) = row
        started = self._clock()
        pause = _SHORTEST_PAUSE_SECONDS
        while not self._has_replayed(position):
            waited = self._clock() - started
            if waited >= self._longest_seconds:
                raise UnreachableError(
                    f"the replica of the source is more than {waited:.0f} s behind it",
                    "Look at its replication; work goes on when it has caught up. A longer DBSYNC_LEASE_SECONDS "
                    "lets workers wait for longer; without DBSYNC_REPLICA_URL they read from the source itself.",
                )
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _has_replayed(self, position: str) -> bool:
        row = self._standby.execute(
            "select pg_is_in_recovery(), pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]
        ).fetchone()
        assert row is not None
        in_recovery, replayed = row
        if not in_recovery:
            raise UnreachableError(
                "the replica of the source is no hot standby",
                "It may have been promoted: point DBSYNC_SOURCE_URL and DBSYNC_REPLICA_URL to what they are now.",
            )
        return bool(replayed)
