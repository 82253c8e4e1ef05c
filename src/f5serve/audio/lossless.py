"""Waves as FLAC of 16 bits with the marks of their words, a quarter of their size in memory.

4 bytes length of the marks · marks as JSON · FLAC
"""

from __future__ import annotations

import io
import json
import struct

import numpy as np
from numpy.typing import NDArray

from f5serve.types import SAMPLE_RATE, Wave, WordSpan

_SCALE = np.float32(32_768)
_HEADER = struct.Struct("<I")


def quantized(wave: Wave) -> Wave:
    """The wave as `unpack_wave` returns it for `pack_wave`."""
    return Wave(_pcm(wave).astype(np.float32) / _SCALE, wave.sample_rate, wave.marks)


def pack_wave(wave: Wave) -> bytes:
    """A wave of finite samples as bytes; samples beyond full scale are clipped."""
    import soundfile

    marks = json.dumps(
        [[mark.start, mark.end, mark.start_s, mark.end_s] for mark in wave.marks],
        separators=(",", ":"),
    ).encode()
    file = io.BytesIO()
    soundfile.write(file, _pcm(wave), wave.sample_rate, format="FLAC", subtype="PCM_16")
    return _HEADER.pack(len(marks)) + marks + file.getvalue()


def unpack_wave(data: bytes) -> Wave:
    """The wave that `pack_wave` has written; `data` is known to be that.

    Raises:
        ValueError: it is not.
    """
    import soundfile

    try:
        (size,) = _HEADER.unpack_from(data)
        start = _HEADER.size + size
        marks = tuple(WordSpan(*mark) for mark in json.loads(data[_HEADER.size : start]))
        samples, rate = soundfile.read(io.BytesIO(data[start:]), dtype="float32")
    except (struct.error, TypeError, soundfile.LibsndfileError) as error:
        raise ValueError(f"no packed wave: {error}") from None
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError("no packed wave: it is of another kind")
    return Wave(samples, rate, marks)


def _pcm(wave: Wave) -> NDArray[np.int16]:
    """[nw], rounded to 16 bits."""
    scaled = np.rint(wave.samples * _SCALE)
    return np.asarray(np.clip(scaled, -32_768, 32_767), np.int16)
