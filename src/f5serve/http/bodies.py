"""How large the body of a request may be, and how long it may take to come.

Bodies flow through, counted as they come, whatever Content-Length says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from f5serve.errors import F5Error, InvalidRequest

PATIENCE_S = 60.0
"""How long any body may take."""

SLOWEST_BYTES_PER_S = 32_768
"""A body that comes at this rate or faster may take longer than that."""

LISTEN_S = 1.0
"""How long a body that is refused is still listened to, so that its sender hears the answer."""

_GONE: Message = {"type": "http.disconnect"}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Largest bodies: those with files in them, and all others; `patience_s` as PATIENCE_S."""

    files_bytes: int
    plain_bytes: int
    patience_s: float = PATIENCE_S


class Bodies:
    """`app`, for bodies within `limits`.

    Raises:
        InvalidRequest: BODY_TOO_LARGE, BODY_TOO_SLOW.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not ("content-length" in headers or "transfer-encoding" in headers):
            await self._app(scope, receive, send)
            return
        has_files = headers.get("content-type", "").lower().startswith("multipart/")
        most = self._limits.files_bytes if has_files else self._limits.plain_bytes
        if declared_bytes(headers) > most:
            if "expect" not in headers:
                await _listen(receive)
            raise _too_large(most)
        await _pass(self._app, scope, _Body(receive, most, self._limits.patience_s), send)


def check_type(request: Request, taken: re.Pattern[str], shown: str, code: str, hint: str) -> None:
    """Refuse a body of another Content-Type before it is read; a request without a body passes.

    Raises:
        InvalidRequest: with this code.
    """
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return  # which field is missing says more
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if taken.fullmatch(kind):
        return
    said = f"The body's Content-Type is {kind[:60]!r}" if kind else "The body has no Content-Type"
    raise InvalidRequest(f"{said}; this route takes {shown}.", code=code, hint=hint)


class _Body:
    """A body as it comes; one that is refused ends for the application as if its sender left."""

    def __init__(self, receive: Receive, most: int, patience_s: float) -> None:
        self._receive = receive
        self._most, self._bytes = most, 0
        self._patience_s, self._since = patience_s, time.monotonic()
        self._has_ended = False
        self.refusal: F5Error | None = None

    async def receive(self) -> Message:
        if self.refusal is not None:
            return _GONE
        if self._has_ended:
            return await self._receive()
        try:
            async with asyncio.timeout(self._left_s()):
                message = await self._receive()
        except TimeoutError:
            self.refusal = InvalidRequest(
                f"The body of the request did not come in time; {self._bytes:,} bytes did.",
                code="BODY_TOO_SLOW",
                hint=f"It may take {PATIENCE_S:.0f} s, and longer at {SLOWEST_BYTES_PER_S:,} "
                "bytes/s.",
            )
            return _GONE
        return await self._counted(message)

    def _left_s(self) -> float:
        allowed_s = self._patience_s + self._bytes / SLOWEST_BYTES_PER_S
        return self._since + allowed_s - time.monotonic()

    async def _counted(self, message: Message) -> Message:
        self._bytes += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        if self._bytes <= self._most:
            return message
        self.refusal = _too_large(self._most)
        if not self._has_ended:
            await _listen(self._receive)
        return _GONE


async def _pass(app: ASGIApp, scope: Scope, body: _Body, send: Send) -> None:
    """Run `app`; what it says to a body that was refused is for nobody."""
    has_begun = False

    async def tell(message: Message) -> None:
        nonlocal has_begun
        if body.refusal is None or has_begun:
            has_begun = True
            await send(message)

    try:
        await app(scope, body.receive, tell)
    except Exception:
        if body.refusal is None:
            raise
    if body.refusal is not None and not has_begun:
        raise body.refusal


async def _listen(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LISTEN_S):
            while (await receive()).get("more_body"):
                pass


def declared_bytes(headers: Headers) -> int:
    """Content-Length in bytes; 0 without a valid one."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _too_large(most: int) -> InvalidRequest:
    return InvalidRequest(
        f"The body of the request has more than {most:,} bytes.",
        code="BODY_TOO_LARGE",
        hint="Send less; F5_MAX_BODY_MB of the server is the most that files may have.",
    )
