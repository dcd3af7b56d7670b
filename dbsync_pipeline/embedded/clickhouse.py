"""The client's side of the embedded ClickHouse: starts the process that owns the engine, and knows its address.

ClickHouse's engine comes as a library (`chdb`) that lets one process open a directory, so a process of its own holds
it and answers ClickHouse's HTTP interface on loopback; `clickhouse_server` is that process. Whoever reads or writes
talks to `url` with `clickhouse-connect`, exactly as to an installed server.
"""

from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from dbsync_pipeline.embedded.process import LOOPBACK, TiedProcess, locked, read_or_create_password
from dbsync_pipeline.errors import EmbeddedServiceError

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0


class EmbeddedClickHouse:
    """One server and its data directory; also a context manager that starts and stops it.

    Args:
        data_dir: created when missing; may be long and hold spaces.
        port: asked for on loopback; another free one is taken when it is `None` or in use.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self._home = data_dir.absolute()
        self._log = self._home / "clickhouse.log"
        self._port = port
        self._password = ""
        self._process: TiedProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The HTTP URL, with the password in it."""
        return f"http://default:{self._password}@{LOOPBACK}:{self._port}/"

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing when it runs.

        Raises:
            EmbeddedServiceError: the engine is missing, the directory is unusable or in use, or the server
                refused; the message quotes its log.
        """
        if self._process is not None and self._process.alive:
            return
        self.stop()
        if find_spec("chdb") is None:
            raise EmbeddedServiceError("ClickHouse's engine is missing", "Install it: pip install '.[embedded]'.")
        with locked("ClickHouse", self._home) as lock:
            self._password = read_or_create_password(self._home / "password")
            self._process = TiedProcess(
                "ClickHouse",
                "dbsync_pipeline.embedded.clickhouse_server",
                ["--data-dir", str(self._home), "--port", str(self._port or 0)],
                lock=lock,
                log=self._log,
            )
        self._port = int(self._process.report(_START_SECONDS))

    def stop(self) -> None:
        """Let running requests end, close the engine, and wait until the process is gone."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process = None
