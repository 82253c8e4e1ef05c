"""Finds the complete parts of a file of any container; itself parses flac, m4a, ogg, webm, wma.

The header of a flac that was written to a pipe has a length of 0, but each frame numbers its
samples. FFmpeg would decode what is left of an m4a, webm or wma that was cut.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from f5serve.audio.frames import adts_parts, amr_parts, mp3_parts
from f5serve.audio.parts import MAX_PARTS, Damaged, Part, Steps, each_part, id3_bytes, only_padding
from f5serve.audio.riff import aiff_parts, au_parts, caf_parts, w64_parts, wav_parts

_OGG_HEADER_BYTES = 27
MAX_OGG_PAGE_BYTES = _OGG_HEADER_BYTES + 255 + 255 * 255

_OGG_HEADER = struct.Struct("<4sBBqIIIB")
_OGG_FIRST = 2
_OGG_SERIAL_AT, _OGG_SUM_AT = 14, 22
_OGG_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggPage(NamedTuple):
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


def read_ogg_page(data: bytes | memoryview, at: int = 0) -> OggPage | None:
    """The page that begins at `at`; None where there is none, or less than its header.

    `size` may lie beyond the end of `data`.
    """
    if at + _OGG_HEADER_BYTES > len(data):
        return None
    name, version, flags, granule, serial, number, _, count = _OGG_HEADER.unpack_from(data, at)
    lengths = data[at + _OGG_HEADER_BYTES : at + _OGG_HEADER_BYTES + count]
    if name != b"OggS" or version or len(lengths) < count:
        return None
    return OggPage(_OGG_HEADER_BYTES + count + sum(lengths), flags, granule, serial, number)


def with_serial(page: bytes, serial: int) -> bytes:
    """The same page as one of another stream."""
    new = bytearray(page)
    struct.pack_into("<I", new, _OGG_SERIAL_AT, serial)
    struct.pack_into("<I", new, _OGG_SUM_AT, 0)
    struct.pack_into("<I", new, _OGG_SUM_AT, _ogg_checksum(new))
    return bytes(new)


def _ogg_checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC of a page whose own checksum is 0."""
    # Ogg takes the bits of a byte from the other end than zlib, and starts at 0.
    mirrored = zlib.crc32(page.translate(_OGG_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _has_checksum(page: bytes) -> bool:
    stored = struct.unpack_from("<I", page, _OGG_SUM_AT)[0]
    return bool(_ogg_checksum(page[:_OGG_SUM_AT] + bytes(4) + page[_OGG_SUM_AT + 4 :]) == stored)


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
        page = read_ogg_page(data, at)
        if page is None:
            if only_padding(data[at:]):
                break
            raise Damaged(f"what begins at byte {at:,} is not a page of Ogg")
        if at + page.size > len(data):
            raise Damaged(f"its last page has {len(data) - at} of {page.size} bytes")
        if not _has_checksum(bytes(data[at : at + page.size])):
            raise Damaged(f"the page at byte {at:,} does not have its checksum")
        steps.take()
        if page.flags & _OGG_FIRST and has_sound:
            parts.append(Part((data[start:at],)))
            start = at
        has_sound = not page.flags & _OGG_FIRST
        at += page.size
    return [*parts, Part((data[start:at],))]


_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_FLAC_INFO_AT = 8
"""Where STREAMINFO lies behind the beginning of a file."""

_FLAC_TOTAL_AT, _FLAC_SUM_AT = _FLAC_INFO_AT + 10, _FLAC_INFO_AT + 18
_FLAC_TOTAL_MASK = (1 << 36) - 1
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_MOST_FLAC_FRAME_BYTES = 1 << 20
_CRC8 = [0] * 256
for _byte in range(256):
    _sum = _byte
    for _ in range(8):
        _sum = _sum << 1 ^ (0x107 if _sum & 0x80 else 0)
    _CRC8[_byte] = _sum & 0xFF


class _FlacInfo(NamedTuple):
    """STREAMINFO, as far as it matters."""

    block: int
    sample_rate: int
    total: int
    is_finished: bool


def flac_parts(data: memoryview) -> list[Part]:
    """The parts of a flac, of which several may have been joined.

    Raises:
        Damaged: bytes behind its last frame are none, or it has no frame.
    """
    if bytes(data[-128:-125]) == b"TAG":
        data = data[:-128]
    return each_part(data, _FLAC, _flac_part)


def _flac_part(data: memoryview) -> Part:
    info, begin = _flac_info(data), _flac_sound_at(data)
    if info is None:
        return Part((data,))
    first, last = _flac_frame(data, begin, info), _last_flac_frame(data, begin, info)
    if first is None or last is None:
        if begin >= len(data) or only_padding(data[begin:]):
            return Part((data[:begin],), 0.0)
        raise Damaged("there is no frame of sound in it")
    found = last[1] - first[0]
    if info.is_finished and info.total > found:
        return Part((data,), info.total / info.sample_rate)  # its limits are looked at first
    head = bytearray(data[:begin])
    packed = (
        int.from_bytes(head[_FLAC_TOTAL_AT : _FLAC_TOTAL_AT + 8], "big") & ~_FLAC_TOTAL_MASK | found
    )
    head[_FLAC_TOTAL_AT : _FLAC_TOTAL_AT + 8] = packed.to_bytes(8, "big")
    return Part((bytes(head), data[begin:]), found / info.sample_rate)


def _flac_info(data: memoryview) -> _FlacInfo | None:
    if len(data) < _FLAC_SUM_AT + 16:
        return None
    packed = int.from_bytes(data[_FLAC_TOTAL_AT : _FLAC_TOTAL_AT + 8], "big")
    block = int.from_bytes(data[_FLAC_INFO_AT + 2 : _FLAC_INFO_AT + 4], "big")
    total, rate = packed & _FLAC_TOTAL_MASK, packed >> 44
    if not rate or not block:
        return None
    # An encoder that could not write the length afterwards has not written the checksum either.
    return _FlacInfo(block, rate, total, total > 0 and any(data[_FLAC_SUM_AT : _FLAC_SUM_AT + 16]))


def _flac_sound_at(data: memoryview) -> int:
    """Where the first frame begins: behind all blocks of metadata."""
    at = 4
    while at + 4 <= len(data):
        is_last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if is_last:
            break
    return min(at, len(data))


def _last_flac_frame(data: memoryview, begin: int, info: _FlacInfo) -> tuple[int, int] | None:
    """The samples of the last frame that begins in `data`, as (start, end)."""
    end = len(data)
    window = 1 << 16
    while end > begin:
        start = max(begin, end - window)
        places = [found.start() for found in _FLAC_SYNC.finditer(data[start : end + 16])]
        for place in reversed(places):
            if start + place < end and (found := _flac_frame(data, start + place, info)):
                return found
        end = start
        if len(data) - end > _MOST_FLAC_FRAME_BYTES + window:
            break
    return None


def _flac_frame(data: memoryview, at: int, info: _FlacInfo) -> tuple[int, int] | None:
    """The samples of the frame that begins at `at`, as (start, end); None where there is none."""
    head = bytes(data[at : at + 16])
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10:
        return None
    number, position = _coded_number(head)
    if number is None:
        return None
    block, position = _block_size(head, size_code, position)
    position += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if position >= len(head):
        return None
    checked = 0
    for byte in head[:position]:
        checked = _CRC8[checked ^ byte]
    if checked != head[position]:
        return None
    start = number if head[1] & 1 else number * info.block
    return start, start + block


def _coded_number(head: bytes) -> tuple[int | None, int]:
    """A number as UTF-8 would write it, of up to 36 bits, and where it ends."""
    lead = head[4]
    if lead < 0x80:
        return lead, 5
    more = next((n for n in range(1, 7) if not lead << n + 1 & 0x80), 0)
    if not lead & 0x40 or not more or len(head) < 5 + more:
        return None, 5
    number = lead & (0x3F >> more)
    for byte in head[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None, 5
        number = number << 6 | byte & 0x3F
    return number, 5 + more


def _block_size(head: bytes, code: int, position: int) -> tuple[int, int]:
    """Samples of a frame, and where its header goes on."""
    if code in (6, 7):
        more = code - 5
        return int.from_bytes(head[position : position + more], "big") + 1, position + more
    if code == 1:
        return 192, position
    return (576 << code - 2, position) if code < 6 else (256 << code - 8, position)


def mp4_parts(data: memoryview) -> list[Part]:
    """The parts of an m4a or mp4, of which several may have been joined.

    Raises:
        Damaged: it ends within a box.
    """
    starts, at, steps = [0], 0, Steps()
    while at + 8 <= len(data):
        steps.take()
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            size = struct.unpack_from(">Q", data, at + 8)[0]
        if name == b"ftyp" and at:
            starts.append(at)
        if size < 8:  # 0: to the end of the file
            if size and not only_padding(data[at:]):
                raise Damaged(f"the box at byte {at:,} has a size of {size}")
            break
        if at + size > len(data):
            if only_padding(data[at:]):
                break
            raise _cut(str(name, "latin-1"), len(data) - at, size)
        at += size
    return _between(data, starts)


def webm_parts(data: memoryview) -> list[Part]:
    """The parts of a webm or mkv, of which several may have been joined.

    Raises:
        Damaged: it ends within an element.
    """
    starts, at, steps = [0], 0, Steps()
    while at < len(data):
        steps.take()
        name, size, body = _element(data, at)
        if name == _EBML and at:
            starts.append(at)
        if body and size is not None and body + size > len(data):
            raise _cut(f"{name:X}", len(data) - body, size)
        if not body:
            if only_padding(data[at:]):
                break
            raise Damaged(f"what begins at byte {at:,} is not an element of Matroska")
        at = body if name in (_SEGMENT, _CLUSTER) else body + (size or 0)
    return _between(data, starts)


def _element(data: memoryview, at: int) -> tuple[int, int | None, int]:
    """Name, size (None when unknown) and begin of the content; a begin of 0 where there is none."""
    length = 9 - data[at].bit_length()
    name = int.from_bytes(data[at : at + length], "big")
    at += length
    if length > 4 or at >= len(data) or not data[at]:
        return name, None, 0
    length = 9 - data[at].bit_length()
    if at + length > len(data):
        return name, None, 0
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(data[at : at + length], "big") & mask
    return name, None if size == mask else size, at + length


def wma_parts(data: memoryview) -> list[Part]:
    """The part of a wma.

    Raises:
        Damaged: it ends within an object.
    """
    at = 0
    while at + 24 <= len(data):
        name, size = bytes(data[at : at + 16]), struct.unpack_from("<Q", data, at + 16)[0]
        if name == _ASF_DATA and size <= 50:  # a stream, which goes on to the end
            break
        if size < 24 or only_padding(data[at:]):
            break
        if at + size > len(data):
            raise _cut("data" if name == _ASF_DATA else "object", len(data) - at, size)
        at += size
    return [Part((data,))]


def _between(data: memoryview, starts: list[int]) -> list[Part]:
    ends = [*starts[1:], len(data)]
    return [Part((data[start:end],)) for start, end in zip(starts, ends, strict=True)]


def _cut(name: str, there: int, size: int) -> Damaged:
    return Damaged(f"its {name} has {there:,} of {size:,} bytes")


_PARTS: dict[str, Callable[[memoryview], list[Part]]] = {
    "wav": wav_parts,
    "w64": w64_parts,
    "aiff": aiff_parts,
    "au": au_parts,
    "caf": caf_parts,
    "flac": flac_parts,
    "ogg": ogg_parts,
    "mp3": mp3_parts,
    "aac": adts_parts,
    "amr": amr_parts,
    "m4a": mp4_parts,
    "webm": webm_parts,
    "wma": wma_parts,
}


def parts_of(container: str, data: memoryview) -> list[Part]:
    """The parts of a file whose container `sniff` has named.

    Raises:
        Damaged: it is not whole.
    """
    parts = _PARTS[container](data[id3_bytes(data) :])
    if len(parts) > MAX_PARTS:
        raise Damaged(f"{len(parts):,} files are joined in it")
    return parts
