"""Connections to the application's Postgres.

Every session is set up the same way, whatever the host, the role or the database says. UTC, ISO dates, exact floats:
text that leaves Postgres never depends on where this runs. No time limits, READ COMMITTED, and leave to write: a load
may take long, a lock is waited for, and what runs in another way says so itself. A database that does not answer, or
cannot do something now, becomes one clear error.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dbsync_pipeline.errors import SettingsError, UnreachableError

_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # Where settings follow each other, a blank within one is escaped.
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # Rows that a policy hides from this role would be missing from copies, and from what these are compared with.
    "row_security": "off",
    # A number that was delivered and then lost in a crash would be given again.
    "synchronous_commit": "on",
    # A machine that is gone without a word gives its locks back in a minute, not in the two hours of most systems.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_TRANSACTION_TIMEOUT_SINCE = 170_000
"""The version that knows a limit for whole transactions; an older one refuses a session that names it."""

_CONNECT_TIMEOUT_SECONDS = 10

SOURCE_SETTING = "DBSYNC_SOURCE_URL"
"""The variable that names the source; its replica has another one."""


def place_of(url: str, setting: str = SOURCE_SETTING) -> str:
    """Return host, port and database of a connection string, and nothing secret.

    Raises:
        SettingsError: it is no connection string.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise SettingsError(
            "the connection string of the source Postgres cannot be read",
            f"Write {setting} as postgresql://user:password@host:port/database.",
        ) from None
    if "@" in str(parts.get("host", "")):
        # What libpq takes for the host begins with the end of the password.
        raise SettingsError(
            "the connection string of the source Postgres has an @ in its user or password",
            f"Write it as %40 in {setting}.",
        )
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def connect(
    url: str, *, application_name: str = "dbsync", autocommit: bool = True, setting: str = SOURCE_SETTING
) -> psycopg.Connection:
    """Open a session on the source, or on its replica; `setting` is the variable that an error names.

    Raises:
        SettingsError: the connection string cannot be read.
        UnreachableError: nobody answers there, or the login is refused.
    """
    place = place_of(url, setting)
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items() if name != "client_encoding")
    try:
        connection = psycopg.connect(
            url,
            application_name=application_name,
            autocommit=True,
            options=options,
            client_encoding=_SESSION["client_encoding"],
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        )
        if connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
            connection.execute("set transaction_timeout = 0")
        connection.autocommit = autocommit
    except psycopg.OperationalError as error:
        raise _unreachable(place, error, setting) from error
    return connection


@contextmanager
def session(
    url: str, *, application_name: str = "dbsync", autocommit: bool = True, setting: str = SOURCE_SETTING
) -> Generator[psycopg.Connection]:
    """Open a session, close it at the end, and turn what passes by itself into an `UnreachableError`.

    That is a connection lost in between, and whatever else is no fault of a statement: a deadlock, a full disk, a query
    that an administrator has ended.
    """
    place = place_of(url, setting)
    connection = connect(url, application_name=application_name, autocommit=autocommit, setting=setting)
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        if connection.broken or isinstance(error, psycopg.errors.AdminShutdown | psycopg.errors.CannotConnectNow):
            raise _unreachable(place, error, setting) from error
        raise UnreachableError(
            f"the source Postgres at {place} cannot do it now: {error.diag.message_primary or error}",
            "Nothing is lost; work goes on where it stopped.",
        ) from error


def _unreachable(place: str, error: psycopg.Error, setting: str) -> UnreachableError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UnreachableError(
        f"the source Postgres at {place} does not answer: {lines[-1].strip()}",
        f"Check that it runs and that {setting} points to it; work goes on where it stopped.",
    )


@dataclass(frozen=True)
class WorkerSessions:
    """What a worker works by: one session freezes snapshots, the other keeps the queue, always on the primary."""

    reading: psycopg.Connection
    queueing: psycopg.Connection


class SessionPool:
    """The sessions of one process's workers, each of which takes a pair for its time; safe to share between threads.

    A pair that an error has ended the work of is closed. All others are kept until the context ends.

    Args:
        connect: opens a pair.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[WorkerSessions]]) -> None:
        self._connect = connect
        self._lock = Lock()
        self._resting: list[tuple[WorkerSessions, ExitStack]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, opened in self._resting:
            opened.close()

    @contextmanager
    def taken(self) -> Generator[WorkerSessions]:
        """Give a pair, for as long as the context lasts."""
        with self._lock:
            kept = self._resting.pop() if self._resting else None
        with ExitStack() if kept is None else kept[1] as opened:
            sessions = opened.enter_context(self._connect()) if kept is None else kept[0]
            yield sessions
            if not (sessions.reading.closed or sessions.queueing.closed):
                with self._lock:
                    self._resting.append((sessions, opened.pop_all()))
