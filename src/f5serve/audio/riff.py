"""Parses wav, RF64, w64, aiff, au and caf: where the sound is, whatever length the header has.

Programs that write to a pipe leave lengths open or at a placeholder, some are off by their own
header, and a chunked answer may hold several files; all of that is one recording.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from f5serve.audio.parts import SLACK_S, Damaged, Part, Steps, each_part, only_padding

_OPEN = 0x7FFF_0000
"""From here on a length in 32 bits is a placeholder: the file is not as long by far."""

MAX_CHUNKS = 10_000
"""Of one file; libsndfile needs time for each."""

_NEXT_WAV = re.compile(rb"(?:RIFF|RF64|BW64)....WAVE(?:fmt |JUNK|bext|LIST|ds64)", re.DOTALL)
_NEXT_AIFF = re.compile(rb"FORM....AIF[FC](?:COMM|FVER|MARK|INST|NAME)", re.DOTALL)
_NEXT_AU = re.compile(rb"\.snd\0\0\0[\x18-\xff]....\0\0\0[\x01-\x1b]\0", re.DOTALL)
_NEXT_CAF = re.compile(rb"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20")
_NEXT_W64 = re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb")
_CHUNK_NAME = re.compile(rb"[\x20-\x7e]{4}")
_COMMON_CHUNKS = (b"LIST", b"bext", b"fact", b"cue ", b"smpl", b"id3 ", b"ID3 ", b"JUNK", b"PAD ")
_PCM_KINDS = (b"none", b"sowt", b"twos", b"fl32", b"fl64", b"alaw", b"ulaw")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What most GUIDs of a w64 end in, behind the four letters of their name."""


class _Layout(NamedTuple):
    """How a file has its chunks: name and size for struct, where they begin, what is counted."""

    head: struct.Struct
    even: int
    counts_head: bool = False


_RIFF = _Layout(struct.Struct("<4sI"), 2)
_IFF = _Layout(struct.Struct(">4sI"), 2)
_CAF = _Layout(struct.Struct(">4sq"), 1)
_W64 = _Layout(struct.Struct("<4s12xQ"), 8, counts_head=True)


class Sound(NamedTuple):
    """Where the sound lies.

    Attributes:
        start: of its samples, in bytes.
        stated: bytes that the header says they have; negative where it says none.
        bytes_per_s: of sound; 0 if unknown.
        frame_bytes: of one sample of all channels.
    """

    start: int
    stated: int
    bytes_per_s: int
    frame_bytes: int


def wav_parts(data: memoryview) -> list[Part]:
    """The parts of a wav or RF64, of which several may have been joined.

    Raises:
        Damaged: sound that the header announces is missing, or unknown bytes follow it.
    """
    return each_part(data, _NEXT_WAV, _wav_part)


def _wav_part(data: memoryview) -> Part:
    at, ds64, rate, align = 12, 0, 0, 1
    steps = Steps(MAX_CHUNKS)
    is_rf64 = bytes(data[:4]) != b"RIFF"
    while at + 8 <= len(data):
        steps.take()
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt " and at + 16 <= len(data):
            rate, align = struct.unpack_from("<8xIH", data, at)
        if name == b"ds64" and at + 28 <= len(data):
            ds64 = at
        if name == b"data":
            is_long = is_rf64 and ds64 and size == 0xFFFF_FFFF
            stated = struct.unpack_from("<Q", data, ds64 + 8)[0] if is_long else size
            sound = Sound(at, stated, rate, max(1, align))
            length = _sound_bytes(data, sound, _RIFF)
            return _patched_wav(data, sound, length, ds64 if is_rf64 else 0)
        at += size + size % 2
    return Part((data,))


