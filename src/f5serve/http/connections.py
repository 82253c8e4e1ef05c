"""Limits on connections: their number, idle time, slow readers, and size and time of headers.

uvicorn has none of these limits. Connections are accepted one at a time and counted before the
next; see docs/decisions/0030-limits-against-costly-requests.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import socket
import time
from http import HTTPStatus
from itertools import islice
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from f5serve.http.errors import error_body
from f5serve.http.middleware.access_log import LogLimit, limited_logger

_log = logging.getLogger(__name__)

EXTRA_CONNECTIONS = 16
"""Connections beyond the limit that are answered with 503; further ones are closed at once."""

IDLE_LIMIT_S = 120.0
"""Longest time of a connection without a request, whatever bytes it sends."""

CHECK_INTERVAL_S = 5.0
"""Seconds between two looks at all connections; less where the limit for readers is short."""

MIN_IDLE_S = 1.0
"""An idle connection is not closed before: its request may be on its way."""

ACCEPT_RETRY_S = 0.5
"""Seconds before the next try where the system has no descriptor left."""

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SEARCHED = 100

MAX_HEAD_BYTES = 65_536
"""Of a request's first line and headers; what came in the same read as their beginning is free."""

MAX_LINE_BYTES = 8_192
"""Of a header of a WebSocket, as the library reads them."""

HEADER_TIMEOUT_S = 20.0
"""Longest time for the headers of a request, from their first byte."""

IDLE_TIMEOUT_S = 75.0
"""Longest time before the first byte: browsers open connections before they need them."""

_LOGGER = "uvicorn.error"

SOCKET_SHARE = 0.75
"""Part of the connections that may be WebSockets, which stay."""


class Connection(Protocol):
    """A connection of either protocol."""

    def buffered(self) -> tuple[int, int]:
        """Bytes that wait for the reader, and a number that grows as it takes some."""
        ...

    def close_now(self) -> None:
        """Close at once; bytes that wait for the reader are lost."""
        ...


class Connections:
    """Connections of one server; used in its event loop.

    Args:
        max_connections: how many there may be; 0 is no limit.
        stall_s: a reader that takes nothing for this time is cut off.
    """

    def __init__(self, max_connections: int = 0, stall_s: float = 320.0) -> None:
        self._max_connections, self._stall_s = max_connections, stall_s
        # Idle ones in the order in which they became so, and since when.
        self._idle: dict[Connection, float] = {}
        self._busy: set[Connection] = set()
        self._sockets: set[Connection] = set()
        self._extra: set[Connection] = set()
        self._stalls: dict[Connection, tuple[tuple[int, int], float]] = {}

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy) + len(self._sockets)

    @property
    def stall_s(self) -> float:
        """A reader that takes nothing for this time is cut off."""
        return self._stall_s

    @property
    def sockets(self) -> int:
        """How many are WebSockets."""
        return len(self._sockets)

    def has_room_for_socket(self) -> bool:
        """Whether one more may become a WebSocket."""
        most = self._max_connections
        return not most or len(self._sockets) < max(1, int(most * SOCKET_SHARE))

    def has_room(self) -> bool:
        """Whether one more can be taken; the longest idle ones make room for it."""
        if not self._max_connections:
            return True
        self.close_idle(max(len(self) - self._max_connections + 1, 0))
        return len(self) < self._max_connections + EXTRA_CONNECTIONS

    def made(self, connection: Connection) -> None:
        """It is there, and waits for a request."""
        if self._max_connections and len(self) >= self._max_connections:
            self._extra.add(connection)
        self._idle[connection] = time.monotonic()

    def busy(self, connection: Connection) -> None:
        """It has a request."""
        if self._idle.pop(connection, None) is not None:
            self._busy.add(connection)

    def idle(self, connection: Connection) -> None:
        """Its last request is answered."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = time.monotonic()

    def upgraded(self, connection: Connection) -> None:
        """It is a WebSocket; others make no room by it."""
        self._sockets.add(connection)

    def closed(self, connection: Connection) -> None:
        """It is there no more."""
        self._sockets.discard(connection)
        self._idle.pop(connection, None)
        self._stalls.pop(connection, None)
        self._busy.discard(connection)
        self._extra.discard(connection)

    def is_extra(self, connection: Connection) -> bool:
        """Whether it is beyond the limit, so that its requests are answered with 503."""
        return connection in self._extra and len(self) > self._max_connections

    def close_idle(self, count: int) -> int:
        """Close so many of the longest idle ones, if there are any; returns how many were."""
        before = time.monotonic() - MIN_IDLE_S
        old = [each for each, since in islice(self._idle.items(), _SEARCHED) if since < before]
        # What waits for a slow reader is not lost while others can be closed.
        chosen = ([each for each in old if not each.buffered()[0]] or old[:1])[:count]
        for connection in chosen:
            del self._idle[connection]
            connection.close_now()
        return len(chosen)

    async def watch(self) -> None:
        """Look at all of them, until cancelled."""
        pause_s = max(0.02, min(CHECK_INTERVAL_S, self._stall_s / 8))
        while True:
            await asyncio.sleep(pause_s)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Cut off those whose readers take nothing, and those that only wait."""
        every = (*self._idle, *self._busy, *self._sockets)
        stalled = [each for each in every if self._is_stalled(each, now)]
        # An answer that was handed over whole may still be on its way to a slow reader.
        waiting = [each for each, since in self._idle.items() if now - since > IDLE_LIMIT_S]
        quiet = [each for each in waiting if not each.buffered()[0]]
        for connection in {*stalled, *quiet}:
            connection.close_now()
        if stalled:
            _log.warning(
                "%d readers took nothing for %g s and were cut off", len(stalled), self._stall_s
            )

    def _is_stalled(self, connection: Connection, now: float) -> bool:
        buffered = connection.buffered()
        before, since = self._stalls.get(connection, (None, now))
        if not buffered[0]:
            self._stalls.pop(connection, None)
            return False
        if buffered != before:
            self._stalls[connection] = buffered, now
            return False
        return now - since > self._stall_s


