"""Parses Ogg pages: where they begin, their stream, and their checksums."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from f5serve.audio.parts import Damaged, Part, Steps, only_padding

HEADER_BYTES = 27
MAX_PAGE_BYTES = HEADER_BYTES + 255 + 255 * 255

_HEADER = struct.Struct("<4sBBqIIIB")
_FIRST = 2
_SERIAL_AT, _SUM_AT = 14, 22
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """One page: flags, and its place in its stream.

    Attributes:
        size: bytes of the whole page.
        flags: 1 goes on from the page before, 2 first of its stream, 4 last of it.
        granule: position of its last sample that is complete, -1 for none.
        serial, number: of its stream, and within that.
    """

    size: int
    flags: int
    granule: int
    serial: int
    number: int


def read_page(data: bytes | memoryview, at: int = 0) -> Page | None:
    """The page that begins at `at`; None where there is none, or less than its header.

    `size` may lie beyond the end of `data`.
    """
    if at + HEADER_BYTES > len(data):
        return None
    name, version, flags, granule, serial, number, _, count = _HEADER.unpack_from(data, at)
    lengths = data[at + HEADER_BYTES : at + HEADER_BYTES + count]
    if name != b"OggS" or version or len(lengths) < count:
        return None
    return Page(HEADER_BYTES + count + sum(lengths), flags, granule, serial, number)


def with_serial(page: bytes, serial: int) -> bytes:
    """The same page as one of another stream."""
    new = bytearray(page)
    struct.pack_into("<I", new, _SERIAL_AT, serial)
    struct.pack_into("<I", new, _SUM_AT, 0)
    struct.pack_into("<I", new, _SUM_AT, checksum(new))
    return bytes(new)


def checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC of a page whose own checksum is 0."""
    # Ogg takes the bits of a byte from the other end than zlib, and starts at 0.
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _is_sound(page: bytes) -> bool:
    stored = struct.unpack_from("<I", page, _SUM_AT)[0]
    return bool(checksum(page[:_SUM_AT] + bytes(4) + page[_SUM_AT + 4 :]) == stored)


def ogg_parts(data: memoryview) -> list[Part]:
    """The links of a chained file, which are files of their own.

    Raises:
        Damaged: it ends within a page, a page is changed, or bytes between pages are none.
    """
    at = start = 0
    steps = Steps()
    parts: list[Part] = []
    has_sound = False
    while at < len(data):
        page = read_page(data, at)
        if page is None:
            if only_padding(data[at:]):
                break
            raise Damaged(f"what begins at byte {at:,} is not a page of Ogg")
        if at + page.size > len(data):
            raise Damaged(f"its last page has {len(data) - at} of {page.size} bytes")
        if not _is_sound(bytes(data[at : at + page.size])):
            raise Damaged(f"the page at byte {at:,} does not have its checksum")
        steps.take()
        if page.flags & _FIRST and has_sound:
            parts.append(Part((data[start:at],)))
            start = at
        has_sound = not page.flags & _FIRST
        at += page.size
    return [*parts, Part((data[start:at],))]
