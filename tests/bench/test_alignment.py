"""The bench of word times: its cases, its arithmetic, and a short run of the whole."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import alignment
from f5serve.text.language import language_of
from f5serve.types import Alignment, Wave, WordTiming


class Late:
    """Tells every word 30 ms late, and none of the second case."""

    method = "late"

    def supports(self, language: str) -> bool:
        return True

    def align(self, wave: Wave, text: str, language: str) -> Alignment:
        if text == "no":
            return Alignment()
        words = tuple(
            WordTiming(word, i + 0.03, i + 0.53, 1.0) for i, word in enumerate(text.split())
        )
        return Alignment(words, self.method, 1.0)


def test_errors_are_those_of_the_aligner() -> None:
    wave = Wave(np.zeros(48_000, np.float32))
    cases = [
        alignment.Case("a b", wave, ((0.0, 0.5), (1.0, 1.5))),
        alignment.Case("no", wave, ((0.0, 0.5),)),
    ]
    row = alignment.measure(Late(), cases)
    assert (row["start_ms"], row["end_ms"], row["bias_ms"]) == (30.0, 30.0, [30.0, 30.0])
    assert (row["words"], row["failed"], row["within_50"]) == (3, 1, 1.0)


def test_odd_sentences_are_odd_and_always_the_same() -> None:
    told = alignment.odd_sentences(200)
    assert told == alignment.odd_sentences(200)
    assert len(set(told)) > 150
    assert all(language_of(text) == "en" for text in told)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_a_quick_run_meets_the_targets() -> None:
    for cases in (list(alignment.joined(4)), list(alignment.flite(4))):
        row = alignment.measure(alignment.Sphinx(), cases)
        assert row["failed"] == 0
        assert row["end_ms"] < 30
        assert row["start_ms"] < 45
        assert row["rtf"] < 0.2
