"""A TCP proxy whose connections can be dropped, whose server can change behind it, and which holds
requests back."""

from __future__ import annotations

import contextlib
import socket
import threading

_MANY = 1000
"""More than ever wait."""


class Proxy:
    """Listens on a port of its own. target: host:port, or None for a server that is gone.

    So many requests that begin with `held` pass; the others wait until they are let through.
    """

    def __init__(self, target: str | None, held: bytes, passing: int) -> None:
        self.target = target
        self._held, self._passing = held, threading.Semaphore(passing)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def drop(self) -> None:
        """Cuts every connection there is."""
        connections, self._open = self._open, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def let_through(self) -> None:
        """Nothing is held back any more."""
        self._held = b""
        self._passing.release(_MANY)

    def close(self) -> None:
        self._listener.close()
        self.let_through()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                host, _, port = (self.target or "").partition(":")
                server = socket.create_connection((host, int(port)))
            except (OSError, ValueError):
                client.close()
                continue
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                asks = source is client
                threading.Thread(target=self._pump, args=(source, sink, asks), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asks and self._held and data.startswith(self._held):
                    self._passing.acquire()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
