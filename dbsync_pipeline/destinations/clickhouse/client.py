"""Connections to ClickHouse, and what its errors mean here.

`clickhouse-connect` speaks to a server or to the embedded engine alike. Its exceptions become this project's, so that
the engine knows what is worth trying again, and a person which host and which table.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    NotInstalledError,
    RefusedForNowError,
    SettingsError,
    UnreachableError,
)

_CONNECT_TIMEOUT_SECONDS = 10

ANSWER_SECONDS = 600
"""How long ClickHouse may be silent over a statement."""

_CODE = re.compile(r"\bcode:?\s*(\d+)", re.IGNORECASE)
_MISSING = {16, 47, 60, 81}  # No such column, unknown identifier, table, database.
_REFUSED_LOGIN = {192, 193, 194, 516}
# Full, busy, or without its Keeper: it passes.
_NOT_NOW = {159, 164, 202, 209, 210, 225, 236, 243, 999}
# A table is read-only, has more parts than can be merged, or has too few of its replicas: that passes, too, and other
# tables may well be written meanwhile.
_TABLE_NOT_NOW = {242, 252, 285, 286, 319, 774}
_MEMORY_LIMIT = 241
_SERVER_MEMORY = "(total)"
"""Of the limits of memory, the one that the statement may have no part in."""
_MORE_MEMORY = "Allow the user more memory (max_memory_usage), or lower DBSYNC_CHUNK_ROWS."
# What parsing a value, or putting it into its column, can end in.
_BAD_VALUE = {6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 376, 407, 441, 467, 469, 675, 676}
_REDUNDANT = re.compile(
    r"\s*\((?:official build|version [^)]*)\)|^.*?DB::Exception:\s*(?:Code: \d+\. DB::Exception:\s*)*", re.DOTALL
)
# What a parser that stumbles has before it: the rest of the row, and the rows behind it.
_QUOTED = re.compile(r"\s*before: '.*", re.DOTALL)


def place_of(url: str) -> str:
    """Return host and port of a ClickHouse URL, and nothing secret.

    Raises:
        SettingsError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
    except ValueError:
        port = 0
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            "the ClickHouse URL cannot be read",
            "Write DBSYNC_CLICKHOUSE_URL as http://user:password@host:port/ or https://….",
        )
    return f"{parts.hostname}:{port}"


@contextmanager
def clickhouse_errors(url: str) -> Generator[None]:
    """Turn the driver's exceptions into this project's."""
    try:
        yield
    except DbsyncError:
        raise
    except (OperationalError, HTTPError, OSError) as error:
        raise _unreachable(url, error) from error
    except ClickHouseError as error:
        raise _translated(url, error) from error


