"""Streams of frames without a container: mp3, ADTS (aac) and amr, read from header to header.

Each frame says how long it is, so a file that was cut is recognised by its last frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from f5serve.audio.mpeg import Frame, has_tag, info_frame, read_frame
from f5serve.audio.parts import Damaged, Part, Steps
from f5serve.audio.tags import only_padding, tag_bytes, zeros

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


class Walked(NamedTuple):
    """What was found between the tags and zeros of a file.

    Attributes:
        runs: stretches of frames with sound, as (start, end) in bytes.
        frames: how many they are.
        samples: of each channel.
        first: the first frame.
        tags: where frames lie that tell of the others and hold no sound.
    """

    runs: list[tuple[int, int]]
    frames: int
    samples: int
    first: Frame
    tags: list[tuple[int, Frame]]


def walk(data: memoryview, read: Reader, sync: re.Pattern[bytes]) -> Walked:
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
            start = at = _behind_gap(data, at, read, sync, first)
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
    return Walked([run for run in runs if run[1] > run[0]], frames, samples, first, tags)


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


def _behind_gap(
    data: memoryview, at: int, read: Reader, sync: re.Pattern[bytes], first: Frame
) -> int:
    """Where frames go on behind what is none; the end of the data where nothing follows."""
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
    """The frames of an mp3, with one in front that tells how many they are.

    Decoders believe that one, and guess without it, from the first frames.

    Raises:
        Damaged: as `walk`, or there are fewer frames than its own tag tells.
    """
    walked = walk(data, read_frame, _MPEG_SYNC)
    told = _told(data, walked)
    # Some encoders count the tag as a frame.
    if told is not None and walked.frames + 1 < told.frames:
        raise Damaged(f"{told.frames} frames of sound announced, {walked.frames} found")
    pieces = [data[start:end] for start, end in walked.runs]
    size = sum(map(len, pieces))
    trimmed = 0
    if walked.first.layer == 3 and pieces:
        is_right = told is not None and told.frames - walked.frames in (0, 1)
        if told is not None and is_right and len(walked.tags) == 1:
            pieces.insert(0, told.frame)  # it tells what to drop at both ends as well
            trimmed = told.trimmed
        else:
            pieces.insert(0, memoryview(info_frame(bytes(pieces[0][:4]), walked.frames, size)))
    seconds = (walked.samples - trimmed) / walked.first.sample_rate
    return [Part(tuple(pieces), seconds)]


class _Told(NamedTuple):
    """What a frame without sound tells: itself, the number of the others, samples to drop."""

    frame: memoryview
    frames: int
    trimmed: int


def _told(data: memoryview, walked: Walked) -> _Told | None:
    """What the frame in front tells, None where there is none or it does not tell the number."""
    if not walked.tags or (walked.runs and walked.tags[0][0] > walked.runs[0][0]):
        return None
    at, frame = walked.tags[0]
    tag = at + frame.tag_at
    flags, frames = struct.unpack_from(">II", data, tag + 4)
    if not flags & 1:
        return None
    lame = tag + 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    trimmed = 0
    if lame + 24 <= at + frame.size and bytes(data[lame : lame + 4]) in (b"LAME", b"Lavc", b"Lavf"):
        three = int.from_bytes(data[lame + 21 : lame + 24], "big")
        trimmed = (three >> 12) + (three & 0xFFF)
    return _Told(data[at : at + frame.size], frames, trimmed)


def adts_parts(data: memoryview) -> list[Part]:
    """The frames of an ADTS stream; errors as `walk`."""
    walked = walk(data, read_adts, _ADTS_SYNC)
    return [
        Part(
            tuple(data[start:end] for start, end in walked.runs),
            walked.samples / walked.first.sample_rate,
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
