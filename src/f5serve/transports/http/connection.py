"""One connection, whose requests must say soon, and shortly, what they want.

uvicorn bounds neither: the head of a request could grow until memory ends, or come a byte an hour.
Bytes flow through to uvicorn's own protocol; bodies are bounded by `bodies`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of a request's first line and headers; what came in the same read as their beginning is free."""

HEAD_S = 20.0
"""How long a head may take, from its first byte."""

SILENCE_S = 75.0
"""How long a new connection may say nothing: browsers open some before they need them."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol within these bounds."""

    head_s = HEAD_S
    silence_s = SILENCE_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._has_just_begun = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._close_in(self.silence_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and count those of a head that is not complete with them."""
        self._has_just_begun = False
        super().data_received(data)
        if self._in_head and not self._has_just_begun:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers of the request are too large.")

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
        super().on_headers_complete()

    def _close_in(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
