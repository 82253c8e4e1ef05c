"""What is written is what is heard: lines with numbers and signs, spoken and heard by Whisper.

A sixth of the lines, chosen by their hash; F5_TEST_FULL=1 takes all of them, some three minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from f5serve.asr.word_errors import WordErrors, compare
from f5serve.settings import Settings
from f5serve.startup import load
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import SAMPLE_RATE, FloatArray, SpeechRequest, Wave
from f5serve.voices.prepare import default_voice
from tests.conftest import IS_FULL
from tests.hearing import transcribe
from tests.text.test_normalization import lines

pytestmark = pytest.mark.slow

TABLE = Path(__file__).parent / "data" / "heard.tsv"
LINES = 60
SPOKEN = LINES if IS_FULL else LINES // 6
SHARE = 0.95
"""Of the words that have to be heard; Whisper tiny.en errs on human speech as well."""

WINDOW_S = 26.0
PAUSE_S = 0.5


def lines_to_speak() -> list[tuple[str, list[str]]]:
    """The lines to speak, in the order of the table."""
    table = lines(TABLE)
    assert len(table) == LINES
    by_hash = sorted(table, key=lambda line: hashlib.sha256(line[0].encode()).digest())
    return [line for line in table if line in by_hash[:SPOKEN]]


def in_windows(speech: Synthesizer) -> Iterator[tuple[list[list[str]], Wave]]:
    """The lines in a row, as many as Whisper hears in one window, with pauses between them."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    readings: list[list[str]] = []
    parts: list[FloatArray] = []
    for text, accepted in lines_to_speak():
        samples = speech.synthesize(SpeechRequest(text, default_voice())).wave.samples
        if readings and sum(map(len, parts)) + len(samples) > WINDOW_S * SAMPLE_RATE:
            yield readings, Wave(np.concatenate(parts))
            readings, parts = [], []
        readings.append(accepted)
        parts += [samples, pause]
    yield readings, Wave(np.concatenate(parts))


def nearest(readings: list[list[str]], heard: str) -> WordErrors:
    """The fewest errors against one reading of each line."""
    chosen = [accepted[0] for accepted in readings]
    best = compare(" ".join(chosen), heard, "en")
    for index, accepted in enumerate(readings):
        for reading in accepted[1:]:
            trial = [*chosen[:index], reading, *chosen[index + 1 :]]
            found = compare(" ".join(trial), heard, "en")
            if found.errors < best.errors:
                best, chosen = found, trial
    return best


def test_lines_with_numbers_and_signs_are_heard_as_their_words() -> None:
    speech = load(Settings(engine="standin")).synthesizer
    words = errors = 0
    told = []
    for readings, wave in in_windows(speech):
        heard = transcribe(wave)
        found = nearest(readings, heard)
        words, errors = words + found.words, errors + found.errors
        if found.errors:
            told.append((found.errors, [one[0] for one in readings], heard))
    assert words > 6 * SPOKEN
    assert errors <= (1 - SHARE) * words, f"{errors} of {words}: {told}"
