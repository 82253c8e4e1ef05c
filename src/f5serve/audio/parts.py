"""The complete files inside an upload, and how much sound a decoder must find in each.

Each kind of container has a module that finds its parts. Their headers are correct, so a decoder
reads them to their ends; otherwise there is a reason why the file is not whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_PARTS = 1_000
"""Files joined in one; each costs the opening of a decoder."""

MAX_STEPS = 1_000_000
"""Frames, pages or elements of a file: half an hour of any codec has fewer, a trap has more."""

SLACK_S = 0.05
"""Sound that a header may be off by, to either side; no word is so short."""


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
