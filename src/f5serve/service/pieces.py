"""Speech in pieces, for callers who listen while it is made.

Waves flow in, in order, and out to every listener, whenever it came: late ones get what was before.
A result that was made earlier is one piece. Doors decide how a piece is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from f5serve.audio.decode import DecodeLimits, decode
from f5serve.audio.encode import read_wav
from f5serve.errors import StorageFailed
from f5serve.store.scratch import ScratchFile
from f5serve.types import AudioFormat, Wave
from f5serve.units import samples_to_s

_log = logging.getLogger(__name__)

MEMORY_SAMPLES = 4_000_000
"""Of one job's pieces, what is kept in memory: 16 MB, nearly three minutes."""

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
        read: gives its wave, perhaps from a disk.
        of: how many utterances the whole is made of; 0 where that is not known.
    """

    index: int
    start_s: float
    read: Callable[[], Wave]
    of: int = 0

    @property
    def wave(self) -> Wave:
        """The sound; ask once."""
        return self.read()


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """The whole speech of a job, as its result keeps it.

    Attributes:
        read: bytes from a place on, so many of them; blocks.
    """

    size: int
    read: Callable[[int, int], bytes]


OnPiece = Callable[[Piece], None]
"""Called in the event loop."""

OnFile = Callable[[File], None]
"""Called in the event loop, once."""


class Pieces:
    """All pieces of one job so far, and who listens; used in the event loop, but for `keep`.

    Args:
        folder: where long speech is kept for listeners who are slow, or come late.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._scratch: ScratchFile | None = None
        self._kept_samples = 0
        self._pieces: list[Piece] = []
        self._listeners: list[OnPiece] = []
        self._samples = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def keep(self, wave: Wave) -> Callable[[], Wave]:
        """Have the wave there for later, in memory or on the disk; by the thread that speaks."""
        self._kept_samples += len(wave.samples)
        if self._folder is None or self._kept_samples <= MEMORY_SAMPLES:
            return lambda: wave
        try:
            if self._scratch is None:
                self._scratch = ScratchFile(self._folder)
            scratch = self._scratch
            samples = wave.samples.astype("<f4", copy=False)
            at, size = scratch.append(samples.tobytes()), samples.nbytes
        except StorageFailed as error:  # listeners matter more than memory
            _log.warning("speech for listeners stays in memory: %s", error.message)
            return lambda: wave
        rate = wave.sample_rate
        return lambda: Wave(np.frombuffer(scratch.read(at, size), "<f4").astype(np.float32), rate)

    def add(self, samples: int, read: Callable[[], Wave], of: int = 0) -> None:
        """Pass the next stretch on, of so many samples; `of` as in `Piece`."""
        piece = Piece(len(self._pieces), samples_to_s(self._samples), read, of)
        self._samples += samples
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
