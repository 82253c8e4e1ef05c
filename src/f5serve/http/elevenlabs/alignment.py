"""Times of words as times of the characters of a text, in ElevenLabs' shape.

A character of a word has an equal share of its time; one between two words has a share of the time
between them. What was spoken in other words than it is written ("$5") is found by its neighbours.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from f5serve.types import WordTiming

REACH = 64
"""Folded characters, at most, that are passed over to find a word; markup is mostly shorter."""

REACH_PER_CHAR = 12
"""More of them for each character that was not found: digits become long words."""

MAX_REACH = 2_000
"""In all; time would grow with the square of the text."""

_DIGITS = 3
"""Decimals of a time in seconds."""


class CharacterAlignment(BaseModel):
    """The characters of a text, and when each is heard, in seconds from the beginning."""

    characters: list[str]
    character_start_times_seconds: list[float]
    character_end_times_seconds: list[float]


def read_words(words: Sequence[Mapping[str, Any]]) -> list[WordTiming]:
    """The words of a job's result."""
    return [WordTiming(word["word"], word["start_time"], word["end_time"]) for word in words]


def align_characters(
    text: str, words: Sequence[WordTiming], duration_s: float
) -> CharacterAlignment | None:
    """When each character of a text is heard; None where no times are known.

    Args:
        words: in order; those that the text does not hold are passed over.
        duration_s: of the speech.
    """
    return CharacterAligner(text).rest(words, duration_s) if words else None


class CharacterAligner:
    """Gives the characters of a text their times, part by part."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded, self._owners = _fold(text)
        self._place = 0  # in the folded text
        self._passed = 0  # folded characters of words that were not found since then
        self._next = 0  # first character without a time
        self._time_s = 0.0

    def take(self, words: Sequence[WordTiming]) -> CharacterAlignment | None:
        """The next characters, to the end of these words; None if there are none."""
        spans = self._find(words)
        return self._fill(spans, spans[-1].behind, spans[-1].end_s) if spans else None

    def rest(self, words: Sequence[WordTiming], duration_s: float) -> CharacterAlignment | None:
        """All other characters, with the last words; None if there are none."""
        if self._next == len(self._text):
            return None
        end_s = math.floor(duration_s * 10**_DIGITS) / 10**_DIGITS
        return self._fill(self._find(words), len(self._text), end_s)

    def _find(self, words: Sequence[WordTiming]) -> list[_Span]:
        """The words that are found, in order."""
        spans = []
        for word in words:
            folded, _ = _fold(word.word)
            reach = min(REACH + REACH_PER_CHAR * self._passed, MAX_REACH) + len(folded)
            start = self._folded.find(folded, self._place, self._place + reach) if folded else -1
            if start < 0:
                self._passed += len(folded)
                continue
            self._place, self._passed = start + len(folded), 0
            first, behind = self._owners[start], self._owners[self._place - 1] + 1
            spans.append(_Span(first, behind, word.start_s, word.end_s))
        return spans

    def _fill(self, spans: Sequence[_Span], behind: int, end_s: float) -> CharacterAlignment:
        """The characters up to `behind`, none of which ends after `end_s`."""
        begin = self._next
        times: list[tuple[float, float]] = []
        for span in spans:
            times += self._spread(span.first, min(span.start_s, end_s))
            times += self._spread(span.behind, min(span.end_s, end_s))
        times += self._spread(behind, end_s)
        return CharacterAlignment(
            characters=list(self._text[begin:behind]),
            character_start_times_seconds=[start for start, _ in times],
            character_end_times_seconds=[end for _, end in times],
        )

    def _spread(self, behind: int, end_s: float) -> list[tuple[float, float]]:
        """Equal shares of the time up to `end_s` for the characters up to `behind`."""
        count, begin_s = max(0, behind - self._next), self._time_s
        self._time_s = max(begin_s, end_s)
        self._next += count
        step_s = (self._time_s - begin_s) / max(1, count)
        ends = [round(begin_s + step_s * index, _DIGITS) for index in range(count + 1)]
        return list(pairwise(ends))


@dataclass(frozen=True, slots=True)
class _Span:
    """A word in the text: its first character, the one behind its last, and its times."""

    first: int
    behind: int
    start_s: float
    end_s: float


def _fold(text: str) -> tuple[str, list[int]]:
    """Letters without case, form and spaces; for each, the character that it comes from."""
    folded, owners = [], []
    for index, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if not part.isspace():
                folded.append(part)
                owners.append(index)
    return "".join(folded), owners
