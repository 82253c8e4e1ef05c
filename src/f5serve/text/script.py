"""Scripts: one text with voices, styles, speeds and pauses, parsed into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from f5serve.text.mapped_text import MappedText

MAIN = "main"
"""What tags call the voice of the request."""


class VoiceNames(Protocol):
    """The voices that tags may name."""

    def styles(self, voice: str) -> frozenset[str] | None:
        """The styles of a voice, in lower case; None if there is no such voice.

        Args:
            voice: a name; "" is the voice of the request.
        """
        ...

    def similar(self, voice: str) -> Sequence[str]:
        """Names that are spelled like `voice`, the most similar first."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text whose time is wanted.

    Attributes:
        at: index in the text of its part; the next word is the one that is timed.
    """

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a script that is spoken in one way.

    Attributes:
        text: without tags; its spans are in the script. Without characters for silence alone.
        voice: name; "" is the voice of the request.
        style: of the voice, in lower case; "" is its main recording.
        speed: None is the speed of the request.
        seed: None has one derived from the seed of the request.
        pause_s: silence behind it; None where the next part follows without one.
        start_s, end_s: when it is to be heard, for subtitles; else None.
    """

    text: MappedText
    voice: str = ""
    style: str = ""
    speed: float | None = None
    seed: int | None = None
    pause_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """Parts in order, and what is to be said about the markup."""

    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
