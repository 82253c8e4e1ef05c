"""What a library can find out about a recording by listening; who listens is not known here.

Waves flow out to whoever hears, words, times and differences flow back. Without anybody, the words
have to come with the recording and are believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from f5serve.errors import BadAudio
from f5serve.heard import Comparison, Heard
from f5serve.types import Wave, WordTiming

MAX_ERROR_RATE = 0.5
"""Of a transcript that is believed: a small recogniser mishears up to a third of the words of an
unusual voice, and of other words than were said it hears hardly one."""

FEWEST_ERRORS = 3
"""Fewer are never held against a transcript."""

_SHOWN = 3
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Hearing:
    """Calls that listen; None where nobody can.

    Attributes:
        hear: wave and language ("" when unknown) to what was said, with the place of each word;
            None for a language that is not understood.
        compare: wave, text and language to how far the text is from what is heard; None where
            that cannot be told.
        words_of: wave, text and language to the words of the text with their places, in order;
            empty where they cannot be told, confidence 0 for a single one that cannot.
        max_error_rate: of a transcript that is believed.
    """

    hear: Callable[[Wave, str], Heard | None] | None = None
    compare: Callable[[Wave, str, str], Comparison | None] | None = None
    words_of: Callable[[Wave, str, str], Sequence[WordTiming]] | None = None
    max_error_rate: float = MAX_ERROR_RATE


NOBODY = Hearing()


def refuse_other_words(found: Comparison | None, max_error_rate: float) -> None:
    """Refuse a transcript that something else was heard than.

    Raises:
        BadAudio: REF_TEXT_MISMATCH, naming words that differ.
    """
    if found is None or found.errors < FEWEST_ERRORS or found.rate <= max_error_rate:
        return
    said = f"{found.errors} errors in {found.words} words"
    shown = "; ".join(_difference(*pair) for pair in found.differing[:_SHOWN])
    raise BadAudio(
        f"The transcript does not fit the recording: {said}; {shown}.",
        code="REF_TEXT_MISMATCH",
        hint="Send the words of the whole recording, and no others; F5_TRANSCRIPT_WER=0 lets them"
        " pass unheard.",
    )


def not_checked(name: str) -> str:
    """What callers are told about a voice whose transcript nobody has read."""
    return (
        f"The transcript of the voice {name!r} was written by a recogniser; wrong words in it are "
        "heard in the speech. Read it, and send the voice again with the right one."
    )


def _difference(meant: str, heard: str) -> str:
    if not heard:
        return f"{_cut(meant)} is not heard"
    return (
        f"{_cut(meant)} is heard as {_cut(heard)}" if meant else f"{_cut(heard)} is heard as well"
    )


def _cut(words: str) -> str:
    return repr(words if len(words) <= _SHOWN_CHARS else words[:_SHOWN_CHARS].rstrip() + "...")
