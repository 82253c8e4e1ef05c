"""Access log and request metrics, and a limit on log lines that strangers can cause.

Neither holds a path, a query or a body, only the route's template: the number of label values is
bounded, and no text is kept. The request passes unchanged but for `X-Request-Id`.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve.http.middleware.rate_limit import TokenBuckets
from f5serve.logging import JOB_ID
from f5serve.metrics import Registry

LINES_PER_MINUTE = 60

_log = logging.getLogger(__name__)

REQUEST_ID = b"x-request-id"

CLIENT_CLOSED = 499
"""Status in log and metrics of a request whose client disconnected before the end."""

SWITCHING = 101
"""Status of a WebSocket that was opened."""

UNMATCHED = "none"
"""Route of what was refused before one was found, and of what there is not."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

_JOB_ID = b"x-f5-job-id"

_QUIET = frozenset({"/ping", "/health", "/metrics"})
"""Routes that machines ask every few seconds: their lines are for debugging."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)


class LogLimit(logging.Filter):
    """A token bucket of log lines; as a filter it lets errors, our own faults, pass.

    Args:
        registry: where those that were left out are counted, if anywhere.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        per_minute: int = LINES_PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._bucket = TokenBuckets(per_minute, clock=clock)
        self._left_out = 0
        self._counter = (registry or Registry()).counter(
            "f5_log_lines_left_out_total",
            "Log lines about requests without a right key that were left out, being too many.",
        )

    def admit(self) -> str | None:
        """Text to add to the line, mostly ""; None where the line is left out."""
        if self._bucket.take(""):
            self._left_out += 1
            self._counter.inc()
            return None
        suffix = f"; {self._left_out} such lines before were left out" if self._left_out else ""
        self._left_out = 0
        return suffix

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if record.levelno >= logging.ERROR:
            return True
        suffix = self.admit()
        if suffix:
            record.msg, record.args = record.getMessage() + suffix, ()
        return suffix is not None


def limited_logger(name: str, limit: LogLimit) -> logging.Logger:
    """The logger of this name, for lines within the limit; others who log there have none."""
    logger = logging.Logger(name)
    logger.parent = logging.getLogger(name)
    logger.addFilter(limit)
    return logger


