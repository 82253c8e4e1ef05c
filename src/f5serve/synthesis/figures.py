"""Figures of speech, to compare models and settings by: pace, time, word errors, levels, pauses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from f5serve.asr.word_errors import written_words
from f5serve.asr_types import WordErrors
from f5serve.audio.edit import pauses, rms, speech_threshold_db, trim_edges
from f5serve.audio.loudness import LOWEST_DB
from f5serve.types import Wave, samples_to_s

_SHORTEST_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class SpeechFigures:
    """What was measured of one stretch of speech, or of several.

    Attributes:
        speech_s: length of the speech, seconds.
        inference_s: seconds of computing.
        characters, words: of the text as it was written, spaces not counted; in scripts without
            spaces a word is a character.
        peak: highest sample, 0..1 and beyond.
        clipped: samples at full scale or beyond it.
        power: mean square of the samples.
        pause_s: longest silence between two sounds, seconds.
        errors: between the text and what the recogniser understood; None if it was not asked, or
            does not know the language.
    """

    speech_s: float
    inference_s: float
    characters: int
    words: int
    peak: float
    clipped: int
    power: float
    pause_s: float
    errors: WordErrors | None = None

    def as_dict(self) -> dict[str, float | None]:
        """The figures for answers and pages; those that are not known are None."""
        seconds = self.speech_s or math.inf
        return {
            "duration": round(self.speech_s, 3),
            "chars_per_second": round(self.characters / seconds, 2),
            "words_per_minute": round(60 * self.words / seconds, 1),
            "inference_s": round(self.inference_s, 4),
            "rtf": round(self.inference_s / seconds, 4),
            "wer": round(self.errors.rate, 4) if self.errors else None,
            "peak_dbfs": round(_power_db(self.peak**2), 2),
            "clipped_samples": self.clipped,
            "rms_dbfs": round(_power_db(self.power), 2),
            "longest_pause": round(self.pause_s, 3),
        }


def measure(
    wave: Wave, text: str, inference_s: float, errors: WordErrors | None = None
) -> SpeechFigures:
    """The figures of speech; arguments as the attributes, `text` as it was written."""
    return SpeechFigures(
        speech_s=wave.duration_s,
        inference_s=inference_s,
        characters=len("".join(text.split())),
        words=len(written_words(text)),
        peak=float(np.max(np.abs(wave.samples), initial=0.0)),
        clipped=int(np.count_nonzero(np.abs(wave.samples) >= 1.0)),
        power=rms(wave) ** 2,
        pause_s=longest_pause_s(wave),
        errors=errors,
    )


def longest_pause_s(wave: Wave) -> float:
    """The longest silence between two sounds, seconds; 0 if there is none."""
    inner = trim_edges(wave, keep_s=0.0)
    found = pauses(inner, speech_threshold_db(wave), _SHORTEST_PAUSE_S)
    longest = max((end - start for start, end in found), default=0)
    return samples_to_s(longest, wave.sample_rate)


def combine(parts: Sequence[SpeechFigures]) -> SpeechFigures:
    """The figures of several stretches as if they were one; at least one."""
    seconds = sum(part.speech_s for part in parts)
    errors = [part.errors for part in parts if part.errors is not None]
    is_known = len(errors) == len(parts)
    return SpeechFigures(
        speech_s=seconds,
        inference_s=sum(part.inference_s for part in parts),
        characters=sum(part.characters for part in parts),
        words=sum(part.words for part in parts),
        peak=max(part.peak for part in parts),
        clipped=sum(part.clipped for part in parts),
        power=sum(part.power * part.speech_s for part in parts) / (seconds or math.inf),
        pause_s=max(part.pause_s for part in parts),
        errors=WordErrors(sum(e.words for e in errors), sum(e.errors for e in errors))
        if is_known
        else None,
    )


def _power_db(power: float) -> float:
    return max(LOWEST_DB, 10 * math.log10(max(power, 1e-15)))
