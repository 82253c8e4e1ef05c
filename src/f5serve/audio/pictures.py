"""Covers of audio files: their kind and size, by their first bytes; nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from f5serve.errors import InvalidRequest

MAX_PICTURE_BYTES = 20_000_000
_MAX_SIDE = 20_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(
    (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
)
"""Markers of JPEG that the size stands behind."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for an audio file.

    Attributes:
        codec, pixel_format: FFmpeg's names.
        width, height: pixels.
    """

    data: bytes
    codec: str
    pixel_format: str
    width: int
    height: int


def read_picture(data: bytes) -> Picture:
    """A PNG or JPEG file as a cover.

    Raises:
        InvalidRequest: BAD_COVER for other files, damaged and huge ones.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise _bad_cover(f"has {len(data):,} bytes; {MAX_PICTURE_BYTES:,} is the limit")
    if data.startswith(_PNG):
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        picture = Picture(data, "png", "rgba", width, height)
    elif data.startswith(_JPEG):
        width, height = _jpeg_size(data)
        picture = Picture(data, "mjpeg", "yuvj420p", width, height)
    else:
        raise _bad_cover("is neither PNG nor JPEG")
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise _bad_cover(f"has {width:,} x {height:,} pixels")
    return picture


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height; zeros where they are not found."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (5, 7))
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _bad_cover(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The cover {what}.",
        code="BAD_COVER",
        hint="Send a PNG or JPEG of a few thousand pixels at most.",
    )