class ClickHouse:
    """A connection to ClickHouse; cheap to hold, safe to share between threads.

    Every method raises `UnreachableError`, `RefusedForNowError` (a table cannot be written), `SettingsError` (login
    refused), `NotInstalledError` (something missing), `BadRowError` (a value refused), or `DbsyncError` for anything
    else that ClickHouse says.
    """

    def __init__(
        self,
        url: str,
        *,
        database: str | None = None,
        settings: dict[str, Any] | None = None,
        answer_seconds: int = ANSWER_SECONDS,
    ) -> None:
        """Open it.

        Args:
            url: host, port, user and password.
            database: where queries look for names without one.
            settings: what goes with every statement.
            answer_seconds: how long ClickHouse may be silent over a statement.
        """
        self._url = url
        place_of(url)
        with clickhouse_errors(url):
            self._client = _open(url, database, settings, answer_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def query(self, statement: str, parameters: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows; `{name:Type}` is bound by the server, `%(name)s` by the client."""
        with clickhouse_errors(self._url):
            return [tuple(row) for row in self._client.query(statement, parameters).result_rows]  # pyright: ignore[reportUnknownMemberType] -- untyped in the driver

    def read(self, statement: str, settings: dict[str, object]) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
        """Return column names and rows of a person's query, run under the given settings."""
        with clickhouse_errors(self._url):
            result = self._client.query(statement, settings=settings)  # pyright: ignore[reportUnknownMemberType] -- untyped in the driver
            return result.column_names, [tuple(row) for row in result.result_rows]

    def execute(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        with clickhouse_errors(self._url):
            self._client.command(statement)  # pyright: ignore[reportUnknownMemberType] -- untyped in the driver

    def insert_stream(
        self, target: str, columns: Sequence[str] | None, blocks: bytes | Iterator[bytes], settings: dict[str, object]
    ) -> None:
        """Insert TabSeparated blocks as they come; when this returns, all of them are on disk."""
        sent = blocks if isinstance(blocks, bytes) else _Once(blocks, place_of(self._url))
        with clickhouse_errors(self._url):
            self._client.raw_insert(  # pyright: ignore[reportUnknownMemberType] -- untyped in the driver
                target,
                column_names=columns,
                insert_block=sent,  # pyright: ignore[reportArgumentType] -- it streams from any iterator
                settings=settings,
                fmt="TabSeparated",
            )


class _Once:
    """Blocks that can be sent once only: the driver would follow a redirection with what is left of them."""

    def __init__(self, blocks: Iterator[bytes], place: str) -> None:
        self._blocks = blocks
        self._place = place
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        if self._begun:
            raise UnreachableError(
                f"ClickHouse at {self._place} is elsewhere: rows, which can be sent once only, were redirected",
                "Let DBSYNC_CLICKHOUSE_URL name the address that they are redirected to.",
            )
        self._begun = True
        yield from self._blocks


def _open(url: str, database: str | None, settings: dict[str, Any] | None, answer_seconds: int) -> Client:
    return clickhouse_connect.get_client(  # pyright: ignore[reportUnknownMemberType] -- untyped in the driver
        dsn=url,
        database=database,
        settings=settings,
        # Queries of one worker run beside each other; none of them needs a session.
        autogenerate_session_id=False,
        compress=False,
        connect_timeout=min(_CONNECT_TIMEOUT_SECONDS, answer_seconds),
        send_receive_timeout=answer_seconds,
    )


def _unreachable(url: str, error: Exception) -> DbsyncError:
    code = _CODE.search(str(error))
    if code is not None and int(code[1]) != 0:
        return _translated(url, error)
    return UnreachableError(
        f"ClickHouse at {place_of(url)} does not answer: {_brief(error)}",
        "Check that it runs and that DBSYNC_CLICKHOUSE_URL points to it; work goes on where it stopped.",
    )


def _translated(url: str, error: Exception) -> DbsyncError:
    found = _CODE.search(str(error))
    code = int(found[1]) if found else 0
    place = place_of(url)
    if code in _REFUSED_LOGIN:
        return SettingsError(f"ClickHouse at {place} refuses the login", "Check user and password.")
    if code in _MISSING:
        return NotInstalledError(f"ClickHouse at {place}: {_brief(error)}", "Run `dbsync init`.")
    if code in _BAD_VALUE:
        return BadRowError(f"ClickHouse at {place} refuses a value: {_brief(error)}")
    if code in _TABLE_NOT_NOW:
        return RefusedForNowError(f"ClickHouse at {place} cannot write the table now: {_brief(error)}")
    passes = code in _NOT_NOW or (code == _MEMORY_LIMIT and _SERVER_MEMORY in str(error))
    if passes or not isinstance(error, DatabaseError):
        return UnreachableError(f"ClickHouse at {place} cannot take it now: {_brief(error)}")
    # Where a statement's own limit of memory is exceeded, half of the rows may fit.
    return DbsyncError(f"ClickHouse at {place}: {_brief(error)}", _MORE_MEMORY if code == _MEMORY_LIMIT else "")


def _brief(error: Exception) -> str:
    """The part of the message that says something: no stack, no build, nothing of rows but the value at fault."""
    text = _QUOTED.sub("", _REDUNDANT.sub("", str(error)))
    return " ".join(text.split("Stack trace")[0].split("\nRow ")[0].split())[:300]
