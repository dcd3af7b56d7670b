"""What both embedded services share: a child process tied to this one, its directory's lock, password and log.

A tied process ends when its owner does, whatever ends the owner: it holds the read end of a pipe whose write end only
the owner has, and stops when the pipe reports end of file. The kernel closes a killed owner's files, so not even
`kill -9` leaves a service behind. It runs in a session of its own, so a terminal's Ctrl-C reaches the owner alone,
which decides the order of stopping.
"""

import fcntl
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dbsync_pipeline.errors import EmbeddedServiceError

LOOPBACK = "127.0.0.1"
_LOCK_SECONDS = 15.0
_LOG_LINES_IN_ERROR = 12


def listening_port(preferred: int | None) -> socket.socket:
    """Bind `preferred` on loopback, or any free port where it is `None` or taken, and return the socket."""
    for port in (preferred or 0, 0):
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
            candidate.listen(512)
        except OSError:
            candidate.close()
        else:
            return candidate
    raise EmbeddedServiceError(f"no port can be opened on {LOOPBACK}", "Check the limits of this machine's network.")


def reserve_port(preferred: int | None) -> tuple[int, socket.socket]:
    """Choose a port for a server that binds it by itself, and later: `preferred`, or a free one.

    Returns:
        The port, and a socket that keeps it from being chosen by another of these calls, on this machine, until closed.
    """
    while True:
        with listening_port(preferred) as free:
            port = int(free.getsockname()[1])
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # An abstract name: nothing is left behind, and it ends with its process.
            reservation.bind(f"\0dbsync port {port}")
        except OSError:
            reservation.close()
            preferred = None
        else:
            return port, reservation


def read_or_create_password(path: Path) -> str:
    """Return the password kept in `path`, generated on first use; only the file's owner can read it."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        fresh.rename(path)
    return path.read_text()


def on_end_of_file(descriptor: int, stop: Callable[[], None]) -> None:
    """Call `stop` from a thread once the owner at the other end of the pipe `descriptor` is gone."""

    def wait() -> None:
        # Not through a buffered file: a thread that waits inside one holds its lock, which blocks Python's exit.
        while os.read(descriptor, 4096):
            pass
        stop()

    threading.Thread(target=wait, name="owner-watch", daemon=True).start()


@contextmanager
def locked(name: str, directory: Path) -> Generator[int]:
    """Create `directory` where it is missing and keep every other owner out of it.

    Yields:
        the lock's file descriptor; the lock lives on in each process that inherits it.

    Raises:
        EmbeddedServiceError: another process keeps the directory, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedServiceError(
            f"{name}: {directory} cannot be used: {error.strerror}", "Make it writable, or choose another directory."
        ) from error
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # An owner that was killed a moment ago leaves a service that is still shutting down.
                if time.monotonic() > deadline:
                    raise EmbeddedServiceError(
                        f"{name}: {directory} is in use by another process",
                        "Stop that process, or choose another directory.",
                    ) from None
                time.sleep(0.05)
        yield handle
    finally:
        os.close(handle)


class TiedProcess:
    """A Python module of this project run as a child that cannot outlive this process.

    The child inherits `lock`, so that its directory stays locked for as long as it lives, and writes one line to its
    standard output when it is ready; everything else that it says goes to `log`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        lock: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # the command is this interpreter and our module.
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                pass_fds=(lock,),
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._owner_end, self._report = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def report(self, timeout_seconds: float) -> str:
        """Wait for the child's line.

        Raises:
            EmbeddedServiceError: the child ended, or said nothing in time; the message quotes its log.
        """
        ready, _, _ = select.select([self._report], [], [], timeout_seconds)
        line = self._report.readline().decode().strip() if ready else ""
        if not line:
            raise self.failure("did not start" if ready else f"was not ready after {timeout_seconds:g} seconds")
        return line

    def failure(self, what: str) -> EmbeddedServiceError:
        """End the child and return the error that says `what` happened, with the last lines of its log."""
        self.stop(_LOCK_SECONDS)
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES_IN_ERROR:]
        return EmbeddedServiceError(f"{self._name} {what}: {' | '.join(lines)}", f"The whole log is in {self._log}.")

    def stop(self, timeout_seconds: float) -> None:
        """Ask the child to stop and wait until it has; past the timeout it is killed, with all of its group."""
        with suppress(BrokenPipeError):
            self._owner_end.close()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._release()

    def kill(self) -> None:
        """End the child with SIGKILL, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._release()

    def _release(self) -> None:
        self._process.wait()
        with suppress(BrokenPipeError):
            self._owner_end.close()
        self._report.close()
