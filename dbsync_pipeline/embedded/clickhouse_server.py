"""The process that owns ClickHouse's engine: `python -m dbsync_pipeline.embedded.clickhouse_server --data-dir D`.

It opens the engine, listens on loopback, writes the port to its standard output, and serves until SIGTERM, SIGINT, or
the end of standard input (its owner is gone). Then it accepts nothing more, gives running requests a moment, ends the
statements that are left, closes the engine and exits 0. What was acknowledged is on disk by then in any case: it also
survives `kill -9`.
"""

import argparse
import logging
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from dbsync_pipeline.embedded.clickhouse_engine import Engine
from dbsync_pipeline.embedded.clickhouse_http import ClickHouseHttp
from dbsync_pipeline.embedded.process import listening_port, on_end_of_file, read_or_create_password

_GRACE_SECONDS = 5
# Longer than any pause of a worker: a connection that the server closes while a request is on its way is an error.
_KEEP_ALIVE_SECONDS = 3600


def application(engine: Engine, password: str) -> Starlette:
    """Return the ASGI application."""
    handlers = ClickHouseHttp(engine, password)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        # What is still running has had its time; a thread inside the engine would hold up the exit.
        await run_in_threadpool(engine.cancel_all)

    return Starlette(
        routes=[Route("/ping", handlers.ping), Route("/", handlers.query, methods=["GET", "POST"])],
        lifespan=lifespan,
    )


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="ClickHouse's engine behind ClickHouse's HTTP interface.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="another free port is taken where this one is not")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    engine = Engine(arguments.data_dir / "engine")
    server = uvicorn.Server(
        uvicorn.Config(
            application(engine, read_or_create_password(arguments.data_dir / "password")),
            log_config=None,
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    # The server takes these signals over while it runs and raises them again afterwards, which must not kill us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    listener = listening_port(arguments.port or None)
    print(listener.getsockname()[1], flush=True)
    on_end_of_file(sys.stdin.fileno(), stop)
    server.run(sockets=[listener])
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
