"""What a decoder is given of a file: its parts, and how much sound each of them has to yield.

Containers flow in as bytes; out flow parts whose headers tell the truth, so that a decoder reads
them to their ends, or a reason why the file is not whole. Every kind of container has a module that
says how its parts are found; sound is not decoded here.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PARTS = 1_000
"""Files joined in one; each costs the opening of a decoder."""

SLACK_S = 0.05
"""Sound that a header may be off by, to either side; no word is so short."""

TAG_STARTS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""How the tags begin that programs put behind the sound of any file."""


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


def only_padding(data: memoryview) -> bool:
    """Whether nothing but zeros, line ends or a tag is there: what may follow the sound."""
    start = bytes(data[:16])
    return start.startswith(TAG_STARTS) or not bytes(data).strip(b"\0\r\n\t ")
