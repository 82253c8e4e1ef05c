"""Finds the complete parts of a file of any container; itself parses m4a, webm and wma.

FFmpeg would decode what is left of an m4a, webm or wma that was cut, so those are checked here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from f5serve.audio.flac import flac_parts
from f5serve.audio.frames import adts_parts, amr_parts, mp3_parts
from f5serve.audio.ogg import ogg_parts
from f5serve.audio.parts import MAX_PARTS, Damaged, Part, Steps, id3_bytes, only_padding
from f5serve.audio.riff import aiff_parts, au_parts, caf_parts, w64_parts, wav_parts

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


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
