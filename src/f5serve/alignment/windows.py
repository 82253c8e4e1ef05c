"""Aligns long recordings window by window, in time that grows linearly with their length.

One search over five times the sound takes ten times as long. So the words are searched for in a
window of sound that may end anywhere in the text. Words well inside the window are final; the next
window begins at the longest pause near its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

WINDOW_S = 30.0
"""Sound of one search."""

WHOLE_S = 45.0
"""A recording up to this long is searched at once."""

UNCERTAIN_S = 4.0
"""Before the end of a window, where a word that is cut moves its neighbours."""

WORDS_PER_S = 7
"""More than any person speaks."""


@dataclass(frozen=True, slots=True)
class FoundWord:
    """A word that was found: seconds from the beginning of what was searched, and its log score."""

    start_s: float
    end_s: float
    score: float


Word = TypeVar("Word")

Search = Callable[[float, float, Sequence[Word], bool], list[FoundWord] | None]
"""Start and end of some sound in seconds, words, is_open -> all words in order, or the first of
them where `is_open`; None if they are not found."""


def align(search: Search[Word], length_s: float, words: Sequence[Word]) -> list[FoundWord] | None:
    """All words in `length_s` of sound; None where they are not all found."""
    if length_s <= WHOLE_S:
        return search(0.0, length_s, words, False)
    found: list[FoundWord] = []
    begin_s = 0.0
    while length_s - begin_s > WHOLE_S:
        if len(found) == len(words):
            return found
        ahead = words[len(found) :][: int(WINDOW_S * WORDS_PER_S)]
        window = search(begin_s, begin_s + WINDOW_S, ahead, True)
        if window is None:
            return None
        taken, cut_s = _certain_words(window)
        found += _shifted(taken, begin_s)
        begin_s += cut_s
    left = words[len(found) :]
    window = search(begin_s, length_s, left, False) if left else []
    return None if window is None else found + _shifted(window, begin_s)


def _certain_words(window: Sequence[FoundWord]) -> tuple[list[FoundWord], float]:
    """The words that no sound behind the window can change, and where the next window begins."""
    certain = [word for word in window if word.end_s <= WINDOW_S - UNCERTAIN_S]
    if len(certain) == len(window):  # silence up to the end
        last_s = certain[-1].end_s if certain else WINDOW_S - UNCERTAIN_S
        return list(certain), max(last_s, WINDOW_S / 2)
    following = [*certain, window[len(certain)]]
    pauses = [
        (right.start_s - left.end_s, index)
        for index, (left, right) in enumerate(pairwise(following))
        if left.end_s >= WINDOW_S / 2
    ]
    if not pauses:  # nothing certain in the second half
        return list(certain), max(certain[-1].end_s if certain else 0.0, WINDOW_S / 2)
    _, index = max(pauses)
    left, right = following[index], following[index + 1]
    return following[: index + 1], (left.end_s + right.start_s) / 2


def _shifted(words: Sequence[FoundWord], by_s: float) -> list[FoundWord]:
    return [FoundWord(word.start_s + by_s, word.end_s + by_s, word.score) for word in words]
