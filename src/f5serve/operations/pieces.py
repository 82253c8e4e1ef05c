"""Speech in pieces, for callers who listen while it is made.

Waves flow in, in order, and out to every listener, whenever it came: late ones get what was before.
A result that was made earlier is one piece. Doors decide how a piece is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from f5serve.audio.decode import DecodeLimits, decode
from f5serve.audio.encode import read_wav
from f5serve.types import AudioFormat, Wave
from f5serve.units import samples_to_s

MAX_HEARD_S = 2400.0
"""Longest earlier result that is given out in pieces again; of others the answer tells the URL."""

_OWN = DecodeLimits(max_bytes=1 << 28, max_s=MAX_HEARD_S + 1, cpu_s=60)
"""Limits for files that this program has written."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of speech; one behind the other, pieces are the wave of the result.

    Attributes:
        index: 0, 1, 2 ...
        start_s: where it begins in the whole, seconds.
        of: how many utterances the whole is made of; 0 where that is not known.
    """

    index: int
    start_s: float
    wave: Wave
    of: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """The whole speech of a job, as its result keeps it."""

    data: bytes


OnPiece = Callable[[Piece], None]
"""Called in the event loop."""

OnFile = Callable[[File], None]
"""Called in the event loop, once."""


class Pieces:
    """All pieces of one job so far, and who listens; used in the event loop only."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._listeners: list[OnPiece] = []
        self._samples = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, wave: Wave, of: int = 0) -> None:
        """Pass the next stretch on; `of` as in `Piece`."""
        start_s = samples_to_s(self._samples, wave.sample_rate)
        piece = Piece(len(self._pieces), start_s, wave, of)
        self._samples += len(wave.samples)
        self._pieces.append(piece)
        for listener in self._listeners:
            listener(piece)

    def join(self, listener: OnPiece) -> None:
        """Tell `listener` all that was, and all that comes."""
        for piece in self._pieces:
            listener(piece)
        self._listeners.append(listener)

    def leave(self, listener: OnPiece) -> None:
        """Tell it no more."""
        self._listeners.remove(listener)


def decode_result(audio: bytes, format: AudioFormat) -> Wave:
    """The wave of a stored result, at 24 kHz; blocks.

    Raises:
        BadAudio: the store returned something else than was put there.
    """
    if format == "pcm":
        samples = np.frombuffer(audio[: len(audio) // 2 * 2], dtype="<i2")
        return Wave(samples.astype(np.float32) / np.float32(32_768.0))
    return read_wav(audio) if format == "wav" else decode(audio, _OWN)
