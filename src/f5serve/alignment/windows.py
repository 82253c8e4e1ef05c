"""Alignment of long recordings window by window, in time that grows linearly with the length.

One search over five times the sound takes ten times as long. So the words are searched for in a
window of sound that may end anywhere in the text. Words well inside the window are final; the next
window begins at the longest pause near its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

WINDOW_S = 30.0
"""Sound of one search."""

WHOLE_S = 45.0
"""So much is searched at once, and exactly as if there were no windows."""

UNSURE_S = 4.0
"""Before the end of a window: a word that is cut there draws its neighbours with it."""

WORDS_PER_S = 7
"""More than anybody speaks."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word that was found: seconds from the beginning of what was searched, and its log score."""

    start_s: float
    end_s: float
    score: float


class Search(Protocol):
    """Finds words in a stretch of sound."""

    def __call__(
        self, start_s: float, end_s: float, words: Sequence[str], is_open: bool
    ) -> list[Heard] | None:
        """The words in order, or the first of them where `is_open`; None where that is not so."""
        ...


def align(search: Search, length_s: float, words: Sequence[str]) -> list[Heard] | None:
    """All words in `length_s` of sound; None where they are not all found."""
    if length_s <= WHOLE_S:
        return search(0.0, length_s, words, False)
    found: list[Heard] = []
    begin_s = 0.0
    while length_s - begin_s > WHOLE_S:
        if len(found) == len(words):
            return found
        ahead = words[len(found) :][: int(WINDOW_S * WORDS_PER_S)]
        window = search(begin_s, begin_s + WINDOW_S, ahead, True)
        if window is None:
            return None
        taken, cut_s = _settled(window)
        found += _moved(taken, begin_s)
        begin_s += cut_s
    left = words[len(found) :]
    window = search(begin_s, length_s, left, False) if left else []
    return None if window is None else found + _moved(window, begin_s)


def _settled(window: Sequence[Heard]) -> tuple[list[Heard], float]:
    """The words that no sound behind the window can change, and where the next one begins."""
    sure = [word for word in window if word.end_s <= WINDOW_S - UNSURE_S]
    if len(sure) == len(window):  # silence up to the end, as far as anybody can tell
        last_s = sure[-1].end_s if sure else WINDOW_S - UNSURE_S
        return list(sure), max(last_s, WINDOW_S / 2)
    following = [*sure, window[len(sure)]]
    pauses = [
        (right.start_s - left.end_s, index)
        for index, (left, right) in enumerate(pairwise(following))
        if left.end_s >= WINDOW_S / 2
    ]
    if not pauses:  # nothing was heard in the second half but what is unsure
        return list(sure), max(sure[-1].end_s if sure else 0.0, WINDOW_S / 2)
    _, index = max(pauses)
    left, right = following[index], following[index + 1]
    return following[: index + 1], (left.end_s + right.start_s) / 2


def _moved(words: Sequence[Heard], by_s: float) -> list[Heard]:
    return [Heard(word.start_s + by_s, word.end_s + by_s, word.score) for word in words]
