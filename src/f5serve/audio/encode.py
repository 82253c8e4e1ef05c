"""A wave to the bytes of a file, and our own wav files back to waves.

In flow float32 samples, out flow bytes, nothing touches a disk. Samples beyond full scale are
clipped, they never wrap around. Requests and voices are not known here.
"""

from __future__ import annotations

import importlib.util
import io
import os
import struct
import tempfile
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from f5serve.audio.sniff import read_riff
from f5serve.errors import BadAudio, InvalidRequest
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

SOUNDFILE = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
    "flac": ("FLAC", "PCM_16"),
}
"""Container and subtype of what libsndfile writes, by its names for them."""

AAC_BIT_RATE = 96_000
_WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def encode(wave: Wave, format: AudioFormat) -> bytes:
    """The wave as a file of `format`, mono, at its own sample rate.

    Raises:
        InvalidRequest: code UNKNOWN_FORMAT, or MEDIA_EXTRA_MISSING for aac without PyAV.
    """
    if not len(wave.samples):
        raise ValueError("a wave without samples has no encoding")
    check_format(format)
    return _ENCODERS[format](wave)


def check_format(format: str) -> None:
    """Refuse what `encode` cannot write here, before there is anything to write.

    Raises:
        InvalidRequest: as `encode`.
    """
    if format not in _ENCODERS:
        raise unknown_format(format)
    if format == "aac":
        require_av()


def unknown_format(format: str) -> InvalidRequest:
    """The error for a format that nothing here writes."""
    return InvalidRequest(
        f"The audio format {format!r} is not known.",
        code="UNKNOWN_FORMAT",
        hint=f"It is one of {', '.join(_ENCODERS)}.",
    )


def to_pcm16(wave: Wave) -> NDArray[np.int16]:
    """Samples as 16-bit integers, little-endian, clipped at full scale: [nw]."""
    scaled = np.rint(wave.samples.astype(np.float64) * 32_768.0)
    return np.clip(scaled, -32_768, 32_767).astype("<i2")


def read_wav(data: bytes) -> Wave:
    """The wave of a file that `encode` made as wav; not for files of strangers (decode.py).

    Raises:
        BadAudio: code NOT_CANONICAL.
    """
    riff = read_riff(data)
    if riff is None or riff.channels != 1 or riff.data_bytes + _WAV_HEADER.size != len(data):
        raise BadAudio(
            "The stored recording is not mono 16-bit PCM, as f5serve writes it.",
            code="NOT_CANONICAL",
            hint="Upload the voice again.",
        )
    samples = np.frombuffer(data, dtype="<i2", offset=_WAV_HEADER.size)
    return Wave(samples.astype(np.float32) / np.float32(32_768.0), riff.sample_rate)


def _wav(wave: Wave) -> bytes:
    pcm = to_pcm16(wave).tobytes()
    rate = wave.sample_rate
    head = (b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return _WAV_HEADER.pack(*head, b"data", len(pcm)) + pcm


def _pcm(wave: Wave) -> bytes:
    return to_pcm16(wave).tobytes()


def _by_soundfile(container: str, subtype: str) -> Callable[[Wave], bytes]:
    def write(wave: Wave) -> bytes:
        import soundfile

        samples = np.clip(wave.samples, -1.0, 1.0)
        options = {"format": container, "subtype": subtype, "closefd": False}
        # A Python file would be called back for every frame, and wait for the interpreter's lock
        # each time: with many at once most of the time of an mp3.
        with _memory_file() as file:
            soundfile.write(file.fileno(), samples, wave.sample_rate, **options)
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)

    return write


def _memory_file() -> IO[bytes]:
    """A file without a name; in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("encoded"), "w+b")
    return tempfile.TemporaryFile()


def require_av() -> None:
    """Refuse aac where PyAV is missing.

    Raises:
        InvalidRequest: code MEDIA_EXTRA_MISSING.
    """
    if importlib.util.find_spec("av") is None:
        raise InvalidRequest(
            "Writing aac needs PyAV, which is not installed.",
            code="MEDIA_EXTRA_MISSING",
            hint="Run pip install 'f5serve[media]', or ask for mp3 or opus.",
        )


def _aac(wave: Wave) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="adts") as output:
        stream = output.add_stream("aac", rate=wave.sample_rate, layout="mono")
        stream.bit_rate = AAC_BIT_RATE
        samples = np.clip(wave.samples, -1.0, 1.0)[None]  # [1 nw]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = wave.sample_rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


_ENCODERS: dict[str, Callable[[Wave], bytes]] = {
    "wav": _wav,
    **{name: _by_soundfile(*written) for name, written in SOUNDFILE.items()},
    "aac": _aac,
    "pcm": _pcm,
}
