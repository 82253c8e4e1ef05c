"""Bytes before and behind the sound: tags of all kinds, zeros and line ends."""

from __future__ import annotations

import re

_ZEROS = re.compile(rb"\0*")
_PADDING = b"\0\r\n\t "


def id3_bytes(data: bytes | memoryview, at: int = 0) -> int:
    """The size of an ID3v2 tag that begins at `at`, 0 where there is none."""
    head = bytes(data[at : at + 10])
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def zeros(data: bytes | memoryview, at: int = 0) -> int:
    """How many zeros there are from `at` on."""
    found = _ZEROS.match(data, at)
    return found.end() - at if found else 0


def tag_bytes(data: memoryview, at: int) -> int:
    """The size of a tag of any kind that begins at `at`, 0 where there is none."""
    start = bytes(data[at : at + 32])
    if start.startswith(b"APETAGEX") and len(start) == 32:
        return 32 + int.from_bytes(start[12:16], "little")
    if start.startswith(b"LYRICSBEGIN"):
        end = bytes(data[at : at + 100_000]).find(b"LYRICS200")
        return end + 9 if end > 0 else 0
    if start.startswith(b"TAG"):
        return 227 if start.startswith(b"TAG+") else 128
    return id3_bytes(data, at)


def only_padding(data: memoryview) -> bool:
    """Whether nothing but tags, zeros and line ends is there: what may follow the sound."""
    at = 0
    while size := tag_bytes(data, at):
        at += size
    # First a few: who asks at each of many places would else read the rest as often.
    few = bytes(data[at : at + 64])
    return not few.strip(_PADDING) and not bytes(data[at:]).strip(_PADDING)