def _patched_wav(data: memoryview, sound: Sound, length: int, ds64: int) -> Part:
    head, end = bytearray(data[: sound.start]), sound.start + length
    if ds64:
        struct.pack_into("<QQQ", head, ds64, end - 8, length, length // sound.frame_bytes)
    else:
        struct.pack_into("<I", head, 4, end - 8)
        struct.pack_into("<I", head, sound.start - 4, length)
    return Part((bytes(head), data[sound.start : end]))


def _sound_bytes(data: memoryview, sound: Sound, layout: _Layout) -> int:
    present = len(data) - sound.start
    slack = max(64, int(SLACK_S * sound.bytes_per_s))
    if sound.stated < 0 or sound.stated >= _OPEN:
        return present
    missing = sound.stated - present
    if missing > slack:
        raise Damaged(f"{sound.stated:,} bytes of sound announced, {missing:,} missing")
    for padding in (0, -sound.stated % layout.even):
        if _are_chunks(data[sound.start + sound.stated + padding :], layout):
            return min(sound.stated, present)
    if sound.stated == 0:
        return present
    if only_padding(data[sound.start + sound.stated :]):
        return min(sound.stated, present)
    if -missing > slack:
        raise Damaged(f"{-missing:,} bytes behind its sound are not known to be anything")
    return present


def _are_chunks(data: memoryview, layout: _Layout) -> bool:
    """Whether there is nothing but chunks, or one that is known to everybody begins there."""
    at, head_bytes = 0, layout.head.size
    if bytes(data[:4]) in _COMMON_CHUNKS:
        return True
    steps = Steps(MAX_CHUNKS)
    while at + head_bytes <= len(data):
        steps.take()
        name, size = layout.head.unpack_from(data, at)
        if not _CHUNK_NAME.fullmatch(name) or size < 0:
            return False
        at += max(head_bytes, size + (0 if layout.counts_head else head_bytes))
        at += -at % layout.even
    return at > 0 and at - layout.even < len(data)


def aiff_parts(data: memoryview) -> list[Part]:
    """The parts of an aiff or aifc; errors as `wav_parts`."""
    return each_part(data, _NEXT_AIFF, _aiff_part)


def _aiff_part(data: memoryview) -> Part:
    at, comm, rate, width, align = 12, 0, 0, 0, 1
    steps = Steps(MAX_CHUNKS)
    while at + 8 <= len(data):
        steps.take()
        name, size = struct.unpack_from(">4sI", data, at)
        at += 8
        if name == b"COMM" and at + 18 <= len(data):
            comm, rate = at, _extended(bytes(data[at + 8 : at + 18]))
            channels, bits = struct.unpack_from(">H4xH", data, at)
            kind = bytes(data[at + 18 : at + 22]) if bytes(data[8:12]) == b"AIFC" else b"NONE"
            width = 1 if kind.lower() in (b"alaw", b"ulaw") else (bits + 7) // 8
            width = width if kind.lower() in _PCM_KINDS else 0
            align = max(1, channels * width)
        if name == b"SSND" and at + 8 <= len(data):
            stated = size - 8 if size else 0
            sound = Sound(at + 8, max(0, stated), rate * align, align)
            length = _sound_bytes(data, sound, _IFF)
            end = sound.start + length
            head = bytearray(data[: sound.start])
            struct.pack_into(">I", head, 4, end - 8)
            struct.pack_into(">I", head, at - 4, length + 8)
            if comm and width:
                struct.pack_into(">I", head, comm + 2, length // align)
            return Part((bytes(head), data[sound.start : end]))
        at += size + size % 2
    return Part((data,))


def _extended(data: bytes) -> int:
    """A positive float of 80 bits as an integer, 0 for any that is none."""
    exponent = int.from_bytes(data[:2], "big") - 16_383
    return int.from_bytes(data[2:], "big") >> 63 - exponent if 0 <= exponent < 32 else 0


def au_parts(data: memoryview) -> list[Part]:
    """The parts of an au; errors as `wav_parts`."""
    return each_part(data, _NEXT_AU, _au_part)


def _au_part(data: memoryview) -> Part:
    if len(data) < 24:
        return Part((data,))
    start, stated, encoding, rate, channels = struct.unpack_from(">4x5I", data)
    if not 24 <= start <= len(data):
        return Part((data,))
    align = max(1, channels * {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 1))
    sound = Sound(start, stated, rate * align, align)
    length = _sound_bytes(data, sound, _IFF)
    head = bytearray(data[:start])
    struct.pack_into(">I", head, 8, length)
    return Part((bytes(head), data[start : start + length]))


def caf_parts(data: memoryview) -> list[Part]:
    """The parts of a caf; errors as `wav_parts`."""
    return each_part(data, _NEXT_CAF, _caf_part)


def _caf_part(data: memoryview) -> Part:
    at, per_s, align = 8, 0, 1
    steps = Steps(MAX_CHUNKS)
    while at + 12 <= len(data):
        steps.take()
        name, size = struct.unpack_from(">4sq", data, at)
        at += 12
        if name == b"desc" and at + 32 <= len(data):
            rate, packet, frames = struct.unpack_from(">d8xII", data, at)
            align = packet or 1
            per_s = int(rate * packet / max(1, frames)) if 0 < rate < 1e6 else 0
        if name == b"data":
            stated = size - 4 if size > 0 else size
            length = _sound_bytes(data, Sound(at + 4, stated, per_s, align), _CAF)
            head = bytearray(data[: at + 4])
            struct.pack_into(">q", head, at - 8, length + 4)
            # Chunks after the sound have the positions of its packets.
            return Part((bytes(head), data[at + 4 :]))
        if size < 0:
            break
        at += size
    return Part((data,))


def w64_parts(data: memoryview) -> list[Part]:
    """The parts of a w64; errors as `wav_parts`."""
    return each_part(data, _NEXT_W64, _w64_part)


def _w64_part(data: memoryview) -> Part:
    at, rate, align = 40, 0, 1
    steps = Steps(MAX_CHUNKS)
    while at + 24 <= len(data):
        steps.take()
        name, tail, size = struct.unpack_from("<4s12sQ", data, at)
        if name == b"fmt " and at + 40 <= len(data):
            rate, align = struct.unpack_from("<8xIH", data, at + 24)
        if name == b"data" and tail == _W64_TAIL:
            is_open = size <= 24 or size >= _OPEN
            sound = Sound(at + 24, -1 if is_open else size - 24, rate, max(1, align))
            length = _sound_bytes(data, sound, _W64)
            end = sound.start + length
            head = bytearray(data[: sound.start])
            struct.pack_into("<Q", head, 16, end)
            struct.pack_into("<Q", head, at + 16, length + 24)
            return Part((bytes(head), data[sound.start : end]))
        at += max(24, size + -size % 8)
    return Part((data,))


class RiffHeader(NamedTuple):
    """The header of a wav."""

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
