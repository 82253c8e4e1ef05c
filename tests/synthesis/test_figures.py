"""Figures of sounds that are known."""

from __future__ import annotations

import numpy as np
import pytest

from f5serve.asr_types import WordErrors
from f5serve.synthesis.figures import SpeechFigures, combine, measure
from f5serve.types import SAMPLE_RATE, Wave

TEXT = "Four score and seven."


def tone(seconds: float, amplitude: float) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)


def test_figures_of_two_tones() -> None:
    wave = Wave(np.concatenate([tone(0.3, 0), tone(1, 0.5), tone(0.4, 0), tone(1, 0.5)]))
    found = measure(wave, TEXT, 1.35, WordErrors(4, 1)).as_dict()
    assert found == {
        "duration": 2.7,
        "chars_per_second": 6.67,
        "words_per_minute": 88.9,
        "inference_s": 1.35,
        "rtf": 0.5,
        "wer": 0.25,
        "peak_dbfs": -6.02,
        "clipped_samples": 0,
        "rms_dbfs": pytest.approx(-6.02 - 3.01 - 1.30, abs=0.02),  # 2 of 2.7 s have sound
        "longest_pause": pytest.approx(0.4, abs=0.011),  # not the 0.3 s before the first sound
    }


def test_clipping_and_no_pause_and_no_recogniser() -> None:
    samples = tone(1, 0.5)
    samples[100:110], samples[200:205] = 1.0, -1.0
    found = measure(Wave(samples), TEXT, 0.1)
    assert found.clipped == 15
    assert (found.peak, found.pause_s, found.as_dict()["wer"]) == (1.0, 0.0, None)


@pytest.mark.parametrize("samples", [0, 4800])
def test_silence(samples: int) -> None:
    found = measure(Wave(np.zeros(samples, np.float32)), TEXT, 0.1).as_dict()
    assert (found["peak_dbfs"], found["rms_dbfs"], found["longest_pause"]) == (-120, -120, 0)


def test_several_are_measured_as_one() -> None:
    left = measure(Wave(tone(1, 0.5)), "One two.", 0.5, WordErrors(2, 1))
    right = measure(Wave(tone(3, 0.1)), "Three.", 1.5, WordErrors(8, 0))
    both = combine([left, right])
    assert both.as_dict() == {
        **measure(
            Wave(np.concatenate([tone(1, 0.5), tone(3, 0.1)])), "One two. Three.", 2
        ).as_dict(),
        "wer": 0.1,
    }
    without: SpeechFigures = measure(Wave(tone(1, 0.5)), "Four.", 0.5)
    assert combine([left, without]).errors is None
