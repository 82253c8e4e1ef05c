"""Speech that is still being made to the bytes of one file.

What `Operations.stream` gives flows in; parts of the file flow out, each as soon as the format
allows. A result that was made earlier, one of a single utterance, and a flac comes as the file that
it is, with its length; anything else as a file that tells none. Connections are not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from f5serve.audio.encode_stream import Encoder, open_encoder
from f5serve.http.leaving import too_late
from f5serve.service.keeping import UNKEPT
from f5serve.service.pieces import File, Piece
from f5serve.service.pools import BoundedExecutor
from f5serve.types import AudioFormat

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
