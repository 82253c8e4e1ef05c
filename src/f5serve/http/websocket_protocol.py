"""uvicorn's WebSocket protocol with limits: sizes, what is read ahead, and how it ends.

A message waits in the network until those before it were taken; pings of a caller who reads nothing
are not answered; at a shutdown of the server the application closes the socket when it has spoken
(docs/decisions/0046).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from f5serve.http.connections import Connections, LimitedHttpProtocol
from f5serve.http.errors import error_body

FIRST_MESSAGE_BYTES = 65_536
"""Largest message before the application allows more: its sender is not known yet."""

PING_INTERVAL_S = 20.0
"""Between pings to a quiet caller, which keep proxies from ending the connection."""

MAX_WAITING = 32
"""Messages that are read ahead of the application."""

MAX_FRAGMENTS = 1_024
"""Of one message; each costs memory, even without content."""

READ_BYTES = 4_096
"""Bytes that are looked at together: the smallest message has six."""

WRITE_BUFFER_BYTES = 65_536
"""What waits for a slow reader before the application does."""

CLOSE_TIMEOUT_S = 1.0
"""Longest wait for the other side's part of the closing handshake."""


@dataclass(slots=True)
class SocketControl:
    """What an application may do with its connection beside ASGI's messages; `state["socket"]`.

    Attributes:
        limit_messages: allows messages of so many bytes from now on.
        abort: ends the connection at once.
        on_shutdown: called when the server shuts down.
        is_shutting_down: whether it has begun to.
    """

    limit_messages: Callable[[int], None]
    abort: Callable[[], None]
    on_shutdown: Callable[[], None] = lambda: None
    is_shutting_down: bool = False


class _Handshake(ServerProtocol):
    """Refuses handshakes with errors of our shape."""

    def reject(self, status: Any, text: str) -> Response:
        status = HTTPStatus(status)
        code = "internal" if status >= 500 else "bad_request"
        body = json.dumps(error_body(text.strip(), status, code)).encode()
        headers = Headers(
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("X-Content-Type-Options", "nosniff"),
                ("Connection", "close"),
            ]
        )
        return Response(status.value, status.phrase, headers, body)


class LimitedSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket; made by `LimitedHttpProtocol` for a request to upgrade.

    Attributes:
        all_connections: of one server.
    """

    all_connections = Connections()
    log = LimitedHttpProtocol.log

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.log
        self.close_timeout = CLOSE_TIMEOUT_S
        self.conn = _Handshake(max_size=FIRST_MESSAGE_BYTES, logger=self.log)
        self._control = SocketControl(self._limit_messages, self.close_now)
        self._unread: deque[memoryview] = deque()
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over from the HTTP protocol."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.all_connections.upgraded(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application."""
        self._unread.clear()
        self.all_connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and parse as many as the application keeps up with."""
        self._unread.append(memoryview(data))
        self._parse()

    def resume_writing(self) -> None:
        """The reader has taken something."""
        self._taken += 1
        super().resume_writing()

    def handle_connect(self, event: Request) -> None:
        """Begin the application, with its control of the connection."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["socket"] = self._control

    def handle_ping(self) -> None:
        """Answer, but not a caller who reads nothing."""
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set() and not self.transport.is_closing():
            self.transport.write(pong)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment of a message."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(1009, f"a message has more than {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Pass on a message that is complete."""
        if self.curr_msg_data_type == "text":
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self._fail(1007, "a text message is no UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Close; what still comes is dropped, so that its sender reads why."""
        self.frames = []
        self._unread.clear()
        if self.close_sent:
            return
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def shutdown(self) -> None:
        """Have the application close the socket when it has spoken."""
        if self.close_sent:
            super().shutdown()
            return
        self._control.is_shutting_down = True
        self._control.on_shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application sends.

        Raises:
            ClientDisconnected: the caller has left, or what he has sent has closed the socket.
        """
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # uvicorn would log that it is not

    async def receive(self) -> ASGIReceiveEvent:
        """The next message."""
        message = await super().receive()
        self._parse()
        return message

    def buffered(self) -> tuple[int, int]:
        """As `LimitedHttpProtocol.buffered`."""
        return self.transport.get_write_buffer_size(), self._taken

    def close_now(self) -> None:
        """Close at once; bytes that wait for the reader are lost."""
        self.transport.abort()

    def _limit_messages(self, max_bytes: int) -> None:
        self.conn.max_message_size = max_bytes

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _parse(self) -> None:
        # Behind a close frame of ours messages are dropped.
        while self._unread and (self.close_sent or self.queue.qsize() < MAX_WAITING):
            data = self._unread.popleft()
            if len(data) > READ_BYTES:
                self._unread.appendleft(data[READ_BYTES:])
            super().data_received(bytes(data[:READ_BYTES]))


def socket_class(kind: type[LimitedHttpProtocol]) -> type[LimitedSocketProtocol]:
    """The protocol class of WebSockets beside that of HTTP; as `protocol_class`."""
    of_one_server = {"all_connections": kind.all_connections, "log": kind.log}
    return type("Socket", (LimitedSocketProtocol,), of_one_server)