async def take(server: uvicorn.Server, listening: socket.socket, connections: Connections) -> None:
    """Take connections for a server that has started, one at a time, until cancelled.

    Each is counted before the next is taken, so that no burst uses up the descriptors.

    Raises faults of ours; the supervisor begins it anew.
    """
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    while listening.fileno() >= 0:
        try:
            connected, _ = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno in _FULL:
                _log.warning("no connection can be taken: %s", error.strerror)
                await asyncio.sleep(ACCEPT_RETRY_S)
            continue  # else its caller has left meanwhile
        if not connections.has_room():
            connected.close()
            continue
        with contextlib.suppress(OSError):  # likewise
            await _connect(server, connected)


async def _connect(server: uvicorn.Server, connected: socket.socket) -> None:
    """Make an accepted socket a connection of the server; a cancellation waits for that.

    uvloop reports no lost connection to a protocol whose connecting was cancelled, so the server
    would wait for it when it stops.
    """
    loop = asyncio.get_running_loop()
    connecting = asyncio.ensure_future(
        loop.connect_accepted_socket(lambda: _protocol(server, loop), connected)
    )
    try:
        await asyncio.shield(connecting)
    finally:
        await asyncio.wait({connecting})
        if connecting.exception() is not None:
            connected.close()


def _protocol(server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """As `uvicorn.Server.startup` makes them."""
    made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
        config=server.config,
        server_state=server.server_state,
        app_state=server.lifespan.state,
        _loop=loop,
    )
    return made


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits on the size and the time of headers, and on idle time.

    Attributes:
        all_connections: of one server.
        log: for bytes that are no HTTP.
    """

    header_timeout_s = HEADER_TIMEOUT_S
    idle_timeout_s = IDLE_TIMEOUT_S
    all_connections = Connections()
    log = limited_logger(_LOGGER, LogLimit())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.log  # uvicorn warns of every request that is no HTTP, and every upgrade
        self._in_head = False
        self._has_just_started = False
        self._head_bytes = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._close_in(self.idle_timeout_s)
        self.all_connections.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        self.all_connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and count those of a head that is not complete with them."""
        self._has_just_started = False
        super().data_received(data)
        if self._in_head and not self._has_just_started:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, "The headers of the request are too large.", "too_many_headers")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._has_just_started = True
        self._head_bytes = 0
        self._close_in(self.header_timeout_s)

    def on_headers_complete(self) -> None:
        """It has come."""
        self._in_head = False
        self._stop_waiting()
        if self.all_connections.is_extra(self):
            self.scope["state"]["has_no_room"] = True  # CapacityMiddleware answers 503
        super().on_headers_complete()
        self.all_connections.busy(self)

    def on_response_complete(self) -> None:
        """The next request may come, or has come already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self.all_connections.idle(self)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of WebSockets."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._refuse(400, "", "bad_request")  # its answer would be part of the socket
            return
        self._stop_waiting()
        state = self.scope["state"]
        if not self.all_connections.has_room_for_socket():
            state["has_no_room"] = True
        self.app_state = state
        super().handle_websocket_upgrade()
        self.all_connections.closed(self)
        socket = self.transport.get_protocol()
        if not getattr(socket, "handshake_initiated", True):
            message = f"A WebSocket takes at most 128 headers of {MAX_LINE_BYTES:,} bytes each."
            self._refuse(431, message, "too_many_headers")

    def resume_writing(self) -> None:
        """The reader has taken something."""
        self._taken += 1
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP with an error of our shape."""
        self._refuse(400, msg, "bad_request")

    def buffered(self) -> tuple[int, int]:
        """Bytes that wait for the reader, and a number that grows as it takes some."""
        return self.transport.get_write_buffer_size(), self._taken

    def close_now(self) -> None:
        """Close at once; bytes that wait for the reader are lost."""
        self.transport.abort()

    def _refuse(self, status: int, message: str, code: str) -> None:
        if self.cycle is None or self.cycle.response_complete:
            body = json.dumps(error_body(message, status, code)).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
                "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        # An answer that is being sent ends here: an error would look like a part of it.
        self.transport.close()

    def _close_in(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol_class(
    connections: Connections, lines: LogLimit | None = None
) -> type[LimitedHttpProtocol]:
    """A protocol class for one server; uvicorn takes a class and gives it no arguments of ours."""
    log = limited_logger(_LOGGER, lines or LogLimit())
    of_one_server = {"all_connections": connections, "log": log}
    return type("Connection", (LimitedHttpProtocol,), of_one_server)
