"""The process that owns ClickHouse's engine: `python -m dbsync_pipeline.embedded.clickhouse_server --data-dir D`.

It opens the engine, listens on loopback, writes the port to its standard output, and serves until SIGTERM, SIGINT, or
the end of standard input (its owner is gone). Then it accepts nothing more, gives running requests a moment, ends the
statements that are left, closes the engine and exits 0. What was acknowledged is on disk by then in any case: it also
survives `kill -9`.
"""

import argparse
import faulthandler
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from dbsync_pipeline.embedded.clickhouse_engine import Engine
from dbsync_pipeline.embedded.clickhouse_http import ClickHouseHttp
from dbsync_pipeline.embedded.process import listening_port, on_end_of_file, read_or_create_password

# Until running statements are ended, and until requests that still upload or download are broken off.
_STATEMENT_GRACE_SECONDS = 3
_REQUEST_GRACE_SECONDS = 6
# Longer than any pause of a worker: a connection that the server closes while a request is on its way is an error.
_KEEP_ALIVE_SECONDS = 3600


class Server(uvicorn.Server):
    """A server whose stop also ends the statements that nobody can wait for."""

    def __init__(self, engine: Engine, password: str) -> None:
        handlers = ClickHouseHttp(engine, password)
        routes = [Route("/ping", handlers.ping), Route("/", handlers.query, methods=["GET", "POST"])]
        super().__init__(
            uvicorn.Config(
                Starlette(routes=routes),
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_REQUEST_GRACE_SECONDS,
            )
        )
        self._patience = threading.Timer(_STATEMENT_GRACE_SECONDS, engine.cancel_all)
        self._patience.daemon = True

    def handle_exit(self, sig: int, frame: FrameType | None = None) -> None:  # noqa: ARG002  # uvicorn's signature.
        """Begin to stop, because of a signal or because the owner is gone; a repeated wish changes nothing."""
        if not self.should_exit:
            self.should_exit = True
            self._patience.start()


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="ClickHouse's engine behind ClickHouse's HTTP interface.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="another free port is taken where this one is not")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    engine = Engine(arguments.data_dir / "engine")
    faulthandler.enable()
    server = Server(engine, read_or_create_password(arguments.data_dir / "password"))
    listener = listening_port(arguments.port or None)
    print(listener.getsockname()[1], flush=True)
    on_end_of_file(sys.stdin.fileno(), lambda: server.handle_exit(signal.SIGTERM))
    server.run(sockets=[listener])
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
