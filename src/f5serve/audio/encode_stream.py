"""Speech to the bytes of a file while it is still being made.

Waves flow in, in order, bytes flow out as soon as the format allows; together they are a file that
players take. What a whole file says about its length at its beginning stays unsaid here, for those
bytes have left by then: use `encode` where the whole wave is there. Requests are not known here.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any, BinaryIO, Protocol

import numpy as np

from f5serve.audio.encode import AAC_BIT_RATE, SOUNDFILE, require_av, to_pcm16, unknown_format
from f5serve.types import AudioFormat, FloatArray, Wave
from f5serve.units import SAMPLE_RATE

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_ENDLESS = 0x7FFF_F000
"""Bytes of sound that a wav of unknown length announces: with more, readers count below zero."""

_ENDLESS_DATA = struct.pack("<4sI", b"data", _ENDLESS)

OGG_PAGE_MS = 200.0
"""Sound in one page of Ogg; a page costs about 35 bytes."""

_SET_OGG_PAGE_LATENCY_MS = 0x1302
"""Name in libsndfile: SFC_SET_OGG_PAGE_LATENCY_MS, since 1.1."""


class Encoder(Protocol):
    """One file on its way."""

    def add(self, samples: FloatArray) -> bytes:
        """The next samples [nw] in; what can be sent by now out, maybe nothing."""
        ...

    def end(self) -> bytes:
        """The rest of the file."""
        ...


def open_encoder(format: AudioFormat, sample_rate: int = SAMPLE_RATE) -> Encoder:
    """An encoder of mono sound.

    Raises:
        InvalidRequest: as `encode`.
    """
    if format in ("wav", "pcm"):
        return _Pcm(_endless_header(sample_rate) if format == "wav" else b"")
    if format in SOUNDFILE:
        return _Soundfile(*SOUNDFILE[format], sample_rate)
    if format == "aac":
        return _Aac(sample_rate)
    raise unknown_format(format)


def tell_length(file: BinaryIO) -> None:
    """Correct a streamed wav of which everything has come: its header says how long it is now.

    Other files, and a wav that says it already, stay as they are.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(_HEADER.size)
    if head[:4] != b"RIFF" or head[36:] != _ENDLESS_DATA:
        return
    for at, length in ((4, size - 8), (40, size - _HEADER.size)):
        file.seek(at)
        file.write(length.to_bytes(4, "little"))


class _Pcm:
    def __init__(self, header: bytes) -> None:
        self._header = header

    def add(self, samples: FloatArray) -> bytes:
        header, self._header = self._header, b""
        return header + to_pcm16(Wave(samples)).tobytes()

    def end(self) -> bytes:
        return self._header


class _Soundfile:
    def __init__(self, container: str, subtype: str, sample_rate: int) -> None:
        import soundfile

        self._sink = _Sink()
        self._file = soundfile.SoundFile(
            self._sink, "w", sample_rate, 1, subtype=subtype, format=container
        )
        if container == "OGG":
            _shorten_pages(self._file)

    def add(self, samples: FloatArray) -> bytes:
        self._file.write(np.clip(samples, -1.0, 1.0))
        self._file.flush()
        return self._sink.take()

    def end(self) -> bytes:
        self._file.close()
        return self._sink.take()


def _shorten_pages(file: Any) -> None:
    """Have libsndfile write pages of Ogg that are soon full: it keeps up to a second back else.

    soundfile has no call for this setting; with one that lacks what is used here, pages stay long.
    """
    import soundfile

    with contextlib.suppress(AttributeError):
        value = soundfile._ffi.new("double*", OGG_PAGE_MS)
        soundfile._snd.sf_command(file._file, _SET_OGG_PAGE_LATENCY_MS, value, 8)


class _Aac:
    def __init__(self, sample_rate: int) -> None:
        require_av()
        import av

        self._sample_rate = sample_rate
        self._sink = _Sink()
        self._output = av.open(self._sink, "w", format="adts")
        self._stream: Any = self._output.add_stream("aac", rate=sample_rate, layout="mono")
        self._stream.bit_rate = AAC_BIT_RATE

    def add(self, samples: FloatArray) -> bytes:
        import av

        if len(samples):
            clipped = np.ascontiguousarray(np.clip(samples, -1.0, 1.0)[None])  # [1 nw]
            frame = av.AudioFrame.from_ndarray(clipped, format="fltp", layout="mono")
            frame.sample_rate = self._sample_rate
            self._output.mux(self._stream.encode(frame))
        return self._sink.take()

    def end(self) -> bytes:
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """A file of which only the newest part is there; corrections of earlier parts are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._part = bytearray()
        self._taken = 0
        self._position = 0

    def take(self) -> bytes:
        part = bytes(self._part)
        self._taken += len(part)
        self._part.clear()
        return part

    def write(self, data: Any) -> int:
        data = bytes(data)
        start = self._position - self._taken
        if start >= 0:
            self._part[start : start + len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self._taken + len(self._part)
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence, end) + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True


def _endless_header(sample_rate: int) -> bytes:
    head = (b"RIFF", 36 + _ENDLESS, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return _HEADER.pack(*head, b"data", _ENDLESS)
