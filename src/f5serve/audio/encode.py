"""Encodes waves as audio files, in memory or piece by piece, and reads our own wav files.

A file is complete once it is closed, lengths included. Equal sound gives equal bytes, however it
was cut into pieces. Samples beyond full scale are clipped; they never wrap around.
"""

from __future__ import annotations

import importlib.util
import os
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from f5serve.audio import g711
from f5serve.audio.bit_rates import compression_level
from f5serve.audio.containers import MAX_OGG_PAGE_BYTES, read_ogg_page, with_serial
from f5serve.audio.parts import memory_file
from f5serve.audio.riff import read_riff
from f5serve.audio.writers import Aac, Resampled, Soundfile, Writer
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.types import SAMPLE_RATE, AudioFormat, FloatArray, Wave

MEDIA_TYPES: dict[AudioFormat, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
    "ulaw": "audio/PCMU",
    "alaw": "audio/PCMA",
}
"""Content type of each format; `opus` is Opus in Ogg, `aac` ADTS, `pcm` 16 bit little-endian,
`ulaw` and `alaw` G.711 without a header."""

FORMATS = tuple(MEDIA_TYPES)

SOUNDFILE = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
}
"""Container and subtype of what libsndfile writes, by its names for them."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 48_000
"""Of files, Hz."""

_MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
SAMPLE_RATES: dict[AudioFormat, tuple[int, ...]] = {
    "mp3": _MPEG_RATES,
    "aac": _MPEG_RATES,
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
}
"""Those that a format has, Hz; the others have all."""

UNKNOWN_LENGTH = 0x7FFF_F000
"""Bytes of sound that a wav of unknown length announces: with more, readers count below zero."""

WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")

OGG_SERIAL = 0x66357365
"""libsndfile draws one, by which equal sound would give other bytes each time."""


def encode(wave: Wave, format: AudioFormat, output_rate: int = 0, bit_rate_kbps: int = 0) -> bytes:
    """The wave as a file of `format`, mono; rates as of `FileEncoder`.

    Raises:
        InvalidRequest: code UNKNOWN_FORMAT, or MEDIA_EXTRA_MISSING for aac without PyAV.
    """
    if not len(wave.samples):
        raise ValueError("a wave without samples has no encoding")
    with memory_file() as file:
        encoder = FileEncoder(file, format, wave.sample_rate, output_rate, bit_rate_kbps)
        encoder.write(wave.samples)
        encoder.close()
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def check_format(format: str) -> None:
    """Refuse a format that cannot be written here, before there is anything to write.

    Raises:
        InvalidRequest: as `encode`.
    """
    if format not in FORMATS:
        raise InvalidRequest(
            f"The audio format {format!r} is not known.",
            code="UNKNOWN_FORMAT",
            hint=f"It is one of {', '.join(FORMATS)}.",
        )
    if format == "aac" and importlib.util.find_spec("av") is None:
        raise InvalidRequest(
            "Writing aac needs PyAV, which is not installed.",
            code="MEDIA_EXTRA_MISSING",
            hint="Run pip install 'f5serve[media]', or ask for mp3 or opus.",
        )


def check_sample_rate(format: AudioFormat, sample_rate: int) -> None:
    """Refuse a sample rate that a format does not have.

    Raises:
        InvalidRequest: SAMPLE_RATE_NOT_SUPPORTED.
    """
    rates = SAMPLE_RATES.get(format)
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE or (
        rates is not None and sample_rate not in rates
    ):
        takes = ", ".join(map(str, rates)) if rates else f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}"
        raise InvalidRequest(
            f"sample_rate is {sample_rate}, which {format} does not have.",
            code="SAMPLE_RATE_NOT_SUPPORTED",
            hint=f"With {format} it takes {takes}; wav, pcm and flac take any rate.",
        )


def default_rate(format: AudioFormat) -> int:
    """Sample rate of a file where none is asked for, Hz: that of telephony for its formats."""
    return g711.PHONE_RATE if format in ("ulaw", "alaw") else SAMPLE_RATE


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


def to_pcm16(samples: FloatArray) -> NDArray[np.int16]:
    """Samples as 16-bit integers, little-endian, clipped at full scale: [nw]."""
    scaled = np.rint(samples.astype(np.float64) * 32_768.0)
    return np.clip(scaled, -32_768, 32_767).astype("<i2")


class FileEncoder:
    """One file of `format` on its way to a disk; its memory does not grow with the sound.

    Nothing here holds the interpreter's lock for longer than a second of sound takes to convert,
    which is below a millisecond; encoding itself goes on without the lock.

    Args:
        file: empty, open for reading and writing ("w+b"), with a file descriptor; its owner closes
            it, after `close`.
        sample_rate: of all samples, Hz.
        output_rate: of the file, Hz; 0 is `sample_rate`.
        bit_rate_kbps: of an mp3 or opus file, as `check_bit_rate` takes it; 0 is the usual one.

    Raises:
        InvalidRequest: UNKNOWN_FORMAT, or MEDIA_EXTRA_MISSING for aac without PyAV.
    """

    def __init__(
        self,
        file: IO[bytes],
        format: AudioFormat,
        sample_rate: int = SAMPLE_RATE,
        output_rate: int = 0,
        bit_rate_kbps: int = 0,
    ) -> None:
        self._file = file
        self._format = format
        self._sample_rate = sample_rate
        self._pinned = 0
        # A Python file would be called back for every frame, and wait for the interpreter's lock
        # each time: with many at once most of the time of an mp3. The descriptor is its own, as an
        # encoder that is given up ends when it is collected, and the file may be closed by then.
        target = os.dup(file.fileno()) if format in SOUNDFILE else file
        self._writer = open_writer(target, format, sample_rate, output_rate, bit_rate_kbps)

    def write(self, samples: FloatArray) -> None:
        """The next samples [nw], as many as there are."""
        for start in range(0, len(samples), self._sample_rate):
            self._writer.write(samples[start : start + self._sample_rate])
            self._replace_serials()

    def close(self) -> None:
        """Finish the file: its header tells lengths, and everything has left for the system."""
        self._writer.close()
        self._file.flush()
        self._replace_serials()
        if self._format == "wav":
            patch_wav_header(self._file)

    def _replace_serials(self) -> None:
        if self._format == "opus":
            self._pinned = replace_serials(self._file.fileno(), self._pinned)


def open_writer(
    target: Any,
    format: AudioFormat,
    sample_rate: int,
    output_rate: int = 0,
    bit_rate_kbps: int = 0,
) -> Writer:
    """A writer of mono sound of `format` to a binary file; of `SOUNDFILE` to a descriptor as well.

    A wav has `UNKNOWN_LENGTH` in its header, until `patch_wav_header`. A descriptor is closed with
    the writer.

    Args:
        sample_rate, output_rate, bit_rate_kbps: as of `FileEncoder`.

    Raises:
        InvalidRequest: as `FileEncoder`.
    """
    if output_rate not in (0, sample_rate):
        inner = open_writer(target, format, output_rate, bit_rate_kbps=bit_rate_kbps)
        return Resampled(inner, sample_rate, output_rate)
    check_format(format)
    if format in ("ulaw", "alaw"):
        return _G711(target, format)
    if format in ("wav", "pcm"):
        return _Pcm(target, wav_header(sample_rate, UNKNOWN_LENGTH) if format == "wav" else b"")
    if format in SOUNDFILE:
        level = None
        if bit_rate_kbps:
            level = compression_level(format, sample_rate, bit_rate_kbps)
        return Soundfile(target, SOUNDFILE[format], sample_rate, level)
    return Aac(target, sample_rate)


def wav_header(sample_rate: int, data_bytes: int) -> bytes:
    """The 44 bytes in front of 16-bit mono samples."""
    head = (b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1)
    return WAV_HEADER.pack(*head, sample_rate, 2 * sample_rate, 2, 16, b"data", data_bytes)


def patch_wav_header(file: IO[bytes]) -> None:
    """Correct a wav of `open_writer` of which everything has come: how long it is.

    Other files, and a wav that says it already, stay as they are; so does one of 2 GiB and more,
    which some readers take at its word only if it tells no length.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(WAV_HEADER.size)
    is_ours = head[:4] == b"RIFF" and head[36:] == struct.pack("<4sI", b"data", UNKNOWN_LENGTH)
    if not is_ours or size - WAV_HEADER.size > UNKNOWN_LENGTH:
        return
    for at, length in ((4, size - 8), (40, size - WAV_HEADER.size)):
        file.seek(at)
        file.write(length.to_bytes(4, "little"))
    file.flush()


def replace_serials(descriptor: int, at: int) -> int:
    """Give the whole pages of an Ogg file from `at` on our serial; returns where they end."""
    while True:
        page = os.pread(descriptor, MAX_OGG_PAGE_BYTES, at)
        found = read_ogg_page(page)
        if found is None or found.size > len(page):
            return at
        os.pwrite(descriptor, with_serial(page[: found.size], OGG_SERIAL), at)
        at += found.size


class _Pcm:
    def __init__(self, target: IO[bytes], header: bytes) -> None:
        self._target = target
        self._header = header

    def write(self, samples: FloatArray) -> None:
        self.flush()
        self._target.write(to_pcm16(samples).tobytes())

    def flush(self) -> None:
        header, self._header = self._header, b""
        self._target.write(header)

    def close(self) -> None:
        self.flush()


class _G711:
    def __init__(self, target: IO[bytes], law: g711.Law) -> None:
        self._target = target
        self._law = law

    def write(self, samples: FloatArray) -> None:
        self._target.write(g711.compress(to_pcm16(samples), self._law).tobytes())

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
