"""A wave to the bytes of an audio file, in memory, and our own wav files back to waves.

A wave that is too long for memory goes to a file with `FileEncoder` (encode_file.py).
"""

from __future__ import annotations

import os
import tempfile
from typing import IO

import numpy as np

from f5serve.audio.encode_file import (
    FORMATS,
    WAV_HEADER,
    FileEncoder,
    require_av,
    unknown_format,
)
from f5serve.audio.sniff import read_riff
from f5serve.errors import BadAudio
from f5serve.types import AudioFormat, Wave

MEDIA_TYPES: dict[AudioFormat, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}
"""Content type of each format; `opus` is Opus in Ogg, `aac` ADTS, `pcm` 16 bit little-endian."""


def encode(wave: Wave, format: AudioFormat) -> bytes:
    """The wave as a file of `format`, mono, at its own sample rate.

    Raises:
        InvalidRequest: code UNKNOWN_FORMAT, or MEDIA_EXTRA_MISSING for aac without PyAV.
    """
    if not len(wave.samples):
        raise ValueError("a wave without samples has no encoding")
    check_format(format)
    with _memory_file() as file:
        encoder = FileEncoder(file, format, wave.sample_rate)
        encoder.write(wave.samples)
        encoder.close()
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def check_format(format: str) -> None:
    """Refuse what `encode` cannot write here, before there is anything to write.

    Raises:
        InvalidRequest: as `encode`.
    """
    if format not in FORMATS:
        raise unknown_format(format)
    if format == "aac":
        require_av()


def read_wav(data: bytes) -> Wave:
    """The wave of a file that `encode` made as wav; not for files of strangers (decode.py).

    Raises:
        BadAudio: code NOT_CANONICAL.
    """
    riff = read_riff(data)
    if riff is None or riff.channels != 1 or riff.data_bytes + WAV_HEADER.size != len(data):
        raise BadAudio(
            "The stored recording is not mono 16-bit PCM, as f5serve writes it.",
            code="NOT_CANONICAL",
            hint="Upload the voice again.",
        )
    samples = np.frombuffer(data, dtype="<i2", offset=WAV_HEADER.size)
    return Wave(samples.astype(np.float32) / np.float32(32_768.0), riff.sample_rate)


def _memory_file() -> IO[bytes]:
    """A file without a name; in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("encoded"), "w+b")
    return tempfile.TemporaryFile()
