"""A caller that costs little: one connection, one request at a time, times of its answer.

A path and a JSON body flow in, an `Answer` flows out. Parsing is httptools', so that many callers
in one process take no time that would count as the server's.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httptools

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, seconds from sending to the first and the last byte of the body, and its length."""

    status: int
    first_s: float
    whole_s: float
    size: int


class Caller(asyncio.Protocol):
    """A kept connection; a context manager. One request at a time."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self._transport: asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self._place.hostname, self._place.port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Send a request, wait for all of its answer.

        Raises:
            ConnectionError: the server hung up.
            TimeoutError: it took longer than `TIMEOUT_S`.
        """
        assert self._transport is not None
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._place.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self._first_s, self._size = 0.0, 0
        self._began = time.perf_counter()
        self._transport.write(head.encode() + data)
        async with asyncio.timeout(TIMEOUT_S):
            return await self._done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        done = getattr(self, "_done", None)
        if done is not None and not done.done():
            done.set_exception(error or ConnectionError("the server hung up"))

    def on_body(self, data: bytes) -> None:
        """See httptools."""
        self._first_s = self._first_s or time.perf_counter() - self._began
        self._size += len(data)

    def on_message_complete(self) -> None:
        """See httptools."""
        whole_s = time.perf_counter() - self._began
        status = self._parser.get_status_code()
        if not self._done.done():
            self._done.set_result(Answer(status, self._first_s, whole_s, self._size))
