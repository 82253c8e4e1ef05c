"""All connections of a server: so many, none that only waits for ever, none whose reader sleeps.

They are taken from a listening socket, and tell when they are made, busy, idle and gone; what has
to end is closed. What is said on them is not known here.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from f5serve.descriptors import Descriptors
from f5serve.errors import too_many_files
from f5serve.http.errors import body_of
from f5serve.http.middleware.access_log import LineLimit, limited
from f5serve.http.middleware.auth import is_public

_log = logging.getLogger(__name__)

EXTRA = 16
"""Connections beyond the most, which are told so; further ones are cut off without a word."""

QUIET_S = 120.0
"""How long a connection without a request may stay, whatever bytes it sends."""

LOOK_S = 5.0
"""How often all are looked at; more often where the limit for readers is short."""

YOUNG_S = 1.0
"""An idle connection is left alone for so long: its request may be on its way."""

TAKE_AGAIN_S = 0.5
"""Before another try where the system has no descriptor left at all."""

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SEARCHED = 100


class Kept(Protocol):
    """What is asked of a connection; see `connection.Connection`."""

    def buffered(self) -> tuple[int, int]:
        """Bytes that wait for the reader, and a number that grows as he takes some."""
        ...

    def cut(self) -> None:
        """End at once; what waits for the reader is lost."""
        ...


class Connections:
    """Those of one server, used in its event loop.

    Args:
        most: how many there may be; 0 is no limit.
        stall_s: a reader who takes nothing for so long is cut off.
    """

    def __init__(self, most: int = 0, stall_s: float = 320.0) -> None:
        self._most, self._stall_s = most, stall_s
        # Idle ones in the order in which they became so, and since when.
        self._idle: dict[Kept, float] = {}
        self._busy: set[Kept] = set()
        self._extra: set[Kept] = set()
        self._stalls: dict[Kept, tuple[tuple[int, int], float]] = {}

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def has_place(self) -> bool:
        """Whether one more can be taken; the longest idle ones make room for it."""
        if not self._most:
            return True
        self.close_idle(max(len(self) - self._most + 1, 0))
        return len(self) < self._most + EXTRA

    def made(self, connection: Kept) -> None:
        """It is there, and waits for a request."""
        if self._most and len(self) >= self._most:
            self._extra.add(connection)
        self._idle[connection] = time.monotonic()

    def busy(self, connection: Kept) -> None:
        """It has a request."""
        if self._idle.pop(connection, None) is not None:
            self._busy.add(connection)

    def idle(self, connection: Kept) -> None:
        """Its last request is answered."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = time.monotonic()

    def gone(self, connection: Kept) -> None:
        """It is there no more."""
        self._idle.pop(connection, None)
        self._stalls.pop(connection, None)
        self._busy.discard(connection)
        self._extra.discard(connection)

    def is_extra(self, connection: Kept) -> bool:
        """Whether there was no room for it, so that it is to be told to come again."""
        return connection in self._extra and len(self) > self._most

    def close_idle(self, count: int) -> int:
        """Close so many of the longest idle ones, if there are any; returns how many were."""
        before = time.monotonic() - YOUNG_S
        old = [each for each, since in islice(self._idle.items(), _SEARCHED) if since < before]
        # What waits for a slow reader is not lost while others can be closed.
        chosen = ([each for each in old if not each.buffered()[0]] or old[:1])[:count]
        for connection in chosen:
            del self._idle[connection]
            connection.cut()
        return len(chosen)

    async def watch(self) -> None:
        """Look at all of them, until cancelled."""
        pause_s = max(0.02, min(LOOK_S, self._stall_s / 8))
        while True:
            await asyncio.sleep(pause_s)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Cut off those whose readers take nothing, and those that only wait."""
        stalled = [each for each in (*self._idle, *self._busy) if self._is_stalled(each, now)]
        # An answer that was handed over whole may still be on its way to a slow reader.
        waiting = [each for each, since in self._idle.items() if now - since > QUIET_S]
        quiet = [each for each in waiting if not each.buffered()[0]]
        for connection in {*stalled, *quiet}:
            connection.cut()
        if stalled:
            _log.warning(
                "%d readers took nothing for %g s and were cut off", len(stalled), self._stall_s
            )

    def _is_stalled(self, connection: Kept, now: float) -> bool:
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

    A fault of ours comes out, for whoever begins this anew.
    """
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    while listening.fileno() >= 0:
        try:
            connected, _ = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno in _FULL:
                _log.warning("no connection can be taken: %s", error.strerror)
                await asyncio.sleep(TAKE_AGAIN_S)
            continue  # else its caller has left meanwhile
        if not connections.has_place():
            connected.close()
            continue
        try:
            await loop.connect_accepted_socket(lambda: _protocol(server, loop), connected)
        except BaseException as error:
            connected.close()
            if not isinstance(error, OSError):  # likewise
                raise


