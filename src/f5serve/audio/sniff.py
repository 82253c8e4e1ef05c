"""The container of a file by its first bytes, whatever its name; anything but audio is refused."""

from __future__ import annotations

import struct
from typing import NamedTuple

from f5serve.audio.refusals import refuse
from f5serve.audio.riff import MAX_CHUNKS
from f5serve.audio.tags import id3_bytes, zeros


class Container(NamedTuple):
    """A format of file: its name, who decodes it, and what FFmpeg calls it."""

    name: str
    decoder: str = "soundfile"
    demuxer: str = ""


_HEAD_BYTES = 4096

_BY_START = (
    (b"RF64", Container("wav", demuxer="wav")),
    (b"riff\x2e\x91\xcf\x11", Container("w64", demuxer="w64")),
    (b"fLaC", Container("flac", demuxer="flac")),
    (b"OggS", Container("ogg", demuxer="ogg")),
    (b"caff", Container("caf", demuxer="caf")),
    (b".snd", Container("au", demuxer="au")),
    (b"\x1aE\xdf\xa3", Container("webm", "av", "matroska")),
    (b"#!AMR", Container("amr", "av", "amr")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container("wma", "av", "asf")),
)
_NOT_SOUND = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"#EXT", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"MThd", "a MIDI score, which holds notes and no sound"),
    (b"{", "JSON text"),
    (b"<", "a web page or XML"),
)


def sniff(data: bytes) -> Container:
    """The container of `data`.

    A tag in front is passed over, as are zeros, which some programs leave there.

    Raises:
        BadAudio: code NOT_AUDIO.
    """
    tag = id3_bytes(data)
    container = _by_start(data[tag : tag + _HEAD_BYTES])
    if container is not None:
        return container
    behind = tag + zeros(data, tag)
    is_mpeg = _by_frame_header(data[behind : behind + _HEAD_BYTES])
    return is_mpeg or (Container("mp3", demuxer="mp3") if tag else _refuse(data[:_HEAD_BYTES]))


def _by_start(data: bytes) -> Container | None:
    for start, container in _BY_START:
        if data.startswith(start):
            return container
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Container("wav", demuxer="wav")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return Container("aiff", demuxer="aiff")
    if data[4:8] == b"ftyp":
        return Container("m4a", "av", "mp4")
    return None


def _by_frame_header(data: bytes) -> Container | None:
    """MPEG audio without a tag in front: eleven set bits, then fields with forbidden values."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    if layer == 0 and data[1] & 0xF0 == 0xF0:
        return Container("aac", "av", "aac")
    if version == 1 or layer == 0 or data[2] >> 4 == 15 or data[2] >> 2 & 3 == 3:
        return None
    return Container("mp3", demuxer="mp3")


def _refuse(data: bytes) -> Container:
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, name in _NOT_SOUND:
        if text.startswith(start):
            raise refuse("NOT_AUDIO", f"it is {name}")
    raise refuse("NOT_AUDIO", f"it begins with {data[:8].hex(' ')}")


class RiffHeader(NamedTuple):
    """What a wav says of itself."""

    channels: int
    sample_rate: int
    data_bytes: int


def read_riff(data: bytes) -> RiffHeader | None:
    """The header of a wav, None for other containers and for a wav that lacks a part of it."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    channels = sample_rate = 0
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            break
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"fmt " and position + 8 <= len(data):
            channels, sample_rate = struct.unpack_from("<2xHI", data, position)
        if name == b"data":
            return RiffHeader(channels, sample_rate, size) if channels else None
        position += size + size % 2
    return None
