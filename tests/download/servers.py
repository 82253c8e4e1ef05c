"""Servers on loopback that behave well or badly, and a network policy that allows them.

127.0.0.2 plays a public address; 127.0.0.1 is the internal network that nobody may reach.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from f5serve.download.connection import NetworkPolicy, Resolver, system_tls_context
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import F5Error

PUBLIC, PUBLIC_BUT_DOWN, PRIVATE = "127.0.0.2", "127.0.0.3", "127.0.0.1"
SECRET = "sig-0123456789"  # stands for a signature in a query
QUICK = FetchLimits(
    max_bytes=10_000, timeout_s=5.0, idle_timeout_s=5.0, min_bytes_per_s=1.0, allow_http=True
)
IMPATIENT = replace(QUICK, timeout_s=0.6, idle_timeout_s=0.3, min_bytes_per_s=100.0)

Reply = Callable[[socket.socket, bytes], None]
"""Connection and request head -> whatever the server does then."""


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP answer; Content-Length is added unless given as `content_length=""`."""
    headers.setdefault("content_length", str(len(body)))
    lines = [f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v != ""]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body


def saying(*pieces: bytes, pause_s: float = 0.0) -> Reply:
    """Send the pieces one after the other."""
    stop = threading.Event()

    def reply(connection: socket.socket, request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)
            if pause_s:
                stop.wait(pause_s)

    return reply


def redirecting(location: str, status: str = "302 Found") -> Reply:
    """Send somewhere else."""
    return saying(answer(status=status, location=location))


class Server:
    """One listening socket; each connection gets a thread, a request and the reply."""

    def __init__(self, reply: Reply, host: str = PUBLIC, tls: ssl.SSLContext | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        self._reply = reply
        self._tls = tls
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65_536)
                if not piece:
                    break
                head += piece
            if head:
                self.requests.append(head)
                self._reply(connection, head)
        connection.close()


def network_to(
    *ports: int,
    names: dict[str, list[str]] | None = None,
    resolve: Resolver | None = None,
    tls_context: Callable[[], ssl.SSLContext] = system_tls_context,
) -> NetworkPolicy:
    """A policy that allows only 127.0.0.2 and .3, with a resolver that knows only `names`."""
    table = {"files.example": [PUBLIC], **(names or {})}

    def look_up(host: str, port: int) -> list[str]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known at 127.0.0.53")
        return table[host]

    return NetworkPolicy(
        ports=frozenset({80, 443, *ports}),
        allowed=(ipaddress.ip_network(f"{PUBLIC}/31"),),
        resolve=resolve or look_up,
        tls_context=tls_context,
    )


def fetch(server: Server, path: str = "/a.wav", limits: FetchLimits = QUICK) -> bytes:
    """Fetch from a server as files.example."""
    url = f"http://files.example:{server.port}{path}"
    return fetch_url(url, limits, what="voice", network=network_to(server.port))


def check_discreet(error: F5Error) -> None:
    """An error tells a caller nothing of our network, nor repeats a signature."""
    told = f"{error} {error.hint} {error.as_dict()}"
    for secret in ("127.0.0.", "169.254", "::1", SECRET, "Errno", "Traceback", ".py"):
        assert secret not in told, told
    assert error.message.startswith("Failed to download voice: ")
    assert error.message.endswith(".")
    assert error.hint.endswith(".")
