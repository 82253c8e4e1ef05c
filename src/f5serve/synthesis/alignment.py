"""Aligns a known text with a recording: when is each word heard?

bytes -> Wave;  Wave + text -> Alignment
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from f5serve.alignment.aligners import Aligners, language_of
from f5serve.audio.decode import LONG, decode
from f5serve.errors import InvalidRequest, ModelUnavailable
from f5serve.text.normalize import clean_text
from f5serve.types import Alignment

MAX_TEXT_CHARS = 50_000
"""About an hour of speech, which is more than a recording may have."""


@dataclass(frozen=True, slots=True)
class RecordingAlignment:
    """Where the words of a recording are heard in it.

    Attributes:
        duration_s: of the recording.
        text: as it was understood.
        language: that it was taken for, ISO 639-1; "" where that was not told.
        found: with at least one word.
    """

    duration_s: float
    text: str
    language: str
    found: Alignment


@dataclass(frozen=True, slots=True)
class Recording:
    """Any format that `decode` reads, and what errors call it."""

    data: bytes
    display_name: str = "the recording"


def align(
    aligners: Aligners,
    recording: Recording,
    text: str,
    language: str = "",
    check: Callable[[], None] | None = None,
) -> RecordingAlignment:
    """Find the words of `text` in a recording; blocks, for about a fortieth of its length.

    Args:
        recording: up to `LONG`.
        language: that is spoken, ISO 639-1, or "".
        check: called ten times a second while words are looked for; what it raises ends the work
            and comes out.

    Raises:
        ModelUnavailable: NOT_BUILT where no aligner is installed; ALIGNER_FAILED.
        InvalidRequest: as `clean_text`; NOT_ALIGNED.
        BadAudio: as `decode`.
    """
    text = clean_text(text, MAX_TEXT_CHARS)
    if not aligners.is_there:
        raise ModelUnavailable(
            "Nothing here can find out when words are heard.",
            code="NOT_BUILT",
            hint=aligners.why_not(text, language),
        )
    wave = decode(recording.data, LONG)
    if check is not None:
        check()
    found = aligners.align(wave, text, language, check)
    if not found.words:
        raise InvalidRequest(
            f"The text could not be aligned with {recording.display_name}.",
            code="NOT_ALIGNED",
            hint=f"{aligners.why_not(text, language)} Check that they are what is heard.",
        )
    return RecordingAlignment(wave.duration_s, text, language_of(text, language), found)
