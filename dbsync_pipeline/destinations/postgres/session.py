"""A session on an external database, and what its errors mean here.

It has bounds of its own, so that a database that hangs costs nothing but its own turn: connecting, statements and locks
end by the server's own limits, and a server that has fallen silent altogether is cut off from this side. A worker that
hangs, or is gone without a word, costs the database little, too: the server ends its session by itself. Names resolve
in `pg_catalog` alone, whatever the database's owner has put elsewhere, and what is acknowledged is durable (I5).
"""

import json
import math
import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from dbsync_pipeline.destinations.postgres.address import Address
from dbsync_pipeline.destinations.postgres.watch import WATCH
from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    IncompatibleTargetError,
    NotInstalledError,
    RefusedForNowError,
    UnreachableError,
)

_GRACE_SECONDS = 5.0
"""What a server gets beyond its own limits before it is taken for silent."""

_LONGEST_IDLE_SECONDS = 86_400
"""So long a worker never needs between two statements, though it may sweep a large database meanwhile; sessions without
work it ends itself, and far sooner."""

_SINCE = {"idle_session_timeout": 140_000, "transaction_timeout": 170_000}
"""The versions that know these settings; an older one refuses to set them."""

_KEEPALIVE = {"idle": "30", "interval": "10", "count": "3"}
"""A side that is gone without a word is noticed within a minute by the other, not in the two hours of most systems."""

_SET_UP = "select set_config(name, setting, false) from json_each_text(%s::json) as given (name, setting)"

_SOMETHING_IS_MISSING = ("42P01", "42703", "3F000")
_IT_CANNOT_NOW = ("08", "25", "28", "3D000", "40", "42501", "53", "55", "57", "58", "XX")
"""SQLSTATEs, or their classes, of what passes, or is mended, without a row being changed."""

_IT_IS_NOT_WHAT_IT_WAS = ("0A", "2B", "42")
"""Of a table that somebody changed; whatever is left, triggers' own states included, a row has brought about."""


@dataclass(frozen=True)
class TimeLimits:
    """Seconds that connecting, a statement, and waiting for a lock may take."""

    connect: float
    statement: float
    lock: float


