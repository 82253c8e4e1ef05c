"""A TCP proxy on loopback with a limited rate.

What the server sends is passed on at so many bytes a second over all connections together; the
kernel moves it, so that the line itself takes next to no time of a processor.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PIECE = 1 << 20
_LEAST_PIECE = 1 << 10
_TURN_S = 0.01  # most of the line that one piece may take, so that connections share it
_CREDIT_S = 0.05  # what a late thread may catch up on


class SlowLink:
    """`with SlowLink("http://127.0.0.1:9000", 1e8) as link:` and then `link.url`.

    Args:
        url: of the server.
        bytes_per_s: from the server to all clients; 0 for as fast as it goes.
    """

    def __init__(self, url: str, bytes_per_s: float) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._server = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._rate = bytes_per_s
        self._piece = _PIECE
        if bytes_per_s:
            self._piece = min(max(int(bytes_per_s * _TURN_S), _LEAST_PIECE), _PIECE)
        self._free_at = time.monotonic()
        self._gate = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.passed = 0

    @property
    def url(self) -> str:
        """Where clients reach the server through the line."""
        return f"{self._scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
        up.start()
        self._pump(server, client, True)
        up.join()
        client.close()
        server.close()

    def _pump(self, source: socket.socket, to: socket.socket, limited: bool) -> None:
        out, into = os.pipe()
        try:
            while moved := os.splice(source.fileno(), into, self._piece):
                if limited:
                    self._wait_for(moved)
                while moved:
                    moved -= os.splice(out, to.fileno(), moved)
        except OSError:
            pass  # one of the two has gone
        finally:
            for one in (source, to):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RD if one is source else socket.SHUT_WR)
            os.close(out)
            os.close(into)

    def _wait_for(self, size: int) -> None:
        """Take the line for `size` bytes, when it is free."""
        with self._gate:
            self.passed += size
            if not self._rate:
                return
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _CREDIT_S) + size / self._rate
            pause = self._free_at - now
        if pause > 0:
            time.sleep(pause)