def _protocol(server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> asyncio.Protocol:
    """As `uvicorn.Server.startup` makes them."""
    made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
        config=server.config,
        server_state=server.server_state,
        app_state=server.lifespan.state,
        _loop=loop,
    )
    return made


MAX_HEAD_BYTES = 65_536
"""Of a request's first line and headers; what came in the same read as their beginning is free."""

HEAD_S = 20.0
"""How long a head may take, from its first byte."""

SILENCE_S = 75.0
"""How long a new connection may say nothing: browsers open some before they need them."""


_LOGGER = "uvicorn.error"


class Connection(HttpToolsProtocol):
    """uvicorn's protocol within these bounds.

    Attributes:
        all_of_them, log: connections of one server, and where it logs what is no request.
    """

    head_s = HEAD_S
    silence_s = SILENCE_S
    all_of_them = Connections()
    log = limited(_LOGGER, LineLimit())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.log  # uvicorn warns of every request that is no HTTP, and every upgrade
        self._in_head = False
        self._has_just_begun = False
        self._head_bytes = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._close_in(self.silence_s)
        self.all_of_them.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        self.all_of_them.gone(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and count those of a head that is not complete with them."""
        self._has_just_begun = False
        super().data_received(data)
        if self._in_head and not self._has_just_begun:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, "The headers of the request are too large.", "too_many_headers")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._has_just_begun = True
        self._head_bytes = 0
        self._close_in(self.head_s)

    def on_headers_complete(self) -> None:
        """It has come."""
        self._in_head = False
        self._stop_waiting()
        if self.all_of_them.is_extra(self):
            self.scope["state"]["has_no_room"] = True  # for `room`, which tells the caller
        super().on_headers_complete()
        self.all_of_them.busy(self)

    def on_response_complete(self) -> None:
        """The next request may come, or has come already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self.all_of_them.idle(self)

    def resume_writing(self) -> None:
        """The reader has taken something."""
        self._taken += 1
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Tell that these bytes are no HTTP, as all errors are told."""
        self._refuse(400, msg, "bad_request")

    def buffered(self) -> tuple[int, int]:
        """See `connections.Kept`."""
        return self.transport.get_write_buffer_size(), self._taken

    def cut(self) -> None:
        """See `connections.Kept`."""
        self.transport.abort()

    def _refuse(self, status: int, said: str, code: str) -> None:
        if self.cycle is None or self.cycle.response_complete:
            body = json.dumps(body_of(said, status, code)).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
                "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()  # an answer that is being sent cannot be told apart from this one

    def _close_in(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connection_of(connections: Connections, lines: LineLimit | None = None) -> type[Connection]:
    """The kind of connection whose instances are counted there, and whose warnings are limited."""
    log = limited(_LOGGER, lines or LineLimit())
    of_one_server = {"all_of_them": connections, "log": log}
    return type("Connection", (Connection,), of_one_server)


CLOSING_S = 0.01
"""What a connection that was closed takes to give its descriptor back."""

_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that begin no work."""


@dataclass(frozen=True, slots=True)
class Room:
    """Of one process, for connections and for work."""

    descriptors: Descriptors
    connections: Connections

    async def is_there(self) -> bool:
        """Whether new work may begin; connections that only wait make room for it."""
        missing = self.descriptors.missing()
        if missing and self.connections.close_idle(missing):
            await asyncio.sleep(CLOSING_S)
            missing = self.descriptors.missing()
        return not missing


class Roomy:
    """`app`, for requests that there are descriptors for.

    Raises:
        StorageFailed: TOO_MANY_OPEN_FILES.
    """

    def __init__(self, app: ASGIApp, room: Room | None) -> None:
        self._app, self._room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_public(scope["path"]):
            is_full = scope.get("state", {}).get("has_no_room", False)
            if is_full or not (
                self._room is None or scope["method"] in _READING or await self._room.is_there()
            ):
                raise too_many_files()
        await self._app(scope, receive, send)
