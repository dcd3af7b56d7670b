"""A session on a database that hangs, refuses, or breaks off: what it costs, what it says, and what it does not say."""

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.destinations.postgres.address import Address, Policy, look_up
from dbsync_pipeline.destinations.postgres.session import ExternalSession, TimeLimits
from dbsync_pipeline.errors import (
    BadRowError,
    DbsyncError,
    IncompatibleTargetError,
    NotInstalledError,
    RefusedForNowError,
    UnreachableError,
)
from dbsync_pipeline_tests.proxy import Proxy

SHORT = TimeLimits(connect=2, statement=0.2, lock=0.05)


def address(url: str) -> Address:
    return look_up(url, Policy(private_addresses=True, require_tls=False, secrets=None))


@pytest.fixture
def session(source_url: str) -> Iterator[ExternalSession]:
    session = ExternalSession(address(source_url), TimeLimits(connect=2, statement=5, lock=0.05))
    yield session
    session.close()


@contextmanager
def silent_server() -> Generator[int]:
    """Accepts, reads, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_session_is_the_same_whatever_the_database_says(session: ExternalSession, source_url: str) -> None:
    """D43: the owner's defaults count for nothing; what is acknowledged is durable."""
    name = urlsplit(source_url).path.strip("/")
    defaults = ("timezone = 'America/New_York'", "synchronous_commit = 'off'", "datestyle = 'German'")
    limits = ("statement_timeout = 0", "idle_session_timeout = '1s'", "transaction_timeout = '1s'")
    for default in (*defaults, "search_path = 'evil, public'", *limits):
        session.connection.execute(f'alter database "{name}" set {default}')
    again = ExternalSession(address(source_url), SHORT)
    names = ("timezone", "synchronous_commit", "search_path", "statement_timeout", "lock_timeout")
    shown = [
        again.connection.execute(sql.SQL("show {}").format(sql.SQL(name))).fetchone()
        for name in (
            *names,
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
            "transaction_timeout",
            "tcp_keepalives_idle",
        )
    ]
    again.close()
    assert shown[:5] == [("UTC",), ("on",), ("pg_catalog, pg_temp",), ("200ms",), ("50ms",)]
    assert shown[5:] == [("200ms",), ("1d",), ("0",), ("30",)]


def test_building_a_key_may_take_longer_than_the_owner_lets_transactions_take(
    session: ExternalSession, source_url: str
) -> None:
    """It would else be begun at every attempt, and never be there."""
    name = urlsplit(source_url).path.strip("/")
    session.connection.execute(f"alter database \"{name}\" set transaction_timeout = '1s'")
    again = ExternalSession(address(source_url), SHORT)
    with closing(again), again.turn() as connection, connection.transaction():
        again.allow(60)
        assert connection.execute("select pg_sleep(1.2)").rowcount == 1


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("select 1/0", BadRowError),
        ("do $$ begin raise exception 'no' using errcode = '45000'; end $$", BadRowError),
        ("do $$ begin raise exception 'no' using errcode = 'ZZ999'; end $$", BadRowError),
        ("select * from nowhere", NotInstalledError),
        ("select nothing", NotInstalledError),
        ("select 1 + 'a'::text", IncompatibleTargetError),
        ("select set_config('transaction_read_only', 'on', true); create table public.t ()", RefusedForNowError),
        ("set statement_timeout = '1ms'; select pg_sleep(5)", RefusedForNowError),
    ],
)
def test_what_an_error_means(session: ExternalSession, statement: str, error: type[DbsyncError]) -> None:
    """The session is as good as before: other tables may still be written."""
    with pytest.raises(error) as failure, session.turn() as connection:
        connection.execute(statement)
    assert session.place in str(failure.value)
    with session.turn() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_session_that_is_ended_from_there(session: ExternalSession, source_url: str) -> None:
    with psycopg.connect(source_url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 10000)", [session.connection.info.backend_pid])
    with pytest.raises(UnreachableError), session.turn() as connection:
        connection.execute("select 1")


def test_passwords_are_in_no_error(source_url: str) -> None:
    """S26, I10: in any form in which libpq or a server may print them."""
    url = urlsplit(source_url)
    place = f"{url.hostname}:{url.port}"
    secret = "s3cret /?#[]@:%'\\ ü"
    encoded = quote(secret, safe="")
    quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
    for connection in (
        f"postgresql://postgres:{encoded}@{place}/postgres",
        f"postgresql://postgres@{place}/postgres?password={encoded}",
        f"host={url.hostname} port={url.port} user=postgres dbname=postgres password='{quoted}'",
        f"postgresql://postgres:{encoded}@127.0.0.1:1/postgres",
        f"postgresql://nobody:{encoded}@{place}/nowhere",
        f"postgresql://postgres:{encoded}@{place}/postgres?sslmode=nonsense",
        f"postgresql://postgres:{encoded}@{place}/postgres?sslmode=require&sslrootcert=system",
    ):
        with pytest.raises(UnreachableError) as failure:
            ExternalSession(address(connection), SHORT)
        for text in (str(failure.value), repr(failure.value), repr(failure.value.__cause__)):
            assert "s3cret" not in text
            assert "\n" not in str(failure.value)


def test_a_server_that_never_answers() -> None:
    """D27: connecting ends by its own limit."""
    with silent_server() as port, pytest.raises(UnreachableError, match=f"127.0.0.1:{port}/shop"):
        ExternalSession(address(f"postgresql://me:s3cret@127.0.0.1:{port}/shop"), SHORT)


def test_a_server_that_falls_silent_is_cut_off(source_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """D27: in the middle of a statement, whose limit its server does not keep; waiting for the source is none."""
    monkeypatch.setattr("dbsync_pipeline.destinations.postgres.session._GRACE_SECONDS", 0.1)
    with Proxy(source_url) as proxy:
        session = ExternalSession(address(proxy.url), SHORT)
        slow = threading.Event()

        def blocks() -> Iterator[bytes]:
            # Longer than the limit and the grace together.
            slow.wait(0.6)
            yield b"1\n"

        with session.turn() as connection, connection.cursor() as cursor:
            cursor.execute("create temporary table t (a int)")
            cursor.execute("set statement_timeout = 0")
            with cursor.copy("copy t from stdin") as copy:
                cursor_blocks = list(session.patiently(blocks()))
                for block in cursor_blocks:
                    copy.write(block)
        proxy.fall_silent()
        with pytest.raises(UnreachableError), session.turn() as connection:
            connection.execute("select 1")
        with pytest.raises(UnreachableError), session.turn() as connection:
            connection.execute("select 1")
        session.close()
