"""Sessions on the source are the pipeline's own, whatever the database says; and what they say when it cannot go on."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline import source
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline_tests.harness import Harness

OF_THE_DATABASE = {
    "statement_timeout": "7ms",
    "lock_timeout": "7ms",
    "idle_session_timeout": "7ms",
    "idle_in_transaction_session_timeout": "7ms",
    "transaction_timeout": "7ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
}


@pytest.fixture
def strict(pipeline: Harness) -> Harness:
    """A pipeline whose sessions would end, fail or see too much, were they left to what the database says."""
    # The application's session is older than that.
    pipeline.app.user(pipeline.app.tenancy())
    for name, value in OF_THE_DATABASE.items():
        pipeline.admin.execute(
            sql.SQL("alter database {} set {} = {}").format(
                sql.Identifier(pipeline.database), sql.Identifier(name), sql.Literal(value)
            )
        )
    return pipeline


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_session_has_no_limits_and_may_write(strict: Harness, *, autocommit: bool) -> None:
    wanted = dict.fromkeys(OF_THE_DATABASE, "0")
    wanted |= {
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "default_transaction_deferrable": "off",
        "synchronous_commit": "on",
    }
    with source.connect(strict.url, autocommit=autocommit) as connection:
        assert connection.autocommit == autocommit
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        found = {name: connection.execute(f"show {name}").fetchone() for name in OF_THE_DATABASE}
    assert found == {name: (value,) for name, value in wanted.items()}


def test_a_pipeline_works_on_a_strict_database(strict: Harness) -> None:
    strict.assert_synced()
    assert len(strict.view("users")) == 1


def deadlock(connection: psycopg.Connection) -> None:
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
        connection.execute("set deadlock_timeout = '1ms'")
        other.execute("set deadlock_timeout = '1h'")
        connection.execute("begin")
        connection.execute("select pg_advisory_xact_lock(1)")
        other.execute("select pg_advisory_xact_lock(2)")
        other.pgconn.send_query(b"select pg_advisory_xact_lock(1)")
        connection.execute("select pg_advisory_xact_lock(2)")


def cancelled(connection: psycopg.Connection) -> None:
    connection.execute("set statement_timeout = '1ms'; select pg_sleep(60)")


def shut_down(connection: psycopg.Connection) -> None:
    connection.execute("select pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (deadlock, "cannot do it now: deadlock detected"),
        (cancelled, "cannot do it now: canceling statement due to statement timeout"),
        (shut_down, "does not answer: "),
    ],
)
def test_what_passes_by_itself_is_tried_again(
    pipeline: Harness, fails: Callable[[psycopg.Connection], None], said: str
) -> None:
    """No run ends over it: the loops go on after an `UnreachableError`."""
    with pytest.raises(UnreachableError, match=said), source.session(pipeline.url) as connection:
        fails(connection)


def test_what_does_not_pass_is_what_it_was(pipeline: Harness) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), source.session(pipeline.url) as connection:
        connection.execute("select from nowhere")
