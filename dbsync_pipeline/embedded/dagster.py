"""Dagster on this machine: webserver, daemon and code server under one parent, tied to this process.

It runs `dagster dev` on an instance directory of its own. The pipeline's settings reach it through the environment,
never through its arguments, which anyone on the machine can read.
"""

import socket
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError

from dbsync_pipeline.embedded.process import LOOPBACK, TiedProcess, locked, reserve_port

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0


class EmbeddedDagster:
    """One Dagster instance; also a context manager that starts and stops it.

    Args:
        home: its DAGSTER_HOME, with `dagster.yaml` and `workspace.yaml` in it.
        environment: variables for its processes, over those of this one.
        port: where the UI answers; another free port is taken when it is `None` or in use.
    """

    def __init__(self, home: Path, environment: dict[str, str], *, port: int | None = None) -> None:
        self._home = home.absolute()
        self._log = self._home / "dagster.log"
        self._environment = {**environment, "DAGSTER_HOME": str(self._home)}
        self._port = port
        self._process: TiedProcess | None = None
        self._reservation: socket.socket | None = None

    def __enter__(self) -> Self:
        with ExitStack() as begun:
            # Starting takes seconds, in which a person may press Ctrl-C.
            begun.callback(self.stop)
            self.start()
            begun.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the UI answers."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self._log

    def start(self) -> None:
        """Start it and wait until the UI answers.

        Raises:
            EmbeddedServiceError: it ended, or did not answer in time; the message quotes its log.
        """
        # The webserver binds its port seconds later, when another one may have found it free, too.
        self._port, self._reservation = reserve_port(self._port)
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(self._home / "workspace.yaml")]
        command += ["-h", LOOPBACK, "-p", str(self._port)]
        with locked("Dagster", self._home) as lock:
            self._process = TiedProcess(
                "Dagster",
                "dbsync_pipeline.embedded.supervisor",
                command,
                lock=lock,
                log=self._log,
                environment=self._environment,
            )
        self._process.report(_START_SECONDS)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self._process.alive:
                raise self._process.failure("ended while it started")
            if time.monotonic() > deadline:
                raise self._process.failure(f"was not ready after {_START_SECONDS:g} seconds")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop runs, daemon and webserver, and wait until they are gone."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def require_alive(self) -> None:
        """Raise if it has ended by itself.

        Raises:
            EmbeddedServiceError: it has; the message quotes its log.
        """
        if self._process is not None and not self._process.alive:
            raise self._process.failure("has ended")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5):  # noqa: S310 -- our own loopback address
                return True
        except (URLError, OSError):
            return False
