"""Parses FLAC: the length of the sound by its last frame, whatever the header says.

Encoders that write to a pipe leave the length at 0, and each frame numbers its samples.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from f5serve.audio.parts import Damaged, Part, each_part, only_padding

_BEGIN = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_INFO_AT = 8
"""Where STREAMINFO lies behind the beginning of a file."""

_TOTAL_AT, _SUM_AT = _INFO_AT + 10, _INFO_AT + 18
_TOTAL_MASK = (1 << 36) - 1
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_MOST_FRAME_BYTES = 1 << 20
_CRC8 = [0] * 256
for _byte in range(256):
    _sum = _byte
    for _ in range(8):
        _sum = _sum << 1 ^ (0x107 if _sum & 0x80 else 0)
    _CRC8[_byte] = _sum & 0xFF


class _Info(NamedTuple):
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
    return each_part(data, _BEGIN, _part)


def _part(data: memoryview) -> Part:
    info, begin = _read_info(data), _sound_at(data)
    if info is None:
        return Part((data,))
    first, last = _header(data, begin, info), _last_header(data, begin, info)
    if first is None or last is None:
        if begin >= len(data) or only_padding(data[begin:]):
            return Part((data[:begin],), 0.0)
        raise Damaged("there is no frame of sound in it")
    found = last[1] - first[0]
    if info.is_finished and info.total > found:
        return Part((data,), info.total / info.sample_rate)  # its limits are looked at first
    head = bytearray(data[:begin])
    packed = int.from_bytes(head[_TOTAL_AT : _TOTAL_AT + 8], "big") & ~_TOTAL_MASK | found
    head[_TOTAL_AT : _TOTAL_AT + 8] = packed.to_bytes(8, "big")
    return Part((bytes(head), data[begin:]), found / info.sample_rate)


def _read_info(data: memoryview) -> _Info | None:
    if len(data) < _SUM_AT + 16:
        return None
    packed = int.from_bytes(data[_TOTAL_AT : _TOTAL_AT + 8], "big")
    block = int.from_bytes(data[_INFO_AT + 2 : _INFO_AT + 4], "big")
    total, rate = packed & _TOTAL_MASK, packed >> 44
    if not rate or not block:
        return None
    # An encoder that could not write the length afterwards has not written the checksum either.
    return _Info(block, rate, total, total > 0 and any(data[_SUM_AT : _SUM_AT + 16]))


def _sound_at(data: memoryview) -> int:
    """Where the first frame begins: behind all blocks of metadata."""
    at = 4
    while at + 4 <= len(data):
        is_last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if is_last:
            break
    return min(at, len(data))


def _last_header(data: memoryview, begin: int, info: _Info) -> tuple[int, int] | None:
    """The samples of the last frame that begins in `data`, as (start, end)."""
    end = len(data)
    window = 1 << 16
    while end > begin:
        start = max(begin, end - window)
        places = [found.start() for found in _SYNC.finditer(data[start : end + 16])]
        for place in reversed(places):
            if start + place < end and (found := _header(data, start + place, info)):
                return found
        end = start
        if len(data) - end > _MOST_FRAME_BYTES + window:
            break
    return None


def _header(data: memoryview, at: int, info: _Info) -> tuple[int, int] | None:
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
