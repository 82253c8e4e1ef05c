"""The answer of POST /v1/audio/speech, sent while the speech is made: a file or OpenAI's events.

Nothing is sent before the first part, so that an error until then decides the status. Later errors
are an event, or an end before the end, which clients notice. A disconnect stops the job.

A stored result, a result of one utterance, and flac come as the whole file with its length; all
else as a stream without one. A slow reader holds up neither the device nor other requests: encoding
waits for the reader, synthesis does not, and long speech waits on the disk.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.audio.encode_stream import Encoder, open_encoder
from f5serve.errors import F5Error
from f5serve.http import errors
from f5serve.http.disconnect import cancel_on_disconnect, deadline_passed
from f5serve.http.schemas import SpeechDelta, SpeechDone, SpeechError, Usage
from f5serve.service.events import AudioChunk, AudioFile, Completed, JobEvent
from f5serve.service.executor import BoundedExecutor
from f5serve.service.results import UNSTORED
from f5serve.types import FRAMES_PER_SECOND, AudioFormat

SpeechEvents = AsyncGenerator[JobEvent, None]
"""As `JobHandle.events` with `chunks` and `whole_files`."""

HOLDBACK_BYTES = 1
"""Held back from a file with Content-Length until the job record is written, so that a complete
answer implies a completed job."""

_ONLY_WHOLE: tuple[AudioFormat, ...] = ("flac",)
"""Formats of which common readers take no file whose header does not tell its length."""

READ_BYTES = 256_000
"""Of a whole file, what is read at a time."""

_log = logging.getLogger(__name__)

PART_BYTES = 48_000
"""Most that is handed to the server at once, so that a slow reader is felt: 1 s of pcm."""

DELTA_BYTES = 24_000
"""Most of a file in one event; some clients take no line of 64 KiB."""

SSE = "text/event-stream"


class SpeechFileStream:
    """The parts of one audio file, encoded while the speech is made.

    Args:
        encoders: threads for formats that cost something.
        holdback_bytes: see `HOLDBACK_BYTES`; 0 for SSE, whose last event says that the job is done.
        timeout_s: longest wait for a part of a stored file.

    Attributes:
        length: bytes of the whole, if they are known with the first part.
        seconds: of speech, once all parts have come.
        warnings: what came up after the first part, then.
    """

    def __init__(
        self,
        events: SpeechEvents,
        format: AudioFormat,
        encoders: BoundedExecutor,
        holdback_bytes: int = HOLDBACK_BYTES,
        timeout_s: float = 60.0,
    ) -> None:
        self.length: int | None = None
        self.seconds = 0.0
        self.warnings: list[str] = []
        self._events = events
        self._format = format
        self._encoders = encoders
        self._held_bytes = holdback_bytes
        self._timeout_s = timeout_s
        self._encoder: Encoder | None = None

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Parts with something in them; they end when the job is done.

        Raises:
            F5Error: as `JobHandle.events`, after the parts that were made before.
        """
        held = b""
        async for event in self._events:
            if isinstance(event, AudioChunk):
                if self._format in _ONLY_WHOLE:
                    continue
                part = await self._encoders.finish(self._encode, event)
            elif isinstance(event, Completed):
                response = event.response
                self.seconds = float(response["duration"] or 0.0)
                self.warnings = [one for one in response["warnings"] if one.startswith(UNSTORED)]
                part = held
            elif not isinstance(event, AudioFile):
                continue
            elif self._encoder is not None:
                part = await self._encoders.finish(self._encoder.end)
            else:
                self.length = event.size
                end = event.size - self._held_bytes
                for start in range(0, event.size, READ_BYTES):
                    part = await self._read(event, start)
                    held += part[max(0, end - start) :]
                    if part := part[: max(0, end - start)]:
                        yield part
                part = b""
            if part:
                yield part

    async def _read(self, file: AudioFile, start: int) -> bytes:
        size = min(READ_BYTES, file.size - start)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._encoders.finish(file.read, start, size)
        except TimeoutError:
            raise deadline_passed(self._timeout_s) from None

    def _encode(self, chunk: AudioChunk) -> bytes:
        if self._encoder is None:
            self._encoder = open_encoder(self._format)
        return self._encoder.add(chunk.read().samples)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Form of one answer.

    Attributes:
        input_chars: length of the text as it was sent.
        headers: called when the answer begins.
        on_error: makes the answer to an error before that.
        encoders: threads for formats that cost something.
        stall_s: a reader that takes nothing for this time is cut off.
    """

    format: AudioFormat
    is_sse: bool
    input_chars: int
    headers: Callable[[], Mapping[str, str]]
    on_error: Callable[[F5Error], JSONResponse]
    encoders: BoundedExecutor
    stall_s: float


class SpeechResponse(Response):
    """Sends the events of a job as `options` say."""

    def __init__(self, events: SpeechEvents, options: StreamOptions) -> None:
        super().__init__()
        self._events, self._options = events, options
        holdback_bytes = 0 if options.is_sse else HOLDBACK_BYTES
        self._file = SpeechFileStream(
            events, options.format, options.encoders, holdback_bytes, options.stall_s
        )
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; see `Response`."""
        await cancel_on_disconnect(receive, self._answer(scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._file.parts()) as parts:
            try:
                async for part in parts:
                    await self._send_part(send, part)
                await self._send(send, self._last_event(), more=False)
            except F5Error as error:
                if self._has_started:
                    _log.warning("speech ended early: %s %s", error.code, error.message)
                    await self._send_failure(send, errors.to_response(error)[1])
                else:
                    await self._options.on_error(error)(scope, receive, send)
            except TimeoutError:
                _log.warning("a reader took nothing for %g s", self._options.stall_s)
            except Exception as error:
                if not self._has_started:
                    raise
                # The status is sent: a fault can only be the last part of the answer.
                await self._send_failure(send, errors.internal_error(error)[1])

    async def _send_part(self, send: Send, part: bytes) -> None:
        size = DELTA_BYTES if self._options.is_sse else PART_BYTES
        for start in range(0, len(part), size):
            data = part[start : start + size]
            if self._options.is_sse:
                data = sse_event(SpeechDelta(audio=base64.b64encode(data).decode()))
            await self._send(send, data)

    def _last_event(self) -> bytes:
        """Says that the file is complete; a file itself ends without."""
        if not self._options.is_sse:
            return b""
        # In units of the model: characters, and frames of its mel.
        chars, frames = self._options.input_chars, round(self._file.seconds * FRAMES_PER_SECOND)
        usage = Usage(input_tokens=chars, output_tokens=frames, total_tokens=chars + frames)
        return sse_event(SpeechDone(usage=usage, warnings=self._file.warnings or None))

    async def _send_failure(self, send: Send, body: Mapping[str, Any]) -> None:
        """An event; a file stays without its end, and the server closes the connection."""
        if self._options.is_sse:
            await self._send(send, sse_event(SpeechError.model_validate(body)), more=False)

    def _head(self) -> Message:
        options, length = self._options, self._file.length
        headers = MutableHeaders(raw=[])
        headers.update(options.headers())
        headers["Content-Type"] = SSE if options.is_sse else MEDIA_TYPES[options.format]
        if length is not None and not options.is_sse:
            headers["Content-Length"] = str(length)
        return {"type": "http.response.start", "status": 200, "headers": headers.raw}

    async def _send(self, send: Send, data: bytes, more: bool = True) -> None:
        async with asyncio.timeout(self._options.stall_s):
            if not self._has_started:
                self._has_started = True
                await send(self._head())
            await send({"type": "http.response.body", "body": data, "more_body": more})


def sse_event(data: BaseModel) -> bytes:
    """One server-sent event, as OpenAI writes it."""
    return f"data: {data.model_dump_json(exclude_none=isinstance(data, SpeechDone))}\n\n".encode()
