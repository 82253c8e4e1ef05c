"""Events of the Wyoming protocol on a connection, with limits on what is read and for how long.

    {"type": ..., "data_length": n, "payload_length": m}\\n, n bytes of JSON, m bytes

Data may stand in the line as well; both are taken together. docs/decisions/0044-wyoming.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from f5serve.errors import F5Error, InvalidRequest

MAX_PAYLOAD_BYTES = 1_000_000
"""Of an event that is sent to us; audio of other services, which is read and dropped."""

MIN_DATA_BYTES = 65_536
BYTES_OF_CHARACTER = 12
"""At most, as JSON writes one."""

EVENT_TIMEOUT_S = 20.0
"""Longest time for the rest of an event, from its first byte."""

LINGER_S, LINGER_BYTES = 1.0, 1_000_000
"""What is still read after the last event was sent: a caller that is sent a reset while it sends
loses what it has not read yet."""

FRAME_CODES = ("BAD_EVENT", "EVENT_TOO_LARGE", "EVENT_TOO_SLOW")
"""Errors of callers that do not speak the protocol."""

_READ_BYTES = 65_536
_SHOWN_BYTES = 40


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: JSON.
        payload: bytes behind it; what is received has none, as no event that is known has some.
    """

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def as_bytes(self) -> bytes:
        """As it is sent."""
        head: dict[str, Any] = {"type": self.type}
        data = json.dumps(self.data).encode() if self.data else b""
        if data:
            head["data_length"] = len(data)
        if self.payload:
            head["payload_length"] = len(self.payload)
        return b"%b\n%b%b" % (json.dumps(head).encode(), data, self.payload)


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Limits of one connection.

    Attributes:
        line_bytes: of a line, and of the data behind it.
        stall_s: a reader that takes nothing for this time is cut off.
    """

    line_bytes: int = MIN_DATA_BYTES
    payload_bytes: int = MAX_PAYLOAD_BYTES
    event_timeout_s: float = EVENT_TIMEOUT_S
    stall_s: float = 320.0


class Channel:
    """Reads and writes events on one connection.

    Args:
        reader: its limit is at least `limits.line_bytes`.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: FrameLimits
    ) -> None:
        self._reader, self._writer, self._limits = reader, writer, limits
        self._writing = asyncio.Lock()

    async def read(self) -> Event | None:
        """The next event; None at the end of the connection, even within an event.

        Raises:
            InvalidRequest: BAD_EVENT, EVENT_TOO_LARGE, EVENT_TOO_SLOW.
        """
        try:
            first = await self._reader.readexactly(1)
            async with asyncio.timeout(self._limits.event_timeout_s):
                return await self._read_rest(first)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except TimeoutError:
            raise InvalidRequest(
                f"An event was not complete within {self._limits.event_timeout_s:g} s.",
                code="EVENT_TOO_SLOW",
                hint="Send the bytes that data_length and payload_length announce.",
            ) from None

    async def write(self, event: Event) -> None:
        """Send one event; waits while the reader is slow.

        Raises:
            ConnectionError: the connection has ended.
            TimeoutError: the reader has taken nothing for too long.
        """
        async with self._writing, asyncio.timeout(self._limits.stall_s):
            self._writer.write(event.as_bytes())
            await self._writer.drain()

    async def close(self) -> None:
        """End the connection so that what was sent arrives."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                left = LINGER_BYTES
                while left > 0 and (taken := await self._reader.read(_READ_BYTES)):
                    left -= len(taken)
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()

    async def _read_rest(self, first: bytes) -> Event:
        try:
            line = first if first == b"\n" else first + await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise _too_large("The line of an event", error.consumed, self._limits.line_bytes) from (
                None
            )
        if len(line) > self._limits.line_bytes:
            raise _too_large("The line of an event", len(line), self._limits.line_bytes)
        head = _json_object(line, "The line")
        data = _object_in(head, "data")
        data_bytes = _length_in(head, "data_length")
        if data_bytes > self._limits.line_bytes:
            raise _too_large("The data of an event", data_bytes, self._limits.line_bytes)
        if data_bytes:
            data |= _json_object(await self._reader.readexactly(data_bytes), "The data")
        await self._skip(_length_in(head, "payload_length"))
        kind = head.get("type")
        if not isinstance(kind, str):
            raise _bad("An event has no type", str(kind)[:_SHOWN_BYTES])
        return Event(kind, data)

    async def _skip(self, payload_bytes: int) -> None:
        if payload_bytes > self._limits.payload_bytes:
            raise _too_large("The payload of an event", payload_bytes, self._limits.payload_bytes)
        while payload_bytes:
            taken = await self._reader.readexactly(min(payload_bytes, _READ_BYTES))
            payload_bytes -= len(taken)


def error_event(error: F5Error) -> Event:
    """The event for an error: our sentence with its hint, and our code."""
    return Event("error", {"text": f"{error.message} {error.hint}".strip(), "code": error.code})


def _json_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad(f"{what} of an event is no JSON", ascii(text[:_SHOWN_BYTES])) from None
    if not isinstance(value, dict):
        raise _bad(f"{what} of an event is no JSON object", ascii(text[:_SHOWN_BYTES]))
    return value


def _object_in(head: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = head.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(f"{name} of an event is no JSON object", ascii(value)[:_SHOWN_BYTES])
    return value


def _length_in(head: Mapping[str, Any], name: str) -> int:
    value = head.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _bad(f"{name} of an event is no length", ascii(value)[:_SHOWN_BYTES])
    return value


def _bad(what: str, value: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: {value}.",
        code="BAD_EVENT",
        hint="Send events of the Wyoming protocol: a JSON object in a line, then its data.",
    )


def _too_large(what: str, size: int, limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"{what} has {size:,} bytes or more; {limit:,} is the limit.",
        code="EVENT_TOO_LARGE",
        hint="Send long texts in parts.",
    )
