"""MPEG audio (mp3) frame headers: length of the frame and of its sound."""

from __future__ import annotations

import struct
from typing import NamedTuple

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
    """How many frames of layer III a file is made of that is nothing else and has no tag; or 0."""
    at = count = 0
    while frame := read_frame(data, at):
        if frame.layer != 3 or at + frame.size > len(data) or has_tag(data, at, frame):
            return 0
        at += frame.size
        count += 1
    return count if at == len(data) else 0


def has_tag(data: bytes | memoryview, at: int, frame: Frame) -> bool:
    """Whether the frame at `at` holds no sound but what is told of the others."""
    return data[at + frame.tag_at : at + frame.tag_at + 4] in (b"Xing", b"Info")


def info_frame(head: bytes, frames: int, size: int) -> bytes:
    """A frame to stand in front of others, which tells how many they are, and their bytes.

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
            told = b"Info" + struct.pack(">III", 3, frames, size + frame.size)
            return (new + bytes(frame.tag_at - HEADER_BYTES) + told).ljust(frame.size, b"\0")
    raise ValueError("the header is not that of a frame of layer III")
