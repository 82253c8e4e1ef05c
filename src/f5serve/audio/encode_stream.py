"""Encodes audio while speech is still being generated.

Bytes are returned as soon as the format allows; together they are a file that players read to its
end. A length in the header stays open, because those bytes have been sent; `patch_lengths` writes
it into a file that has arrived.
"""

from __future__ import annotations

import io
import tempfile
from typing import IO, Any, Protocol

from f5serve.audio.containers import read_ogg_page, with_serial
from f5serve.audio.encode import OGG_SERIAL, FileEncoder, open_writer, patch_wav_header
from f5serve.audio.frames import info_frame, read_frame, whole_frames
from f5serve.types import SAMPLE_RATE, AudioFormat, FloatArray


class Encoder(Protocol):
    """Encodes one file piece by piece."""

    def add(self, samples: FloatArray) -> bytes:
        """The next samples [nw] in; what can be sent by now out, maybe nothing."""
        ...

    def end(self) -> bytes:
        """The rest of the file."""
        ...


def open_encoder(
    format: AudioFormat,
    sample_rate: int = SAMPLE_RATE,
    output_rate: int = 0,
    bit_rate_kbps: int = 0,
) -> Encoder:
    """An encoder of mono sound; rates as of `FileEncoder`.

    What comes out is what `FileEncoder` writes, except for lengths: the header of a
    wav, and the first frame of an mp3, which is left out. A flac comes whole, at its end: without
    its length, libsndfile does not read it.

    Raises:
        InvalidRequest: as `encode`.
    """
    if format == "flac":
        return _Whole(format, sample_rate, output_rate)
    kind = {"mp3": _Mp3, "opus": _Opus}.get(format, _Encoder)
    return kind(format, sample_rate, output_rate, bit_rate_kbps)


class _Whole:
    """Returns the whole file at its end."""

    def __init__(self, format: AudioFormat, sample_rate: int, output_rate: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its last reference
        self._encoder = FileEncoder(self._file, format, sample_rate, output_rate)

    def add(self, samples: FloatArray) -> bytes:
        self._encoder.write(samples)
        return b""

    def end(self) -> bytes:
        with self._file as file:
            self._encoder.close()
            file.seek(0)
            return file.read()


class _Encoder:
    def __init__(
        self, format: AudioFormat, sample_rate: int, output_rate: int, bit_rate_kbps: int
    ) -> None:
        self._sink = _StreamBuffer()
        self._sample_rate = sample_rate
        self._writer = open_writer(self._sink, format, sample_rate, output_rate, bit_rate_kbps)

    def add(self, samples: FloatArray) -> bytes:
        for start in range(0, len(samples), self._sample_rate):
            self._writer.write(samples[start : start + self._sample_rate])
        self._writer.flush()
        return self._sendable(self._sink.take())

    def end(self) -> bytes:
        self._writer.close()
        return self._sendable(self._sink.take())

    def _sendable(self, data: bytes) -> bytes:
        return data


class _Mp3(_Encoder):
    """Without LAME's first frame: it has a frame count, which would say 0."""

    _held: bytes | None = b""

    def _sendable(self, data: bytes) -> bytes:
        if self._held is None:
            return data
        self._held += data
        tag = read_frame(self._held)
        if tag is None or len(self._held) < tag.size:
            return b""
        data, self._held = self._held[tag.size :], None
        return data


class _Opus(_Encoder):
    """With our serial in its pages."""

    _held = b""

    def _sendable(self, data: bytes) -> bytes:
        data = self._held + data
        pages, at = [], 0
        while (page := read_ogg_page(data, at)) and at + page.size <= len(data):
            pages.append(with_serial(data[at : at + page.size], OGG_SERIAL))
            at += page.size
        self._held = data[at:]
        return b"".join(pages)


class _StreamBuffer(io.RawIOBase):
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


def patch_lengths(file: IO[bytes]) -> None:
    """Write the length into the header of a complete streamed wav, or mp3 of constant bit rate.

    Other files, and one that has its length, stay as they are.
    """
    patch_wav_header(file)
    file.seek(0)
    if file.read(2)[:1] != b"\xff":
        return
    file.seek(0)
    data = file.read()
    if frames := whole_frames(data):
        file.seek(0)
        file.write(info_frame(data[:4], frames, len(data)) + data)
        file.flush()
