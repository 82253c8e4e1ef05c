"""A WebSocket of an application: JSON objects in, objects and sound out, its limits and its end.

A subclass answers messages. An error of a message is a message; one that ends the socket comes with
a close code (docs/reference/websockets.md). A caller who leaves stops the device at its next step.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from f5serve.errors import F5Error, InvalidRequest
from f5serve.http import errors
from f5serve.http.middleware.body_limit import body_limits_of
from f5serve.http.request_body import parse
from f5serve.http.scopes import check_scope
from f5serve.http.state import AppState, get_state
from f5serve.http.websocket_protocol import SocketControl
from f5serve.secrets import SPEAK, ApiKey
from f5serve.service.active_jobs import SHUT_DOWN_CODE, shut_down_error
from f5serve.settings import Settings

_log = logging.getLogger(__name__)

MAX_INBOX = 16
"""Messages that are read ahead while one is answered; more wait in the network."""

END_S = 1.0
"""Longest wait for the last messages to be sent."""

MAX_REASON_BYTES = 120

PART_BYTES = 24_000
"""Most sound in one message, so that a slow reader is felt: half a second of pcm."""

_CODES = {413: 1009, 429: 1013, 503: 1013}
"""Close codes by the HTTP status of an error; others are 1008 below 500, and 1011."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long sockets may wait; `app.state.socket_limits`.

    Attributes:
        first_message_s: for the first message, which may hold the key.
        idle_s: without a message, while nothing is spoken.
        lifetime_s: after this time a socket ends as soon as nothing is spoken over it.
    """

    first_message_s: float = 10.0
    idle_s: float = 180.0
    lifetime_s: float = 7_200.0


class SocketEnd(Exception):
    """The socket is to be closed, with this code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class SocketSession(ABC):
    """Answers one WebSocket; `run` it once.

    Attributes:
        limits: may be shortened by the session.
        state: that of the caller's tenant, once he is known.
        has_started: whether the first message was right; an error before ends the socket.
        ends_on_error: whether later ones do so as well.
        takes_files: whether a message may hold a recording.
    """

    state: AppState
    ends_on_error = takes_files = False

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._control: SocketControl = websocket.state.socket
        self.limits: SocketLimits = websocket.app.state.socket_limits
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(MAX_INBOX)
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened_at = self._active_at = time.monotonic()
        self._is_known = self._is_answering = self.has_started = False
        self._stall_s = 0.0

    @abstractmethod
    async def answer(self, message: dict[str, Any]) -> None:
        """Answer one message.

        Raises:
            F5Error: it is sent by `report`, and the socket stays open.
            SocketEnd: the socket is to be closed.
        """

    @abstractmethod
    async def report(self, error: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Send an error.

        Args:
            error: as `Problem`, with `close_code`.
            message: which caused it, {} if it was none.
        """

    @abstractmethod
    async def abandon(self) -> None:
        """Stop all that is spoken; the caller has left, or is to leave."""

    @property
    @abstractmethod
    def is_speaking(self) -> bool:
        """Whether something is being spoken, or sent."""

    @property
    @abstractmethod
    def has_text(self) -> bool:
        """Whether a text is open: it is being written or spoken."""

    async def run(self) -> None:
        """Serve until the caller leaves or the socket has to end."""
        await self._websocket.accept()
        if not hasattr(self._websocket.state, "take_key"):  # else the first message has to be short
            self._allow_messages(self._websocket.app.state.service.settings)
        self._control.on_shutdown = self._end_when_idle
        reading = asyncio.create_task(self._read_all())
        answering = asyncio.create_task(self._answer_all())
        error: BaseException | None = None
        try:
            tasks = {reading, answering, self._failed}
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The error of a message goes before that of the reader.
            found = [one.exception() for one in (self._failed, answering, reading) if one in done]
            error = next((one for one in found if one is not None), None)
        except asyncio.CancelledError:  # the server ends, and has waited long enough
            error = shut_down_error()
        finally:
            self._control.on_shutdown = lambda: None
            await self._stop(reading, answering)
        await self._end(error)

    def authenticate(self, key: str | None) -> None:
        """Take the key of the first message, where the request had none.

        Raises:
            InvalidRequest: MISSING_API_KEY, INVALID_API_KEY.
            RateLimited: RATE_LIMITED, for too many wrong keys.
        """
        take_key = getattr(self._websocket.state, "take_key", None)
        if take_key is not None:
            take_key(key or "")

    async def enter(self) -> None:
        """Begin with a caller who is known: larger messages, and the state of his tenant.

        Raises:
            InvalidRequest: MISSING_SCOPE, where the key came with the first message.
        """
        check_scope(getattr(self._websocket.state, "key", None), SPEAK)
        self.state = await get_state(self._websocket)
        self._stall_s = self.state.settings.request_timeout_s
        self._allow_messages(self.state.settings)
        self._is_known = True

    def _allow_messages(self, settings: Settings) -> None:
        """Let messages be as large as bodies of requests."""
        limits = body_limits_of(settings)
        size = limits.files_bytes if self.takes_files else limits.plain_bytes
        self._control.limit_messages(size)

    def admitted(self) -> AbstractContextManager[None]:
        """Count one text against the limits of the caller, until it is spoken.

        Raises:
            RateLimited: RATE_LIMITED, TOO_MANY_REQUESTS.
        """
        context: AbstractContextManager[None] = self._websocket.state.admitted()
        return context

    @property
    def owner(self) -> str:
        """The stable id of the caller's key, "" without one."""
        key: ApiKey | None = getattr(self._websocket.state, "key", None)
        return key.owner if key else ""

    async def send(self, message: BaseModel | bytes) -> None:
        """Send a message, or sound; waits while the reader is slow.

        Raises:
            WebSocketDisconnect: the caller has left.
            TimeoutError: he has taken nothing for too long.
        """
        async with asyncio.timeout(self._stall_s or END_S):
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(message.model_dump_json(by_alias=True))
        self._active_at = time.monotonic()

    def fail(self, error: BaseException) -> None:
        """End the socket because of an error in what it does beside its messages."""
        if not self._failed.done():
            self._failed.set_exception(error)

    def note_idle(self) -> None:
        """Nothing is spoken any more."""
        self._active_at = time.monotonic()
        if self._control.is_shutting_down:
            self._end_when_idle()

    def _end_when_idle(self) -> None:
        if not self._is_answering and not self.has_text:
            self.fail(SocketEnd(1012, SHUT_DOWN_CODE.lower()))

    async def _read_all(self) -> None:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            await self._inbox.put(message)

    async def _answer_all(self) -> None:
        while True:
            if self._control.is_shutting_down:
                self._end_when_idle()
            raw = await self._next()
            self._active_at = time.monotonic()
            self._is_answering = True
            message: dict[str, Any] = {}
            try:
                message = _decode(raw)
                await self.answer(message)
            except (F5Error, RequestValidationError) as error:
                if not self.has_started or self.ends_on_error:
                    raise
                await self.report(problem(error), message)
            finally:
                self._is_answering = False

    async def _next(self) -> Message:
        while True:
            now = time.monotonic()
            wait_s = self._wait_s(now)
            if wait_s <= 0:
                raise self._late(now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    return await self._inbox.get()

    def _wait_s(self, now: float) -> float:
        if not self._is_known:
            return self._opened_at + self.limits.first_message_s - now
        if self.is_speaking:
            return self.limits.idle_s
        idle_until = self._active_at + self.limits.idle_s
        if self.has_text:
            return idle_until - now
        return min(idle_until, self._opened_at + self.limits.lifetime_s) - now

    def _late(self, now: float) -> Exception:
        if not self._is_known:
            return InvalidRequest(
                f"The first message did not come within {self.limits.first_message_s:g} s.",
                code="NO_MESSAGE",
                hint="Send it as soon as the socket is open.",
            )
        if now < self._active_at + self.limits.idle_s:
            return SocketEnd(1001, "lifetime")
        return InvalidRequest(
            f"No message came for {self.limits.idle_s:g} s.",
            code="IDLE_TOO_LONG",
            hint="Close a socket that is not needed, and open another later.",
        )

    async def _stop(self, *tasks: asyncio.Task[None]) -> None:
        self._failed.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # it was taken, or came too late
        await self.abandon()

    async def _end(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, WebSocketDisconnect):
            return  # the caller has left
        if isinstance(error, TimeoutError):
            _log.warning("a reader took nothing for too long and was cut off")
            self._control.abort()
            return
        with contextlib.suppress(WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(END_S):
                if isinstance(error, SocketEnd):
                    code, reason = error.code, error.reason
                else:
                    shown = problem(error)
                    code, reason = shown["close_code"], f"{shown['code']}: {shown['message']}"
                    await self.report(shown, {})
                await self._websocket.close(code, _shortened(reason))
                return
        self._control.abort()


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], message: Mapping[str, Any]) -> M:
    """A message as its model.

    Raises:
        RequestValidationError: the first field that is wrong.
    """
    try:
        return model.model_validate(message)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def problem(error: BaseException) -> dict[str, Any]:
    """An error as `Problem`, and the close code that stands for it; a fault of ours is logged."""
    if isinstance(error, F5Error):
        body = errors.to_response(error)[1]
    elif isinstance(error, RequestValidationError):
        body = errors.invalid_body(error)
    else:
        assert isinstance(error, Exception)
        body = errors.internal_error(error)[1]
    return {**body["error"], "close_code": _close_code(error)}


def _close_code(error: BaseException) -> int:
    if isinstance(error, RequestValidationError):
        return 1008
    if not isinstance(error, F5Error):
        return 1011
    if error.code == SHUT_DOWN_CODE:
        return 1012
    status = errors.status_of(error)
    return _CODES.get(status, 1008 if status < 500 else 1011)


def _decode(raw: Message) -> dict[str, Any]:
    text = raw.get("text")
    if text is None:
        raise _bad_message("A binary message came")
    message = parse(text.encode("utf-8", "surrogatepass"))
    if not isinstance(message, dict):
        raise _bad_message("A message is no JSON object")
    return message


def _bad_message(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}.",
        code="BAD_MESSAGE",
        hint='Send JSON objects as text, such as {"type": "input.text", "text": "Hello."}.',
    )


def _shortened(reason: str) -> str:
    return reason.encode("ascii", "replace")[:MAX_REASON_BYTES].decode()
