"""The answer to a request for speech, sent while the speech is being made.

What `Operations.stream` gives flows in; a file or OpenAI's events flow out to the connection. Until
the first part is there nothing is sent, so whatever goes wrong decides the status. Later errors are
an event, or an end before the end, which clients notice. A caller that goes away stops the job.

A reader that is slow holds up neither the device nor anybody else: encoding waits for the reader,
speaking does not, and what was spoken meanwhile lies on the disk once it is long.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import F5Error
from f5serve.http import errors
from f5serve.http.leaving import while_listening
from f5serve.http.speech_body import SpeechDelta, SpeechDone, SpeechError, Usage
from f5serve.http.speech_file import HELD_BYTES, SpeechFile, Told
from f5serve.service.pools import BoundedExecutor
from f5serve.types import AudioFormat
from f5serve.units import FRAMES_PER_SECOND

_log = logging.getLogger(__name__)

PART_BYTES = 48_000
"""Most that is handed to the server at once, so that a slow reader is felt: 1 s of pcm."""

DELTA_BYTES = 24_000
"""Most of a file in one event; some clients take no line of 64 KiB."""

SSE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer is wanted.

    Attributes:
        input_chars: length of the text as it was sent.
        headers: asked for when the answer begins.
        refuse: the answer to an error before that.
        encoders: threads for formats that cost something.
        stall_s: a reader that takes nothing for so long is cut off.
    """

    format: AudioFormat
    is_sse: bool
    input_chars: int
    headers: Callable[[], Mapping[str, str]]
    refuse: Callable[[F5Error], JSONResponse]
    encoders: BoundedExecutor
    stall_s: float

    @property
    def media_type(self) -> str:
        """What is sent."""
        return SSE if self.is_sse else MEDIA_TYPES[self.format]


class SpeechResponse(Response):
    """Sends what `told` gives as `delivery` says."""

    def __init__(self, told: Told, delivery: Delivery) -> None:
        super().__init__()
        self._told = told
        self._delivery = delivery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; see `Response`."""
        await while_listening(receive, self._answer(scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        held_bytes = 0 if self._delivery.is_sse else HELD_BYTES
        delivery = self._delivery
        file = SpeechFile(
            self._told, delivery.format, delivery.encoders, held_bytes, delivery.stall_s
        )
        sending = _Sending(send, self._delivery, file)
        async with aclosing(self._told), aclosing(file.parts()) as parts:
            try:
                async for part in parts:
                    await sending.part(part)
                await sending.end()
            except F5Error as error:
                if sending.has_begun:
                    _log.warning("speech ended early: %s %s", error.code, error.message)
                    await sending.fail(errors.told(error)[1])
                else:
                    await self._delivery.refuse(error)(scope, receive, send)
            except TimeoutError:
                _log.warning("a reader took nothing for %g s", self._delivery.stall_s)
            except Exception as error:
                if not sending.has_begun:
                    raise
                await sending.fail(errors.unexpected(error)[1])


class _Sending:
    """One answer on its way; begun by its first part."""

    def __init__(self, send: Send, delivery: Delivery, file: SpeechFile) -> None:
        self.has_begun = False
        self._send = send
        self._delivery = delivery
        self._file = file

    async def part(self, part: bytes) -> None:
        """The next bytes of the file."""
        if not self.has_begun:
            self.has_begun = True
            await self._pass(self._head())
        size = DELTA_BYTES if self._delivery.is_sse else PART_BYTES
        for cut in _cuts(part, size):
            if self._delivery.is_sse:
                cut = event(SpeechDelta(audio=base64.b64encode(cut).decode()))
            await self._body(cut)

    async def end(self) -> None:
        """That was all of it."""
        if self._delivery.is_sse:
            usage = usage_of(self._delivery.input_chars, self._file.seconds)
            await self._body(event(SpeechDone(usage=usage, warnings=self._file.warnings or None)))
        await self._body(b"", more=False)

    async def fail(self, body: Mapping[str, Any]) -> None:
        """There will be no more. A file stays without its end: the server closes the connection."""
        if self._delivery.is_sse:
            await self._body(event(SpeechError.model_validate(body)), more=False)

    def _head(self) -> Message:
        delivery, length = self._delivery, self._file.length
        headers = MutableHeaders(raw=[])
        headers.update(delivery.headers())
        headers["Content-Type"] = delivery.media_type
        if length is not None and not delivery.is_sse:
            headers["Content-Length"] = str(length)
        return {"type": "http.response.start", "status": 200, "headers": headers.raw}

    async def _body(self, data: bytes, more: bool = True) -> None:
        await self._pass({"type": "http.response.body", "body": data, "more_body": more})

    async def _pass(self, message: Message) -> None:
        async with asyncio.timeout(self._delivery.stall_s):
            await self._send(message)


def usage_of(input_chars: int, seconds: float) -> Usage:
    """What was read and made, in the model's own units: characters, and frames of its mel."""
    frames = round(seconds * FRAMES_PER_SECOND)
    return Usage(input_tokens=input_chars, output_tokens=frames, total_tokens=input_chars + frames)


def event(told: BaseModel) -> bytes:
    """One server-sent event, as OpenAI writes it."""
    return f"data: {told.model_dump_json(exclude_none=isinstance(told, SpeechDone))}\n\n".encode()


def _cuts(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
