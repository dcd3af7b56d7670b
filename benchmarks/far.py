"""Puts a server far away: what is said to it, and what it answers, travels for a while.

One process passes bytes on and holds each piece back for the time of its way, so that a wait costs no processor time,
as on a network. A connection takes a round trip of its own before anything is said on it. Bandwidth is not bounded.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from dbsync_pipeline.embedded.process import LOOPBACK

_PIECE_BYTES = 1 << 16
_MOST_PIECES_UNDER_WAY = 256


@contextmanager
def far(url: str, seconds: float) -> Generator[str]:
    """Return the URL at which the server of another URL is so many seconds away, each way, while the context lasts."""
    parts = urlsplit(url)
    assert parts.port is not None
    spawning = multiprocessing.get_context("spawn")
    told, tells = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_serve, args=(parts.port, seconds, tells), daemon=True)
    process.start()
    tells.close()
    try:
        login = parts.netloc.rpartition("@")[0]
        yield parts._replace(netloc=f"{login}@{LOOPBACK}:{told.recv()}").geturl()
    finally:
        process.terminate()
        process.join()


def _serve(port: int, seconds: float, tells: Connection) -> None:
    asyncio.run(_pass_on(port, seconds, tells))


async def _pass_on(port: int, seconds: float, tells: Connection) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * seconds)
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, port)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_way(reader, server_writer, seconds))
            ways.create_task(_way(server_reader, writer, seconds))

    server = await asyncio.start_server(connected, LOOPBACK, 0)
    tells.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass on one direction, its end included."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_PIECES_UNDER_WAY)

    async def depart() -> None:
        piece = b"-"
        while piece:
            try:
                piece = await reader.read(_PIECE_BYTES)
            except ConnectionError:
                piece = b""
            await under_way.put((time.monotonic() + seconds, piece))

    departures = asyncio.create_task(depart())
    with suppress(ConnectionError):
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    departures.cancel()
    writer.close()
