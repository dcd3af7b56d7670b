"""Runs a command that knows nothing of its owner and stops it when the owner is gone.

`python -m dbsync_pipeline.embedded.supervisor COMMAND…` writes the command's process id to its standard output, sends
it SIGINT (PostgreSQL's fast shutdown) when standard input ends or SIGTERM arrives, and ends when the command has, with
whatever the command left behind in its process group.
"""

import os
import signal
import subprocess
import sys

from dbsync_pipeline.embedded.process import on_end_of_file

_FAST_SHUTDOWN_SECONDS = 20.0


def supervise(command: list[str]) -> int:
    """Run `command` until it ends or the owner is gone; return its exit code."""
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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    return exit_code


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
