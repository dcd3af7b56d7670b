"""Keeps the demo application writing at a steady rate until told to stop.

The database may go away and come back meanwhile: the application connects again and goes on, as a real one would; a
transaction that was under way is lost with its connection. What is written is `application`'s business.
"""

import random
import threading
import time
from collections.abc import Callable

import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_random_exponential
from tenacity.nap import sleep_using_event

from dbsync_pipeline.demo.application.mix import Application
from dbsync_pipeline.errors import UnreachableError

_DATABASE_GONE = (UnreachableError, psycopg.OperationalError, psycopg.InterfaceError)
_LONGEST_CATCH_UP = 1.0


class Traffic:
    """One writer.

    Args:
        connect: opens a connection to a database with the application's schema.
        seed: decides what happens, together with the database's transaction counter: traffic that starts again where
            it wrote before must not make the same ids again.
        changes_per_second: transactions to aim at; up to a second of arrears is caught up, older ones are forgotten.

    Attributes:
        transactions: how many were committed so far; may be read from another thread.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], *, seed: int, changes_per_second: float) -> None:
        self._connect = connect
        self._seed = seed
        self._interval = 1 / changes_per_second
        self.transactions = 0

    def run(self, stop: threading.Event) -> None:
        """Write until `stop` is set."""
        patiently = Retrying(
            retry=retry_if_exception_type(_DATABASE_GONE),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            sleep=sleep_using_event(stop),
            stop=stop_when_event_set(stop),
            retry_error_callback=_give_up,
        )
        while not stop.is_set():
            patiently(self._write, stop)

    def _write(self, stop: threading.Event) -> None:
        """Write until `stop` is set or the connection breaks; raise only if nothing at all could be written."""
        transactions_before = self.transactions
        try:
            with self._connect() as connection:
                application = Application(connection)
                rng = self._seeded(connection)
                due = time.monotonic()
                while not stop.is_set():
                    application.random_transaction(rng)
                    self.transactions += 1
                    due = max(due + self._interval, time.monotonic() - _LONGEST_CATCH_UP)
                    stop.wait(max(0, due - time.monotonic()))
        except _DATABASE_GONE:
            if self.transactions == transactions_before:
                raise

    def _seeded(self, connection: psycopg.Connection) -> random.Random:
        with connection.transaction():
            (counter,) = connection.execute("select pg_current_xact_id()::text").fetchone() or ("",)
        return random.Random(f"{self._seed} {counter}")  # noqa: S311 (reproducible, not secret).


def _give_up(_state: RetryCallState) -> None:
    """End the attempts without an error, because they were told to stop."""
