"""Stands between the pipeline and an external database, and is the network, or the server, that fails."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from dbsync_pipeline.embedded.process import LOOPBACK

_COPY_BEGINS = b" from stdin"


class Proxy:
    """Passes bytes on to a database, until it is told to fail: as one that is silent, breaks off, or refuses."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port)
        # Held without listening, so that nobody else gets the port while connections are refused.
        self._held = _bound(0)
        self._port: int = self._held.getsockname()[1]
        self.url = url.replace(f":{parts.port}/", f":{self._port}/")
        self._listening: socket.socket | None = None
        self._silent = False
        self._breaks_after: int | None = None
        self._open: set[socket.socket] = set()
        self._changing = threading.Lock()
        self.restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._held.close()

    def fall_silent(self) -> None:
        """Accept, read, and never say a word, on connections that are open, too."""
        self._silent = True

    def break_off(self, after: int) -> None:
        """Cut a connection when so many bytes have been sent on it since a COPY began, be that over by then or not."""
        self._breaks_after = after

    def refuse(self) -> None:
        """Cut every connection, and let nobody connect."""
        listening, self._listening = self._listening, None
        if listening is not None:
            # Whoever waits in `accept` is not woken by closing alone.
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self._cut()

    def restore(self) -> None:
        """Pass everything on again; what was sent into the silence is lost, and its connection with it."""
        self._breaks_after = None
        if self._silent:
            self._cut()
            self._silent = False
        if self._listening is None:
            self._listening = _bound(self._port)
            self._listening.listen()
            threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _cut(self) -> None:
        with self._changing:
            for wire in self._open:
                _shut(wire)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near, listening), daemon=True).start()

    def _serve(self, near: socket.socket, listening: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self._to) as far:
            with self._changing:
                # Cut meanwhile, as it would have been a moment later.
                if listening is not self._listening:
                    return
                self._open |= {near, far}
            back = threading.Thread(target=self._pump, args=(far, near), kwargs={"outward": False}, daemon=True)
            back.start()
            self._pump(near, far, outward=True)
            back.join()
            with self._changing:
                self._open -= {near, far}

    def _pump(self, source: socket.socket, target: socket.socket, *, outward: bool) -> None:
        copied: int | None = None
        with suppress(OSError):
            while data := source.recv(65536):
                if copied is not None and self._breaks_after is not None:
                    left = self._breaks_after - copied
                    if len(data) > left:
                        target.sendall(data[: max(0, left)])
                        break
                if not self._silent:
                    target.sendall(data)
                if outward and _COPY_BEGINS in data:
                    # The driver sends the statement, and nothing more before it is answered.
                    copied = 0
                elif copied is not None:
                    copied += len(data)
        _shut(source)
        _shut(target)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound


def _shut(wire: socket.socket) -> None:
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)
