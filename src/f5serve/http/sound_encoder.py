"""Encodes the sound of a stream as it is made, and cuts it into parts of a bounded size."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from f5serve.audio.encode_stream import Encoder, patch_lengths
from f5serve.service.executor import BoundedExecutor
from f5serve.types import Wave


class SoundEncoder:
    """The file of some waves, in parts as they come or as a whole.

    Args:
        encoders: threads for formats that cost something.
        open_encoder: opens an encoder of waves at 24 kHz.
        is_whole: keep the file until `end`, which returns it with its length in its header.
    """

    def __init__(
        self,
        encoders: BoundedExecutor,
        open_encoder: Callable[[], Encoder],
        is_whole: bool = False,
    ) -> None:
        self._encoders, self._open = encoders, open_encoder
        self._encoder: Encoder | None = None
        self._whole = io.BytesIO() if is_whole else None

    async def add(self, wave: Wave) -> bytes:
        """The next wave in; what can be sent by now out, maybe nothing."""
        data = await self._encoders.finish(self._add, wave)
        return self._keep(data)

    async def end(self) -> bytes:
        """The rest of the file."""
        if self._encoder is None:
            return b""
        data = await self._encoders.finish(self._encoder.end)
        if self._whole is None:
            return data
        self._whole.write(data)
        await self._encoders.finish(patch_lengths, self._whole)
        return self._whole.getvalue()

    def _add(self, wave: Wave) -> bytes:
        if self._encoder is None:
            self._encoder = self._open()
        return self._encoder.add(wave.samples)

    def _keep(self, data: bytes) -> bytes:
        if self._whole is None:
            return data
        self._whole.write(data)
        return b""


def parts_of(data: bytes, size: int) -> Iterator[bytes]:
    """Parts of at most `size` bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
