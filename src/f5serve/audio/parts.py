"""The complete files inside an upload, tags and padding around them, and files in memory.

A module for each kind of container finds its parts and corrects their headers, so that a decoder
reads them to their ends. It raises `Damaged` for a file that is not complete.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

MAX_PARTS = 1_000
"""Files joined in one; each costs the opening of a decoder."""

MAX_STEPS = 1_000_000
"""Frames, pages or elements of a file: half an hour of any codec has fewer, a trap has more."""

SLACK_S = 0.05
"""Sound that a header may be off by, to either side; no word is so short."""


_ZEROS = re.compile(rb"\0*")
_PADDING = b"\0\r\n\t "


class Damaged(Exception):
    """The file is not whole: a clause that says what is wrong."""


@dataclass(frozen=True, slots=True)
class Part:
    """One recording, of which a file may hold several, one behind the other.

    Attributes:
        pieces: stretches of bytes which together are its file.
        expected_s: seconds of sound that it holds at least; None where only its decoder knows.
    """

    pieces: tuple[bytes | memoryview, ...]
    expected_s: float | None = None


def each_part(
    data: memoryview, begin: re.Pattern[bytes], read: Callable[[memoryview], Part]
) -> list[Part]:
    """The parts of files that were joined, each of which begins as `begin` says.

    Raises:
        Damaged: there are too many.
    """
    parts = []
    while following := begin.search(data, 4):
        parts.append(read(data[: following.start()]))
        data = data[following.start() :]
        if len(parts) == MAX_PARTS:
            raise Damaged(f"more than {MAX_PARTS:,} files are joined in it")
    return [*parts, read(data)]


def memory_file() -> IO[bytes]:
    """A nameless file with a descriptor: in memory where the system has such, else on the disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("f5serve"), "w+b")
    return tempfile.TemporaryFile()


class Steps:
    """Counts the steps of a walk, so that it ends in time."""

    def __init__(self, most: int = MAX_STEPS) -> None:
        self._most = self._left = most

    def take(self) -> None:
        """Take one.

        Raises:
            Damaged: there were too many.
        """
        self._left -= 1
        if self._left < 0:
            raise Damaged(f"it is made of more than {self._most:,} pieces")


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
    # First a few: a caller that asks at each of many places would read the rest as often.
    few = bytes(data[at : at + 64])
    return not few.strip(_PADDING) and not bytes(data[at:]).strip(_PADDING)