class AccessLogMiddleware:
    """Counts and logs requests to `app`, however they end.

    Args:
        lines: limit of log lines for callers without a right key, where there are keys.
    """

    def __init__(self, app: ASGIApp, registry: Registry, lines: LogLimit | None = None) -> None:
        self._app, self._lines = app, lines or LogLimit(registry)
        self._in_flight = 0
        self._requests = registry.counter(
            "f5_http_requests_total",
            "HTTP requests; status 499 is a caller who left, 500 also an answer that broke off.",
            ["method", "route", "status"],
        )
        self._seconds = registry.histogram(
            "f5_http_request_seconds",
            "Time from an HTTP request's headers to the last byte of its answer.",
            _SECONDS,
            ["route"],
        )
        self._first_byte = registry.histogram(
            "f5_http_first_byte_seconds",
            "Time from an HTTP request's headers to the first byte of its answer's body.",
            _SECONDS,
            ["route"],
        )
        self._bytes = registry.counter(
            "f5_http_response_bytes_total", "Bytes of answers' bodies.", ["route"]
        )
        registry.gauge(
            "f5_http_requests_in_flight",
            "HTTP requests whose answers are not whole yet.",
            source=lambda: self._in_flight,
        )
        self._open_sockets = 0
        registry.gauge(
            "f5_websockets_open", "WebSockets that are open.", source=lambda: self._open_sockets
        )
        self._closes = registry.counter(
            "f5_websockets_closed_total",
            "WebSockets that were open, by the code they were closed with; 1006 is none.",
            ["route", "code"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        JOB_ID.set("")  # a pipelined request begins in the context of the one before
        given = _header(scope["headers"], REQUEST_ID)
        request_id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send, request_id)
            return
        exchange = _RequestTrace(scope, receive, send, request_id)
        self._in_flight += 1
        try:
            await self._app(scope, exchange.receive, exchange.send)
            exchange.has_failed = False
        finally:
            self._in_flight -= 1
            self._count(exchange)

    async def _serve_socket(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> None:
        trace = _SocketTrace(receive, send, request_id)
        self._open_sockets += 1
        try:
            await self._app(scope, trace.receive, trace.send)
        finally:
            self._open_sockets -= 1
            route = _route_of(scope)
            self._requests.labels("GET", route, str(trace.status)).inc()
            if trace.bytes_out:
                self._bytes.labels(route).inc(trace.bytes_out)
            if trace.status == SWITCHING:
                self._closes.labels(route, str(trace.close_code)).inc()
            seconds = time.perf_counter() - trace.began
            state = scope["state"]
            more = "" if state.get("is_known") else self._lines.admit()
            if more is not None:
                _log.info(
                    "WebSocket %s: %d, closed with %d after %.3f s, %d bytes, key %s, request %s%s",
                    *(route, trace.status, trace.close_code, seconds, trace.bytes_out),
                    *(state.get("caller") or "-", request_id, more),
                )

    def _count(self, exchange: _RequestTrace) -> None:
        seconds = time.perf_counter() - exchange.began
        scope, status = exchange.scope, exchange.status
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = _route_of(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if exchange.first_at:
            self._first_byte.labels(route).observe(exchange.first_at - exchange.began)
        if exchange.bytes_out:
            self._bytes.labels(route).inc(exchange.bytes_out)
        level = logging.DEBUG if route in _QUIET and status < 400 else logging.INFO
        if not _log.isEnabledFor(level):
            return
        state = scope["state"]  # with a key that is known, where there are keys, all lines are kept
        more = "" if state.get("is_known") else self._lines.admit()
        if more is not None:
            _log.log(
                level,
                "%s %s: %d in %.3f s, %d bytes, key %s, request %s%s",
                *(method, route, status, seconds, exchange.bytes_out),
                *(state.get("caller") or "-", exchange.request_id, more),
                extra={"job_id": exchange.job_id},
            )


@dataclass(slots=True)
class _RequestTrace:
    """One request and what has happened of its answer."""

    scope: Scope
    pass_in: Receive
    pass_out: Send
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    first_at: float = 0.0
    bytes_out: int = 0
    has_left: bool = False
    has_failed: bool = True
    _sent: int = 0
    _is_whole: bool = False
    _job_id: str = ""

    async def receive(self) -> Message:
        """As the server's own; notices an early disconnect."""
        message = await self.pass_in()
        if message["type"] == "http.disconnect" and not self._is_whole:
            self.has_left = True
        return message

    async def send(self, message: Message) -> None:
        """As the server's own; adds the id of the request to the answer."""
        if message["type"] == "http.response.start":
            self._sent = message["status"]
            headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != REQUEST_ID]
            self._job_id = _header(headers, _JOB_ID).decode("latin-1")
            headers.append((REQUEST_ID, self.request_id.encode()))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            size = len(message.get("body", b""))
            if size and not self.first_at:
                self.first_at = time.perf_counter()
            if not self.has_left:
                self.bytes_out += size
        await self.pass_out(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_whole = True

    @property
    def status(self) -> int:
        """What was sent, unless the answer never became whole."""
        if self._is_whole and not self.has_left:
            return self._sent
        return CLIENT_CLOSED if self.has_left or not self.has_failed else 500

    @property
    def job_id(self) -> str:
        """The job that the request was about, "" for none."""
        named = self.scope.get("path_params", {}).get("job_id", "")
        return self._job_id or JOB_ID.get() or str(named)[:128]


@dataclass(slots=True)
class _SocketTrace:
    """One WebSocket: how it was answered and how it ended."""

    pass_in: Receive
    pass_out: Send
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    bytes_out: int = 0
    status: int = CLIENT_CLOSED
    close_code: int = 1006

    async def receive(self) -> Message:
        """As the server's own; notes how the other side has closed."""
        message = await self.pass_in()
        if message["type"] == "websocket.disconnect" and self.close_code == 1006:
            self.close_code = message.get("code") or 1005
        return message

    async def send(self, message: Message) -> None:
        """As the server's own; adds the id of the request to the answer."""
        kind = message["type"]
        if kind in ("websocket.accept", "websocket.http.response.start"):
            self.status = message.get("status", SWITCHING)
            headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != REQUEST_ID]
            headers.append((REQUEST_ID, self.request_id.encode()))
            message = {**message, "headers": headers}
        elif kind == "websocket.close":
            self.close_code = message.get("code", 1000)
        await self.pass_out(message)
        if kind == "websocket.send":
            self.bytes_out += len(message.get("bytes") or message.get("text") or "")


def _route_of(scope: Scope) -> str:
    found = scope.get("route")  # its template, not the path
    return getattr(found, "path_format", None) or getattr(found, "path", None) or UNMATCHED


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in headers if key.lower() == name), b"")
