"""Speech that is still being made to the bytes of one file.

What `Operations.stream` gives flows in; parts of the file flow out, each as soon as the format
allows. A result that was made earlier, one of a single utterance, and a flac comes as the file that
it is, with its length; anything else as a file that tells none. Connections are not known here.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
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
from f5serve.http.disconnect import too_late, while_listening
from f5serve.http.speech_schemas import SpeechDelta, SpeechDone, SpeechError, Usage
from f5serve.service.keeping import UNKEPT
from f5serve.service.pieces import File, Piece
from f5serve.service.pools import BoundedExecutor
from f5serve.types import AudioFormat
from f5serve.units import FRAMES_PER_SECOND

Told = AsyncGenerator[Piece | File | dict[str, Any], None]
"""As `Operations.stream` with `whole_files`."""

HELD_BYTES = 1
"""Of a file whose length is told, kept until the job is done: whoever has all of it knows so."""

_ONLY_WHOLE: tuple[AudioFormat, ...] = ("flac",)
"""Formats of which common readers take no file whose header does not tell its length."""

READ_BYTES = 256_000
"""Of a whole file, what is read at a time."""


class SpeechFile:
    """One file on its way.

    Args:
        encoders: threads for formats that cost something.
        held_bytes: see `HELD_BYTES`; 0 where something else says that the job is done.
        within_s: longest wait for a part of a file that is stored.

    Attributes:
        length: bytes of the whole, if they are known with the first part.
        seconds: of speech, once all parts have come.
        warnings: what came up after the first part, then.
    """

    def __init__(
        self,
        told: Told,
        format: AudioFormat,
        encoders: BoundedExecutor,
        held_bytes: int = HELD_BYTES,
        within_s: float = 60.0,
    ) -> None:
        self.length: int | None = None
        self.seconds = 0.0
        self.warnings: list[str] = []
        self._told = told
        self._format = format
        self._encoders = encoders
        self._held_bytes = held_bytes
        self._within_s = within_s
        self._encoder: Encoder | None = None

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Parts with something in them; they end when the job is done.

        Raises:
            F5Error: as `Operations.answer`, after the parts that were made before.
        """
        held = b""
        async for said in self._told:
            if isinstance(said, Piece):
                part = await self._add(said)
            elif not isinstance(said, File):
                self.seconds = float(said["duration"] or 0.0)
                self.warnings = [told for told in said["warnings"] if told.startswith(UNKEPT)]
                part = held
            elif self._encoder is not None:
                part = await self._encoders.finish(self._encoder.end)
            else:
                self.length = said.size
                end = said.size - self._held_bytes
                for start in range(0, said.size, READ_BYTES):
                    part = await self._read(said, start, min(READ_BYTES, said.size - start))
                    held += part[max(0, end - start) :]
                    if part := part[: max(0, end - start)]:
                        yield part
                part = b""
            if part:
                yield part

    async def _read(self, file: File, start: int, size: int) -> bytes:
        if not size:
            return b""
        try:
            async with asyncio.timeout(self._within_s):
                return await self._encoders.finish(file.read, start, size)
        except TimeoutError:
            raise too_late(self._within_s) from None

    async def _add(self, piece: Piece) -> bytes:
        if self._format in _ONLY_WHOLE:
            return b""
        return await self._encoders.finish(self._encode, piece)

    def _encode(self, piece: Piece) -> bytes:
        if self._encoder is None:
            self._encoder = open_encoder(self._format)
        return self._encoder.add(piece.wave.samples)


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
