"""The bench of transcripts: joined cases, and a short run of the whole."""

from __future__ import annotations

import numpy as np
import pytest

import alignment
import transcription
from f5serve.types import Wave


def test_joined_cases_keep_their_times_behind_one_another() -> None:
    wave = Wave(np.zeros(48_000, np.float32))
    case = alignment.Case("a b", wave, ((0.0, 0.5), (1.0, 1.5)))
    joined = transcription.joined([case, case])
    assert joined.text == "a b a b"
    assert joined.truth == ((0.0, 0.5), (1.0, 1.5), (2.5, 3.0), (3.5, 4.0))
    assert joined.wave.duration_s == 5.0


@pytest.mark.slow
def test_a_short_run_meets_the_targets() -> None:
    result = transcription.run(3, "tiny.en")
    assert set(result["rows"]) == {
        *("aligned, each", "aligned, joined", "recognised, each", "recognised, joined")
    }
    aligned, recognised = (result["rows"][f"{name}, each"] for name in ("aligned", "recognised"))
    assert aligned["start_ms"] < recognised["start_ms"]
    assert aligned["words"] > aligned["missed"]
    assert aligned["wer"] < 0.2
