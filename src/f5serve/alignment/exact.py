"""Times that the speaker itself has told: the marks of a wave, given to the words as written.

Waves with marks and their texts flow in, alignments flow out. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from f5serve.alignment.words import Reading, assign, split_words, written_times
from f5serve.types import Alignment, Wave


class Exact:
    """Knows every language, and only waves with marks."""

    method = "exact"

    def understands(self, language: str) -> bool:
        """Marks tell places in the text, whatever its language."""
        return True

    def align(
        self,
        waves: Sequence[Wave],
        texts: Sequence[str],
        language: str,
        check: Callable[[], None] | None = None,
    ) -> list[Alignment]:
        """The words of each wave that has marks."""
        return [_aligned(wave, text) for wave, text in zip(waves, texts, strict=True)]


def _aligned(wave: Wave, text: str) -> Alignment:
    if not wave.marks:
        return Alignment()
    marks = wave.marks
    words, owners = assign(split_words(text), [(mark.start, mark.end) for mark in marks])
    times = [(mark.start_s, mark.end_s, 1.0) for mark in marks]
    timings = written_times(Reading(words, ("",) * len(marks), owners), times)
    return Alignment(timings, Exact.method, 1.0)
