"""Parses audio frames without a container: mp3, ADTS (aac) and amr.

Each frame header has its length, so a file that was cut is recognised by its last frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from f5serve.audio.parts import Damaged, Part, Steps, only_padding, tag_bytes, zeros

_BIT_RATES = {  # by (is MPEG 1, layer): kbit/s for the index 1 to 14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
"""Hz, by the version bits: MPEG 1, 2 and 2.5."""

HEADER_BYTES = 4


class Frame(NamedTuple):
    """What the header of a frame says.

    Attributes:
        size: bytes of the whole frame.
        samples: of each channel.
        layer: 1, 2 or 3.
        tag_at: bytes from its start to where a Xing or Info tag lies, if it holds one.
    """

    size: int
    samples: int
    sample_rate: int
    channels: int
    layer: int
    tag_at: int


def read_frame(data: bytes | memoryview, at: int = 0) -> Frame | None:
    """The frame whose header lies at `at`; None where there is none, or of a free bit rate."""
    if at + HEADER_BYTES > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    rate_index, bit_index = data[at + 2] >> 2 & 3, data[at + 2] >> 4
    if version == 1 or layer == 4 or rate_index == 3 or bit_index in (0, 15):
        return None
    is_first = version == 3
    rate = _SAMPLE_RATES[version][rate_index]
    bits = 1000 * _BIT_RATES[is_first, layer][bit_index - 1]
    padding = data[at + 2] >> 1 & 1
    channels = 1 if data[at + 3] >> 6 == 3 else 2
    if layer == 1:
        return Frame(4 * (12 * bits // rate + padding), 384, rate, channels, layer, 0)
    samples = 1152 if is_first or layer == 2 else 576
    side_bytes = (17, 32)[channels - 1] if is_first else (9, 17)[channels - 1]
    size = samples // 8 * bits // rate + padding
    return Frame(size, samples, rate, channels, layer, HEADER_BYTES + side_bytes)


def whole_frames(data: bytes) -> int:
    """Frames of a file that holds nothing but layer III frames, without a tag; 0 for others."""
    at = count = 0
    while frame := read_frame(data, at):
        if frame.layer != 3 or at + frame.size > len(data) or has_tag(data, at, frame):
            return 0
        at += frame.size
        count += 1
    return count if at == len(data) else 0


def has_tag(data: bytes | memoryview, at: int, frame: Frame) -> bool:
    """Whether the frame at `at` is a Xing or Info tag: facts about the others, and no sound."""
    return data[at + frame.tag_at : at + frame.tag_at + 4] in (b"Xing", b"Info")


def info_frame(head: bytes, frames: int, size: int) -> bytes:
    """A tag to put in front of frames: their number and their bytes.

    Args:
        head: the header of the first of them; it is like that, but of the lowest bit rate in which
            there is room.

    Raises:
        ValueError: `head` is not of layer III.
    """
    for bits in range(1, 15):
        # Without a checksum of its own, which would have to be right.
        new = bytes([0xFF, head[1] | 1, head[2] & 0x0C | bits << 4, head[3]])
        frame = read_frame(new)
        if frame and frame.layer == 3 and frame.size >= frame.tag_at + 16:
            tag = b"Info" + struct.pack(">III", 3, frames, size + frame.size)
            return (new + bytes(frame.tag_at - HEADER_BYTES) + tag).ljust(frame.size, b"\0")
    raise ValueError("the header is not that of a frame of layer III")


_MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_ADTS_SYNC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000),
    *(12_000, 11_025, 8_000, 7_350),
)
_AMR_SIZES = {
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
}
"""Bytes of a frame by its type, 0 for none."""

MAX_GAPS = 8
"""Places where bytes that are no frame may lie, each of at most two frames: 50 ms."""

_MOST_IN_FRONT = 1 << 16
"""Bytes of anything that may lie in front of the first frame, beside tags and zeros."""


Reader = Callable[[memoryview, int], Frame | None]
"""The frame at a place, None where there is none."""


class FrameScan(NamedTuple):
    """What was found between the tags and zeros of a file.

    Attributes:
        runs: stretches of frames with sound, as (start, end) in bytes.
        frames: how many they are.
        samples: of each channel.
        first: the first frame.
        tags: Xing or Info tags, with their places in bytes.
    """

    runs: list[tuple[int, int]]
    frames: int
    samples: int
    first: Frame
    tags: list[tuple[int, Frame]]


def scan_frames(data: memoryview, read: Reader, sync: re.Pattern[bytes]) -> FrameScan:
    """Go from frame to frame; between them may be tags, where files were joined.

    Args:
        sync: what a frame begins with.

    Raises:
        Damaged: the last frame is cut, or bytes among the frames are not known to be anything.
    """
    at = start = _first(data, read, sync)
    first = read(data, at) if at >= 0 else None
    if first is None:
        raise Damaged("there is no whole frame of sound in it")
    runs: list[tuple[int, int]] = []
    tags: list[tuple[int, Frame]] = []
    frames = samples = gaps = 0
    steps = Steps()
    while at < len(data):
        steps.take()
        frame = read(data, at)
        if frame is None or not _is_alike(frame, first):
            runs.append((start, at))
            gaps += not tag_bytes(data, at)
            if gaps > MAX_GAPS:
                raise Damaged(f"in {gaps} places there are bytes that are no frame of sound")
            start = at = _after_gap(data, at, read, sync, first)
        elif at + frame.size > len(data):
            raise Damaged(f"its last frame has {len(data) - at} of {frame.size} bytes")
        elif has_tag(data, at, frame):
            runs.append((start, at))
            tags.append((at, frame))
            start = at = at + frame.size
        else:
            at += frame.size
            frames += 1
            samples += frame.samples
    runs.append((start, at))
    return FrameScan([run for run in runs if run[1] > run[0]], frames, samples, first, tags)


def _is_alike(frame: Frame, first: Frame) -> bool:
    return (frame.layer, frame.sample_rate) == (first.layer, first.sample_rate)


def _first(data: memoryview, read: Reader, sync: re.Pattern[bytes]) -> int:
    """Where the first frame is that another one or the end follows; -1 for nowhere."""
    at = 0
    while skipped := tag_bytes(data, at) or zeros(data, at):
        at += skipped
    return _next(data, at, at + _MOST_IN_FRONT, read, sync)


def _next(data: memoryview, at: int, most: int, read: Reader, sync: re.Pattern[bytes]) -> int:
    while (found := sync.search(data, at)) and found.start() <= most:
        at = found.start()
        frame = read(data, at)
        if frame is not None and _is_followed(data, at, frame, read):
            return at
        at += 1
    return -1


def _is_followed(data: memoryview, at: int, frame: Frame, read: Reader) -> bool:
    end = at + frame.size
    following = read(data, end)
    if following is not None:
        return _is_alike(following, frame)
    return end <= len(data) and (end == len(data) or tag_bytes(data, end) + zeros(data, end) > 0)


def _after_gap(
    data: memoryview, at: int, read: Reader, sync: re.Pattern[bytes], first: Frame
) -> int:
    """Where frames go on after other bytes; the end of the data where none follow."""
    begin = at
    while tag := tag_bytes(data, at):
        at += tag
    if at >= len(data) or only_padding(data[at:]):
        return len(data)
    place = at + zeros(data, at)
    is_new_file = at > begin or ((frame := read(data, place)) and has_tag(data, place, frame))
    most = (place if is_new_file else at) + 2 * first.size
    found = _next(data, at, most, read, sync)
    if found < 0:
        raise Damaged(f"what begins at byte {at:,} is not a frame of sound")
    return found


def mp3_parts(data: memoryview) -> list[Part]:
    """The frames of an mp3, behind a tag with their number.

    Decoders trust the tag; without it they guess from the first frames.

    Raises:
        Damaged: as `scan_frames`, or there are fewer frames than its tag says.
    """
    scan = scan_frames(data, read_frame, _MPEG_SYNC)
    tag = _read_info_tag(data, scan)
    # Some encoders count the tag as a frame.
    if tag is not None and scan.frames + 1 < tag.frames:
        raise Damaged(f"{tag.frames} frames of sound announced, {scan.frames} found")
    pieces = [data[start:end] for start, end in scan.runs]
    size = sum(map(len, pieces))
    trimmed = 0
    if scan.first.layer == 3 and pieces:
        is_right = tag is not None and tag.frames - scan.frames in (0, 1)
        if tag is not None and is_right and len(scan.tags) == 1:
            pieces.insert(0, tag.frame)  # it says what to drop at both ends as well
            trimmed = tag.trimmed
        else:
            pieces.insert(0, memoryview(info_frame(bytes(pieces[0][:4]), scan.frames, size)))
    seconds = (scan.samples - trimmed) / scan.first.sample_rate
    return [Part(tuple(pieces), seconds)]


class _InfoTag(NamedTuple):
    """A Xing or Info tag: its frame, the number of other frames, samples to drop at the ends."""

    frame: memoryview
    frames: int
    trimmed: int


def _read_info_tag(data: memoryview, scan: FrameScan) -> _InfoTag | None:
    """The tag in front; None where there is none, or it has no number of frames."""
    if not scan.tags or (scan.runs and scan.tags[0][0] > scan.runs[0][0]):
        return None
    at, frame = scan.tags[0]
    tag = at + frame.tag_at
    flags, frames = struct.unpack_from(">II", data, tag + 4)
    if not flags & 1:
        return None
    lame = tag + 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    trimmed = 0
    if lame + 24 <= at + frame.size and bytes(data[lame : lame + 4]) in (b"LAME", b"Lavc", b"Lavf"):
        three = int.from_bytes(data[lame + 21 : lame + 24], "big")
        trimmed = (three >> 12) + (three & 0xFFF)
    return _InfoTag(data[at : at + frame.size], frames, trimmed)


def adts_parts(data: memoryview) -> list[Part]:
    """The frames of an ADTS stream; errors as `scan_frames`."""
    scan = scan_frames(data, read_adts, _ADTS_SYNC)
    return [
        Part(
            tuple(data[start:end] for start, end in scan.runs),
            scan.samples / scan.first.sample_rate,
        )
    ]


def read_adts(data: memoryview, at: int) -> Frame | None:
    """As `read_frame`, for ADTS."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    index = data[at + 2] >> 2 & 15
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if index >= len(_ADTS_RATES) or size < 7:
        return None
    blocks = (data[at + 6] & 3) + 1
    channels = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
    return Frame(size, 1024 * blocks, _ADTS_RATES[index], channels, 0, 0)


def amr_parts(data: memoryview) -> list[Part]:
    """The parts of an amr, narrow or wide; several may have been joined.

    Raises:
        Damaged: its last frame is cut, or a frame is of no kind that there is.
    """
    parts: list[Part] = []
    at = start = 0
    steps = Steps()
    while at < len(data):
        magic = next((m for m in _AMR_SIZES if bytes(data[at : at + len(m)]) == m), b"")
        if not magic:
            raise Damaged(f"what begins at byte {at:,} is not a frame of sound")
        start, count, sizes = at, 0, _AMR_SIZES[magic]
        at += len(magic)
        # The magic of another file is no frame: its first byte has a bit that none may have.
        while at < len(data) and not data[at] & 0x83 and (size := sizes[data[at] >> 3 & 15]):
            at += size
            count += 1
            steps.take()
        if at > len(data):
            raise Damaged("its last frame is cut")
        parts.append(Part((data[start:at],), 0.02 * count))
    return parts
