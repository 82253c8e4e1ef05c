"""Events of a running job: progress, audio chunks, the whole file, and their subscribers.

Chunks come in order. A late subscriber gets the earlier ones first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from f5serve.audio.decode import DecodeLimits, decode
from f5serve.audio.encode import read_wav
from f5serve.errors import StorageFailed
from f5serve.store.scratch import ScratchFile
from f5serve.types import AudioFormat, Wave
from f5serve.units import samples_to_s

_log = logging.getLogger(__name__)

MEMORY_SAMPLES = 4_000_000
"""Of one job's chunks, what is kept in memory: 16 MB, nearly three minutes."""

MAX_HEARD_S = 2400.0
"""Longest earlier result that is given out in chunks again; of others the answer tells the URL."""

_OWN = DecodeLimits(max_bytes=1 << 28, max_s=MAX_HEARD_S + 1, cpu_s=60)
"""Limits for files that this program has written."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A part of the speech; all chunks in order are the whole wave.

    Attributes:
        index: 0, 1, 2 ...
        start_s: where it begins in the whole, seconds.
        read: gives its wave, perhaps from a disk.
        total: how many utterances the whole is made of; 0 where that is not known.
    """

    index: int
    start_s: float
    read: Callable[[], Wave]
    total: int = 0

    @property
    def wave(self) -> Wave:
        """The sound; ask once."""
        return self.read()


@dataclass(frozen=True, slots=True, eq=False)
class AudioFile:
    """The whole speech of a job, as its result keeps it.

    Attributes:
        read: bytes from a place on, so many of them; blocks.
    """

    size: int
    read: Callable[[int, int], bytes]


OnChunk = Callable[[AudioChunk], None]
"""Called in the event loop."""

OnFile = Callable[[AudioFile], None]
"""Called in the event loop, once."""


OnProgress = Callable[[dict[str, Any]], None]
"""Called in the event loop with phase and percent, and done and total while speaking."""


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How one caller wants its speech.

    Attributes:
        whole_files: give the `AudioFile` once all is made: behind the chunks, and in their place
            for a result made earlier and for a single utterance.
        detach_on_disconnect: the job goes on for other callers when this one disconnects, rather
            than being cancelled for all.
        accept_unstored: deliver the speech even if it cannot be stored.
        full_response: whether the response has all fields; else only duration and warnings.
    """

    whole_files: bool = False
    detach_on_disconnect: bool = False
    accept_unstored: bool = False
    full_response: bool = True


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Callbacks and options of one caller."""

    on_progress: OnProgress | None = None
    on_chunk: OnChunk | None = None
    on_file: OnFile | None = None
    delivery: DeliveryOptions = DeliveryOptions()


class AudioChunks:
    """All chunks of one job so far, and their subscribers; used in the event loop, but for `store`.

    Args:
        folder: folder for long speech, for subscribers that are slow or late.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._scratch: ScratchFile | None = None
        self._kept_samples = 0
        self._chunks: list[AudioChunk] = []
        self._subscribers: list[OnChunk] = []
        self._samples = 0

    def __len__(self) -> int:
        return len(self._chunks)

    def store(self, wave: Wave) -> Callable[[], Wave]:
        """Keep the wave in memory or on disk; returns its reader. From the inference thread."""
        self._kept_samples += len(wave.samples)
        if self._folder is None or self._kept_samples <= MEMORY_SAMPLES:
            return lambda: wave
        try:
            if self._scratch is None:
                self._scratch = ScratchFile(self._folder)
            scratch = self._scratch
            samples = wave.samples.astype("<f4", copy=False)
            at, size = scratch.append(samples.tobytes()), samples.nbytes
        except StorageFailed as error:  # subscribers matter more than memory
            _log.warning("speech for listeners stays in memory: %s", error.message)
            return lambda: wave
        rate = wave.sample_rate
        return lambda: Wave(np.frombuffer(scratch.read(at, size), "<f4").astype(np.float32), rate)

    def add(self, samples: int, read: Callable[[], Wave], total: int = 0) -> None:
        """Pass the next stretch on, of so many samples; `total` as in `AudioChunk`."""
        chunk = AudioChunk(len(self._chunks), samples_to_s(self._samples), read, total)
        self._samples += samples
        self._chunks.append(chunk)
        for on_chunk in self._subscribers:
            on_chunk(chunk)

    def subscribe(self, on_chunk: OnChunk) -> None:
        """Tell `on_chunk` all that was, and all that comes."""
        for chunk in self._chunks:
            on_chunk(chunk)
        self._subscribers.append(on_chunk)

    def unsubscribe(self, on_chunk: OnChunk) -> None:
        """Tell it no more."""
        self._subscribers.remove(on_chunk)


def decode_result(audio: bytes, format: AudioFormat) -> Wave:
    """The wave of a stored result, at 24 kHz; blocks.

    Raises:
        BadAudio: the store returned something else than was put there.
    """
    if format == "pcm":
        samples = np.frombuffer(audio[: len(audio) // 2 * 2], dtype="<i2")
        return Wave(samples.astype(np.float32) / np.float32(32_768.0))
    return read_wav(audio) if format == "wav" else decode(audio, _OWN)
