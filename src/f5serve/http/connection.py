"""One connection, whose requests must say soon, and shortly, what they want.

uvicorn bounds neither: the head of a request could grow until memory ends, or come a byte an hour.
Bytes flow through to uvicorn's own protocol; bodies are bounded by `bodies`, and how many
connections there are by `connections`.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from f5serve.http.connections import Connections
from f5serve.http.errors import body_of
from f5serve.http.line_limits import LineLimit, limited

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
