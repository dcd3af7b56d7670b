import threading
from collections.abc import Callable

import psycopg
import pytest

from dbsync_pipeline.demo.generator import DemoSize, generate
from dbsync_pipeline.demo.schema import create_schema
from dbsync_pipeline.demo.traffic import Traffic
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.source import connect


class Steps(threading.Event):
    """A stop signal that counts the waits between transactions instead of waiting, and sets itself after some."""

    def __init__(self, limit: int, *, on_step: Callable[[int], None] = lambda step: None) -> None:
        super().__init__()
        self._limit = limit
        self._on_step = on_step
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        self._on_step(len(self.waits))
        if len(self.waits) >= self._limit:
            self.set()
        return self.is_set()


@pytest.fixture
def database(source_url: str) -> str:
    with connect(source_url) as connection:
        create_schema(connection)
        generate(connection, DemoSize(tenancies=5, users=60))
    return source_url


def test_keeps_the_rate_and_stops(database: str) -> None:
    steps = Steps(50)
    traffic = Traffic(lambda: connect(database), seed=1, changes_per_second=0.1)
    traffic.run(steps)
    assert traffic.transactions == 50
    # A wait is what the transactions have left of their ten seconds each.
    assert all(0 < wait - 10 * number <= 10 for number, wait in enumerate(steps.waits))


def test_does_not_start_when_stopped(database: str) -> None:
    steps = Steps(1)
    steps.set()
    traffic = Traffic(lambda: connect(database), seed=1, changes_per_second=100)
    traffic.run(steps)
    assert traffic.transactions == 0


def test_survives_the_loss_of_its_connection_and_of_the_server(database: str) -> None:
    connections: list[psycopg.Connection] = []
    refusals: list[UnreachableError] = []

    def reconnect() -> psycopg.Connection:
        if connections and len(refusals) < 3:
            refusals.append(UnreachableError("the source does not answer"))
            raise refusals[-1]
        connections.append(connect(database))
        return connections[-1]

    def terminate(step: int) -> None:
        if step == 20:
            with connect(database) as other:
                other.execute("select pg_terminate_backend(%s, 10000)", [connections[0].info.backend_pid])

    steps = Steps(60, on_step=terminate)
    traffic = Traffic(reconnect, seed=1, changes_per_second=1000)
    traffic.run(steps)
    assert len(connections) == 2
    assert len(refusals) == 3
    # Of the sixty waits, three came between attempts to connect.
    assert traffic.transactions == 57


def test_stops_while_the_server_is_away() -> None:
    def refuse() -> psycopg.Connection:
        raise UnreachableError("the source does not answer")

    steps = Steps(5)
    traffic = Traffic(refuse, seed=1, changes_per_second=1000)
    traffic.run(steps)
    assert traffic.transactions == 0
    assert len(steps.waits) == 5


def test_the_same_seed_again_in_the_same_database(database: str) -> None:
    for _ in range(2):
        traffic = Traffic(lambda: connect(database), seed=1, changes_per_second=1000)
        traffic.run(Steps(200))
        assert traffic.transactions == 200


def test_an_error_of_the_traffic_itself_is_not_hidden(database: str) -> None:
    with connect(database) as connection:
        connection.execute('drop table "SessionReplayChunk"')
    with pytest.raises(psycopg.errors.UndefinedTable):
        Traffic(lambda: connect(database), seed=1, changes_per_second=1000).run(Steps(5_000))
