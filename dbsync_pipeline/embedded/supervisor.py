"""Runs a command that knows nothing of its owner and stops it when the owner is gone.

`python -m dbsync_pipeline.embedded.supervisor COMMAND…` writes the command's process id to its standard output, sends
it SIGINT (PostgreSQL's fast shutdown) when standard input ends or SIGTERM arrives, and ends when the command has, with
whatever the command left behind in its process group.
"""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

from dbsync_pipeline.embedded.process import on_end_of_file

_FAST_SHUTDOWN_SECONDS = 20.0
_LEFT_BEHIND_SECONDS = 10
_PR_SET_CHILD_SUBREAPER = 36  # From Linux's prctl.h.


def supervise(command: list[str]) -> int:
    """Run `command` until it ends or the owner is gone; return its exit code."""
    # Orphans of the command become children of this process, which can then wait for them.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # An owner in the background of a shell script hands down that SIGINT is ignored; the command must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) as child:  # noqa: S603  # our owner's.

        def stop() -> None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(_FAST_SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGQUIT)

        def on_signal(*_: object) -> None:
            child.send_signal(signal.SIGINT)

        signal.signal(signal.SIGTERM, on_signal)
        print(child.pid, flush=True)
        on_end_of_file(sys.stdin.fileno(), stop)
        exit_code = child.wait()
    _end_what_is_left()
    return exit_code


def _end_what_is_left() -> None:
    """Ask what the command has started and left behind to end, and wait for it; kill it when it takes too long."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def kill(*_: object) -> None:
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    os.killpg(0, signal.SIGTERM)
    signal.alarm(_LEFT_BEHIND_SECONDS)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    signal.alarm(0)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
