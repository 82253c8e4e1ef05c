"""Limits on the length of URL and headers, and on the size and time of a body.

A body is counted as it comes, whatever Content-Length says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve.errors import F5Error, InvalidRequest
from f5serve.settings import Settings

MAX_URL_BYTES = 8_192
"""As most servers and proxies take."""

MAX_HEADERS = 200

BODY_TIMEOUT_S = 60.0
"""Time that any body may take."""

SLOWEST_BYTES_PER_S = 32_768
"""A body that comes at this rate or faster may take longer than that."""

DRAIN_S = 1.0
"""Seconds to read on from a refused body, so that its sender reads the 413."""

PLAIN_BODY_BYTES = 2_000_000
"""Largest body without files; more where texts may be so long that they need it."""

INLINE_PATHS = frozenset({"/v1/audio/speech", "/v1/audio/speech/batch"})
"""Routes whose JSON may hold a recording."""

_BYTES_PER_CHAR = 12
"""Of a character in JSON at most: two escaped halves of a surrogate pair."""

_GONE: Message = {"type": "http.disconnect"}


def check_head(scope: Scope) -> None:
    """Refuse URLs and headers beyond the limits, before anything is parsed.

    Raises:
        InvalidRequest: URL_TOO_LONG, TOO_MANY_HEADERS.
    """
    size = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    if size > MAX_URL_BYTES:
        raise InvalidRequest(
            f"The URL has {size:,} bytes; {MAX_URL_BYTES:,} is the most.",
            code="URL_TOO_LONG",
            hint="Send texts in the body of a POST.",
        )
    count = len(scope["headers"])
    if count > MAX_HEADERS:
        raise InvalidRequest(
            f"The request has {count:,} headers; {MAX_HEADERS} is the most.",
            code="TOO_MANY_HEADERS",
            hint="Send only the headers that this server needs.",
        )


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Largest bodies: those with files in them, and all others; `timeout_s` as BODY_TIMEOUT_S.

    Attributes:
        inline_paths: paths that take files within JSON.
    """

    files_bytes: int
    plain_bytes: int
    timeout_s: float = BODY_TIMEOUT_S
    inline_paths: frozenset[str] = frozenset()


def body_limits_of(settings: Settings) -> BodyLimits:
    """How large bodies may be."""
    files = settings.max_body_mb * 1_000_000
    chars = max(settings.max_text_chars, settings.openai_max_chars)
    plain = min(files, max(PLAIN_BODY_BYTES, chars * _BYTES_PER_CHAR))
    return BodyLimits(files, plain, inline_paths=INLINE_PATHS)


class BodyLimitMiddleware:
    """Refuses bodies beyond `limits`; what the application answers to a refused one is dropped.

    Raises:
        InvalidRequest: BODY_TOO_LARGE, BODY_TOO_SLOW.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        has_body = "content-length" in headers or "transfer-encoding" in headers
        if not has_body or scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        has_files = headers.get("content-type", "").lower().startswith("multipart/")
        has_files = has_files or scope["path"] in self._limits.inline_paths
        max_bytes = self._limits.files_bytes if has_files else self._limits.plain_bytes
        if declared_bytes(headers) > max_bytes:
            if "expect" not in headers:
                await _drain(receive)
            raise _too_large(max_bytes)
        body = _Body(receive, max_bytes, self._limits.timeout_s)
        has_started = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_started
            if body.refusal is None or has_started:
                has_started = True
                await send(message)

        try:
            await self._app(scope, body.receive, send_unless_refused)
        except Exception:  # what an app does with a body that ends early is not its fault
            if body.refusal is None:
                raise
        if body.refusal is not None and not has_started:
            raise body.refusal


class _Body:
    """Counts a body as it comes; for the application a refused one ends as after a disconnect."""

    def __init__(self, receive: Receive, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes, self._bytes = max_bytes, 0
        self._timeout_s, self._since = timeout_s, time.monotonic()
        self._has_ended = False
        self.refusal: F5Error | None = None

    async def receive(self) -> Message:
        if self.refusal is not None:
            return _GONE
        if self._has_ended:
            return await self._receive()
        allowed_s = self._timeout_s + self._bytes / SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout(self._since + allowed_s - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.refusal = InvalidRequest(
                f"The body of the request did not come in time; {self._bytes:,} bytes did.",
                code="BODY_TOO_SLOW",
                hint=f"It may take {BODY_TIMEOUT_S:.0f} s, and longer at {SLOWEST_BYTES_PER_S:,} "
                "bytes/s.",
            )
            return _GONE
        self._bytes += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        if self._bytes <= self._max_bytes:
            return message
        self.refusal = _too_large(self._max_bytes)
        if not self._has_ended:
            await _drain(self._receive)
        return _GONE


async def _drain(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while (await receive()).get("more_body"):
                pass


def declared_bytes(headers: Headers) -> int:
    """Content-Length in bytes; 0 without a valid one."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _too_large(max_bytes: int) -> InvalidRequest:
    return InvalidRequest(
        f"The body of the request has more than {max_bytes:,} bytes.",
        code="BODY_TOO_LARGE",
        hint="Send less; F5_MAX_BODY_MB of the server is the most that files may have.",
    )