class ExternalSession:
    """One connection.

    Whatever it raises is `UnreachableError` (does not answer, or lets nobody in), `RefusedForNowError` (a statement has
    to wait: a lock, a limit, a right that is missing), `NotInstalledError` (something of ours is missing there),
    `IncompatibleTargetError` (somebody changed it) or `BadRowError` (it refuses a row). All but the first leave the
    session as good as it was.
    """

    def __init__(self, address: Address, limits: TimeLimits) -> None:
        """Open it."""
        self.place = address.place
        self.staged = set[str]()
        """Ids of the mappings that this session has made a stage for."""
        self._limits = limits
        self.silent_at = math.inf
        """When the server is taken for silent, by `time.monotonic`; for the watch."""
        self._connection: psycopg.Connection | None = None
        with self._own_errors():
            self._connection = self.connection = psycopg.connect(
                **address.parameters,  # pyright: ignore[reportArgumentType] -- libpq's own keywords, all of them text
                # libpq takes one second for none at all.
                connect_timeout=max(2, round(limits.connect)),
                tcp_user_timeout=round((limits.connect + _GRACE_SECONDS) * 1_000),
                **{f"keepalives_{name}": value for name, value in _KEEPALIVE.items()},
                client_encoding="UTF8",
                autocommit=True,
            )
        try:
            with self.turn():
                self.connection.execute(_SET_UP, [json.dumps(self._settings())])
        except BaseException:
            self.connection.close()
            raise

    @property
    def _statement_timeout(self) -> str:
        """How long a statement may take, as the server's setting."""
        return f"{self._limits.statement * 1_000:.0f}ms"

    def _settings(self) -> dict[str, str]:
        statement, lock = self._statement_timeout, f"{self._limits.lock * 1_000:.0f}ms"
        settings = {
            "timezone": "UTC",
            "datestyle": "ISO",
            "search_path": "pg_catalog, pg_temp",
            "synchronous_commit": "on",
            "statement_timeout": statement,
            "lock_timeout": lock,
            "idle_in_transaction_session_timeout": statement,
            "idle_session_timeout": f"{_LONGEST_IDLE_SECONDS}s",
            # One that builds a key after a first load takes as long as that takes.
            "transaction_timeout": "0",
            **{f"tcp_keepalives_{name}": value for name, value in _KEEPALIVE.items()},
        }
        version = self.connection.info.server_version
        return {name: setting for name, setting in settings.items() if version >= _SINCE.get(name, 0)}

    @property
    def is_at_rest(self) -> bool:
        """Whether it can be used and nothing is open in it, for all that is known here."""
        return self.connection.info.transaction_status == TransactionStatus.IDLE

    def close(self) -> None:
        """End it."""
        self.connection.close()

    @contextmanager
    def turn(self) -> Generator[psycopg.Connection]:
        """Give the connection for a piece of work, and cut it off when the server falls silent meanwhile."""
        self.progress()
        with self._own_errors(), WATCH.over(self):
            yield self.connection

    def progress(self) -> None:
        """Note that the server is not silent; who sends much data says so after every block."""
        self.silent_at = time.monotonic() + self._limits.statement + _GRACE_SECONDS

    def share(self, statements: int) -> None:
        """Have the rest of the transaction's statements take no longer together than one may otherwise."""
        each = f"{max(self._limits.statement / statements, 0.001) * 1_000:.0f}ms"
        self.connection.execute("select set_config('statement_timeout', %s, true)", [each])

    def allow(self, seconds: float) -> None:
        """Give the rest of the transaction's statements longer than usual."""
        limit = self._limits.statement + seconds
        self.connection.execute("select set_config('statement_timeout', %s, true)", [f"{limit * 1_000:.0f}ms"])
        self.silent_at = time.monotonic() + limit + _GRACE_SECONDS

    def patiently(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass blocks on; while one is waited for, it is not the server that is silent."""
        while True:
            self.silent_at = math.inf
            block = next(blocks, None)
            self.progress()
            if block is None:
                return
            yield block

    def copy(self, statement: sql.Composed, blocks: Iterator[bytes], *, before: sql.Composed | None = None) -> None:
        """Send blocks by COPY, in the transaction that is open, after another statement if need be; `limit` is next."""
        # How long a batch takes to send is the network's business; that it moves at all is watched from here.
        unlimited = sql.SQL("set local statement_timeout = 0")
        with self.connection.cursor() as cursor:
            cursor.execute(unlimited if before is None else sql.SQL("{}; {}").format(before, unlimited))
            with cursor.copy(statement) as copy:
                for block in self.patiently(blocks):
                    copy.write(block)

    def limit(self) -> None:
        """Have the rest of the transaction's statements take no longer than usual."""
        self.connection.execute("select set_config('statement_timeout', %s, true)", [self._statement_timeout])

    def cut(self) -> None:
        """Shut the socket down under whoever waits at it; closing the connection is their business."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _own_errors(self) -> Generator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: psycopg.Error) -> DbsyncError:
        state = error.sqlstate
        if state is None or state.startswith(_IT_CANNOT_NOW):
            usable = self._connection is not None and not self._connection.closed
            return (RefusedForNowError if usable else UnreachableError)(
                f"the external database at {self.place} cannot be written now: {_words(error)}",
                "It is tried again by itself; if it stays so, ask its owner, or disable it.",
            )
        if state in _SOMETHING_IS_MISSING:
            return NotInstalledError(
                f"the external database at {self.place} lacks what it had: {_words(error)}",
                "Something of dbsync's was removed there; it is made again at the next attempt.",
            )
        if state.startswith(_IT_IS_NOT_WHAT_IT_WAS):
            return IncompatibleTargetError(
                f"the external database at {self.place} is not as dbsync left it: {_words(error)}",
                "Undo what was changed there, or drop the table; it is then made and filled anew.",
            )
        return BadRowError(f"the external database at {self.place} refuses a row: {_words(error)}")


def _words(error: psycopg.Error) -> str:
    """The server's own message, without its detail, which holds values of the row."""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return " ".join(text.split())[:300]
