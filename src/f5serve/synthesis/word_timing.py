"""Word timing: aligns finished utterances while later ones are synthesized."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise

from f5serve.alignment.aligners import Aligners
from f5serve.errors import ModelUnavailable
from f5serve.process import Check, wait_all
from f5serve.types import Alignment, Utterance, Wave, WordTiming

MOST_WAITING = 32
"""Utterances whose words are not timed yet: some minutes of speech."""


@dataclass(frozen=True, slots=True)
class TimingResult:
    """Times, what is to be said about them, and how long the request had to wait for them."""

    alignment: Alignment
    warnings: tuple[str, ...] = ()
    waited_s: float = 0.0


class WordTimingCollector:
    """Times the utterances of one request.

    Args:
        language: of the voice.
    """

    def __init__(self, aligners: Aligners, utterances: Sequence[Utterance], language: str) -> None:
        self._aligners = aligners
        self._utterances = utterances
        self._language = language
        self._begun: dict[int, Future[Alignment]] = {}

    def add(self, index: int, wave: Wave, check: Check | None = None) -> None:
        """Begin with an utterance that is finished; waits where too much sound is not timed yet."""
        waiting = [begun for begun in self._begun.values() if not begun.done()]
        if len(waiting) >= MOST_WAITING:  # each holds its sound
            wait_all(waiting[: -MOST_WAITING + 1], check)
        text = self._utterances[index].text
        self._begun[index] = self._aligners.submit(wave, text, self._language)

    def result(self, starts_s: Sequence[float], check: Check | None = None) -> TimingResult:
        """Wait for all, and put them where their utterances begin.

        Args:
            check: called ten times a second; what it raises comes out.
        """
        began = time.perf_counter()
        wait_all(self._begun.values(), check)
        waited_s = time.perf_counter() - began
        found = [_found(self._begun[index]) for index in range(len(self._utterances))]
        return TimingResult(concatenate(found, starts_s), self._warnings(found), waited_s)

    def end(self) -> None:
        """Have nothing begun any more, for nobody will ask for the result."""
        for future in self._begun.values():
            future.cancel()

    def _warnings(self, found: Sequence[Alignment]) -> tuple[str, ...]:
        missing = [index for index, alignment in enumerate(found) if not alignment.words]
        texts = [self._utterances[index].text for index in missing]
        missing_texts = [text for text in texts if any(map(str.isalnum, text))]
        if not missing_texts:
            return ()
        reason = self._aligners.why_not(missing_texts[0], self._language)
        if len(missing) == len(found):
            return (f"There are no word timings. {reason}",)
        which = f"{len(missing_texts)} of {len(found)} utterances"
        return (f"The words of {which} have no timings. {reason}",)


def _found(begun: Future[Alignment]) -> Alignment:
    try:
        return begun.result()
    except ModelUnavailable:  # told in the log; speech without times is better than none
        return Alignment()


def concatenate(found: Sequence[Alignment], starts_s: Sequence[float]) -> Alignment:
    """Alignments of utterances that follow one another, as one; no word begins before the last."""
    words: list[WordTiming] = []
    for alignment, start_s in zip(found, starts_s, strict=True):
        words += [
            replace(w, start_s=w.start_s + start_s, end_s=w.end_s + start_s)
            for w in alignment.words
        ]
    # Where two utterances fade into one another, the first one's end is hardly heard.
    cut = [replace(left, end_s=min(left.end_s, max(right.start_s, left.start_s)))
           for left, right in pairwise(words)]  # fmt: skip
    methods = list(dict.fromkeys(alignment.method for alignment in found if alignment.method))
    if not words:
        return Alignment()
    sure = [alignment.confidence for alignment in found]
    return Alignment((*cut, words[-1]), "+".join(methods), sum(sure) / len(sure))
