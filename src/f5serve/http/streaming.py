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
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.audio.encode_stream import Encoder, open_encoder
from f5serve.errors import F5Error
from f5serve.http import errors
from f5serve.http.speech_schemas import SpeechDelta, SpeechDone, SpeechError, Usage
from f5serve.http.word_timestamps import word_events, word_timestamps
from f5serve.service.events import AudioChunk, AudioFile, Completed, JobEvent
from f5serve.service.executor import BoundedExecutor
from f5serve.service.results import UNSTORED
from f5serve.types import FRAMES_PER_SECOND, AudioFormat

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Form of one answer.

    Attributes:
        sample_rate: of the file, Hz.
        bit_rate_kbps: of the file; 0 is the usual one.
        input_chars: length of the text as it was sent.
        headers: called when the answer begins, with the job's response as far as it is known.
        words: tell when each word is heard; the events hold the whole file and the words, or,
            for SSE, parts and words.
        on_error: makes the answer to an error before that.
        encoders: threads for formats that cost something.
        stall_s: a reader that takes nothing for this time is cut off.
    """

    format: AudioFormat
    sample_rate: int
    is_sse: bool
    input_chars: int
    headers: Callable[[Mapping[str, Any]], Mapping[str, str]]
    on_error: Callable[[F5Error], JSONResponse]
    encoders: BoundedExecutor
    stall_s: float
    words: bool = False
    bit_rate_kbps: int = 0


class SpeechResponse(Response):
    """Sends the events of a job as `options` say: the parts of one file, encoded as they come."""

    def __init__(self, events: SpeechEvents, options: StreamOptions) -> None:
        super().__init__()
        self._events, self._options = events, options
        # Whether the body is the file, and not something that holds parts of it.
        self._is_file = not options.is_sse
        self._content_type = SSE if options.is_sse else MEDIA_TYPES[options.format]
        self._encoder: Encoder | None = None
        self._length: int | None = None  # of the whole, if it is known with the first part
        self._response: Mapping[str, Any] = {}
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; see `Response`."""
        await cancel_on_disconnect(receive, self._answer(scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_held = self._options.words and self._is_file
        made = self._whole_file() if is_held else self._parts()
        async with aclosing(self._events), aclosing(made) as parts:
            try:
                async for part in parts:
                    await self._send_part(send, part)
                for event in self._word_events():
                    await self._send(send, event)
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

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        """Parts of the file with something in them; they end when the job is done.

        Raises:
            F5Error: as `JobHandle.events`, after the parts that were made before.
        """
        encoders, held = self._options.encoders, b""
        async for event in self._events:
            if isinstance(event, AudioChunk):
                if self._options.format in _ONLY_WHOLE:
                    continue
                part = await encoders.finish(self._encode, event)
            elif isinstance(event, Completed):
                self._response, part = event.response, held
            elif not isinstance(event, AudioFile):
                continue
            elif self._encoder is not None:
                part = await encoders.finish(self._encoder.end)
            else:
                self._length = event.size
                # The last of the events says that the job is done; a file has nothing behind it.
                end = event.size - (HOLDBACK_BYTES if self._is_file else 0)
                for start in range(0, event.size, READ_BYTES):
                    part = await self._read(event, start)
                    held += part[max(0, end - start) :]
                    if part := part[: max(0, end - start)]:
                        yield part
                part = b""
            if part:
                yield part

    async def _whole_file(self) -> AsyncGenerator[bytes, None]:
        """As `_parts`, but nothing comes before the response is known, which goes into a header."""
        file: AudioFile | None = None
        async for event in self._events:
            if isinstance(event, AudioFile):
                file = event
            elif isinstance(event, Completed):
                self._response = event.response
        if file is not None:
            self._length = file.size
            for start in range(0, file.size, READ_BYTES):
                yield await self._read(file, start)

    async def _read(self, file: AudioFile, start: int) -> bytes:
        size = min(READ_BYTES, file.size - start)
        try:
            async with asyncio.timeout(self._options.stall_s):
                return await self._options.encoders.finish(file.read, start, size)
        except TimeoutError:
            raise errors.deadline_passed(self._options.stall_s) from None

    def _encode(self, chunk: AudioChunk) -> bytes:
        if self._encoder is None:
            options = self._options
            self._encoder = open_encoder(
                options.format,
                output_rate=options.sample_rate,
                bit_rate_kbps=options.bit_rate_kbps,
            )
        return self._encoder.add(chunk.read().samples)

    async def _send_part(self, send: Send, part: bytes) -> None:
        size = PART_BYTES if self._is_file else DELTA_BYTES
        for start in range(0, len(part), size):
            await self._send(send, self._framed(part[start : start + size]))

    def _framed(self, data: bytes) -> bytes:
        """A part of the file as it is sent."""
        if self._is_file:
            return data
        return sse_event(SpeechDelta(audio=base64.b64encode(data).decode()))

    def _word_events(self) -> Iterator[bytes]:
        if self._options.is_sse and self._options.words:
            yield from map(sse_event, word_events(word_timestamps(self._response["word_timings"])))

    def _last_event(self) -> bytes:
        """Says that the file is complete; a file itself ends without."""
        if not self._options.is_sse:
            return b""
        seconds = float(self._response["duration"] or 0.0)
        warnings = self._response["warnings"]
        if not self._options.words:
            warnings = [one for one in warnings if one.startswith(UNSTORED)]
        # In units of the model: characters, and frames of its mel.
        chars, frames = self._options.input_chars, round(seconds * FRAMES_PER_SECOND)
        usage = Usage(input_tokens=chars, output_tokens=frames, total_tokens=chars + frames)
        return sse_event(SpeechDone(usage=usage, warnings=warnings or None))

    async def _send_failure(self, send: Send, body: Mapping[str, Any]) -> None:
        """An event; a file stays without its end, and the server closes the connection."""
        if self._options.is_sse:
            await self._send(send, sse_event(SpeechError.model_validate(body)), more=False)

    async def _send(self, send: Send, data: bytes, more: bool = True) -> None:
        options, length = self._options, self._length
        async with asyncio.timeout(options.stall_s):
            if not self._has_started:
                self._has_started = True
                headers = MutableHeaders(raw=[])
                headers.update(options.headers(self._response))
                headers["Content-Type"] = self._content_type
                if length is not None and self._is_file:
                    headers["Content-Length"] = str(length)
                start = "http.response.start"
                await send({"type": start, "status": 200, "headers": headers.raw})
            await send({"type": "http.response.body", "body": data, "more_body": more})


def sse_event(data: BaseModel) -> bytes:
    """One server-sent event, as OpenAI writes it."""
    return f"data: {data.model_dump_json(exclude_none=isinstance(data, SpeechDone))}\n\n".encode()


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work, or None after a disconnect; raises what the work raises.

    Args:
        receive: of a request whose body has been read.
    """
    doing = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        doing.cancel()  # harmless where it has ended
        await asyncio.wait({doing, gone})
    if not gone.cancelled():
        gone.exception()  # a connection that breaks has gone as well
    return None if doing.cancelled() else doing.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
