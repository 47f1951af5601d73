"""A way to a server that lets only so many bytes a second up: a TCP proxy. Knows no HTTP."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from e2e.closing import Closing

BUFFER = 16_384
"""Bytes that wait in the system before the proxy: what is late is to wait at the client."""
PIECE = 4_096


class NarrowUplink(Closing):
    """``with NarrowUplink(server.port) as way`` serves at ``way.url`` what the server does.

    ``way.bytes_per_s`` is what goes up, of all connections together; None for all there is.
    """

    def __init__(self, target_port: int) -> None:
        self.bytes_per_s: int | None = None
        self._target_port = target_port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._start(self._accept)

    def close(self) -> None:
        """Ends all connections."""
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                self._sockets += [client, server]
                self._start(self._carry, client, server, True)
                self._start(self._carry, server, client, False)

    def _carry(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if is_up and self.bytes_per_s is not None:
                    with self._lock:
                        time.sleep(len(piece) / self.bytes_per_s)
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
