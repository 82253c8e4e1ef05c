"""Events of a running job: progress, audio chunks, words, the whole file, the response.

Chunks come in order. A caller that attaches late gets the earlier events first.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from f5serve.audio import g711
from f5serve.audio.decode import DecodeLimits, decode
from f5serve.audio.edit import resample
from f5serve.audio.encode import read_wav
from f5serve.errors import StorageFailed
from f5serve.store.scratch import ScratchFile
from f5serve.types import SAMPLE_RATE, AudioFormat, Wave, WordTiming, samples_to_s

_log = logging.getLogger(__name__)

MEMORY_SAMPLES = 4_000_000
"""Samples of one job's chunks that are kept in memory: 16 MB, nearly three minutes."""

MAX_DECODED_S = 2400.0
"""Longest earlier result that is decoded into a chunk again; for others there is the URL."""

_OWN = DecodeLimits(max_bytes=1 << 28, max_s=MAX_DECODED_S + 1, cpu_s=60)
"""Limits for files that this program has written."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `done` of `total` utterances while it is speaking."""

    phase: str
    percent: int
    done: int | None = None
    total: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As records and responses have it."""
        fields: dict[str, Any] = {"phase": self.phase, "percent": self.percent}
        return fields if self.total is None else {**fields, "done": self.done, "total": self.total}


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A part of the speech; all chunks in order are the whole wave.

    Attributes:
        index: 0, 1, 2 ...
        start_s: where it begins in the whole, seconds.
        read: returns its wave, perhaps from a disk.
        total: number of utterances of the whole; 0 where that is unknown.
    """

    index: int
    start_s: float
    read: Callable[[], Wave]
    total: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class AudioFile:
    """The whole speech of a job, as its result keeps it.

    Attributes:
        read: so many bytes from a position on; blocks.
    """

    size: int
    read: Callable[[int, int], bytes]

    def base64(self) -> str:
        """All of it, for an answer; blocks."""
        return base64.b64encode(self.read(0, self.size)).decode()


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """The job is done and recorded; always the last event."""

    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """When the next words are heard, seconds from the beginning of the whole.

    Attributes:
        spoken_text: the words that are spoken for all of the text.
    """

    words: tuple[WordTiming, ...]
    spoken_text: str


JobEvent = Progress | AudioChunk | AudioFile | SpokenWords | Completed


async def response_of(events: AsyncGenerator[JobEvent, None]) -> dict[str, Any]:
    """The response at the end of all events; raises as they do."""
    return (await file_and_response(events))[1]


async def file_and_response(
    events: AsyncGenerator[JobEvent, None],
) -> tuple[AudioFile | None, dict[str, Any]]:
    """The whole speech, where such a file was delivered, and the response; raises as the events."""
    file, response = None, dict[str, Any]()
    async with aclosing(events):
        async for event in events:
            if isinstance(event, AudioFile):
                file = event
            elif isinstance(event, Completed):
                response = event.response
    return file, response


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Which events one caller gets, and what happens when it disconnects.

    Attributes:
        chunks: an `AudioChunk` for each part of the speech, as it is made.
        whole_files: an `AudioFile` once all is made: behind the chunks, and in their place for an
            earlier result and for a single utterance.
        detach_on_disconnect: the job goes on for other callers when this one disconnects, rather
            than being cancelled for all.
        accept_unstored: deliver the speech even if it cannot be stored.
        full_response: whether the response has all fields; else only duration and warnings.
        words: whether a response without all fields has `word_timings`.
        spoken_words: `SpokenWords` of speech that is made here, as soon as its times are known;
            the response has them all.
    """

    chunks: bool = False
    whole_files: bool = False
    detach_on_disconnect: bool = False
    accept_unstored: bool = False
    full_response: bool = True
    words: bool = False
    spoken_words: bool = False

    def includes(self, event: JobEvent) -> bool:
        """Whether the caller gets this event."""
        if isinstance(event, AudioChunk):
            return self.chunks and not (self.whole_files and event.total == 1)
        if isinstance(event, SpokenWords):
            return self.spoken_words
        return self.whole_files or not isinstance(event, AudioFile)


class ChunkStore:
    """Keeps the chunks of one job, in memory or on a disk; used in its inference thread.

    Args:
        folder: folder for long speech, for callers that are slow or late.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._scratch: ScratchFile | None = None
        self._count = self._samples = 0

    def keep(self, wave: Wave, total: int = 0) -> AudioChunk:
        """The next chunk; `total` as in `AudioChunk`."""
        start_s = samples_to_s(self._samples)
        self._samples += len(wave.samples)
        self._count += 1
        return AudioChunk(self._count - 1, start_s, self._reader(wave), total)

    def _reader(self, wave: Wave) -> Callable[[], Wave]:
        if self._folder is None or self._samples <= MEMORY_SAMPLES:
            return lambda: wave
        try:
            if self._scratch is None:
                self._scratch = ScratchFile(self._folder)
            scratch = self._scratch
            samples = wave.samples.astype("<f4", copy=False)
            at, size = scratch.append(samples.tobytes()), samples.nbytes
        except StorageFailed as error:  # callers matter more than memory
            _log.warning("chunks of speech stay in memory: %s", error.message)
            return lambda: wave
        rate = wave.sample_rate
        return lambda: Wave(np.frombuffer(scratch.read(at, size), "<f4").astype(np.float32), rate)


def decode_result(audio: bytes, format: AudioFormat, sample_rate: int = SAMPLE_RATE) -> Wave:
    """The wave of a stored result, at 24 kHz; blocks.

    Args:
        sample_rate: of the result.

    Raises:
        BadAudio: the store returned something else than was put there.
    """
    if format == "pcm":
        samples = np.frombuffer(audio[: len(audio) // 2 * 2], dtype="<i2")
        return resample(Wave(samples.astype(np.float32) / np.float32(32_768.0), sample_rate))
    if format in ("ulaw", "alaw"):
        codes = np.frombuffer(audio, np.uint8)
        return resample(Wave(g711.expand(codes, format), sample_rate))
    return resample(read_wav(audio)) if format == "wav" else decode(audio, _OWN)
