"""Words of any language in speech, by a CTC model that hears characters.

    text -> spoken words -> characters of the model -> Viterbi at 50 frames a second -> times

Waves and texts flow in, alignments flow out. The model's own workings are in `encoder`, the search
in `viterbi`.
"""

from __future__ import annotations

import math
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from f5serve.audio.edit import resample
from f5serve.timings.viterbi import TokenSpan, best_path
from f5serve.timings.words import Reading, Times, read, written_times
from f5serve.types import Alignment, FloatArray, Wave

SAMPLE_RATE = 16_000

LEAST_CONFIDENCE = 0.05
"""Geometric mean of the probabilities of all characters; below it the text is another one."""

LEAST_KNOWN = 0.7
"""Share of a text's characters that the model must have; else it is not of its language."""

DELIMITERS = ("|", " ", "▁")


class Hearer(Protocol):
    """What `encoder.Encoder` is; tests have a smaller one."""

    vocabulary: dict[str, int]
    blank: int

    @property
    def hop(self) -> int: ...
    def hear(self, waves: Sequence[FloatArray]) -> list[FloatArray]: ...


class Ctc:
    """Aligns what its model can spell; threads take turns.

    Args:
        hearer: hears characters.
        least_confidence: see `LEAST_CONFIDENCE`.
    """

    method = "ctc"

    def __init__(self, hearer: Hearer, least_confidence: float = LEAST_CONFIDENCE) -> None:
        self._hearer = hearer
        self._least = least_confidence
        self._lock = threading.Lock()
        vocabulary = hearer.vocabulary
        self._delimiter = next((vocabulary[d] for d in DELIMITERS if d in vocabulary), None)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Ctc:
        """The model of a folder; seconds, and 1.3 GB for omniASR-CTC-300M.

        Raises:
            ModelUnavailable: ALIGNER_MISSING or ALIGNER_UNSUITED.
            ImportError: torch is not installed.
        """
        from f5serve.timings.encoder import Encoder

        return cls(Encoder(folder, device))

    def understands(self, language: str) -> bool:
        """Every language; a text that it cannot spell is not found."""
        return True

    def align(self, waves: Sequence[Wave], texts: Sequence[str], language: str) -> list[Alignment]:
        """Each text in its wave, all waves heard together; see `types.Aligner`."""
        plain = (resample(Wave(wave.samples, wave.sample_rate), SAMPLE_RATE) for wave in waves)
        samples = [wave.samples for wave in plain]
        with self._lock:
            heard = self._hearer.hear(samples)
        return [
            self._align(log_probs, read(text, language))
            for log_probs, text in zip(heard, texts, strict=True)
        ]

    def _align(self, log_probs: FloatArray, reading: Reading) -> Alignment:
        spelled = [spell(word, self._hearer.vocabulary) for word in reading.spoken]
        known, wanted = sum(map(len, spelled)), sum(map(len, reading.spoken))
        if not known or known < LEAST_KNOWN * wanted or not len(log_probs):
            return Alignment()
        tokens, owners = self._tokens(spelled)
        path = best_path(log_probs, tokens, self._hearer.blank)
        if path is None:
            return Alignment()
        spans: list[list[TokenSpan]] = [[] for _ in spelled]
        for owner, span in zip(owners, path.spans, strict=True):
            if owner is not None:
                spans[owner].append(span)
        confidence = _confidence([span for group in spans for span in group])
        if confidence < self._least:
            return Alignment()
        times = self._times(spans, len(log_probs))
        return Alignment(written_times(reading, times), self.method, confidence)

    def _tokens(self, spelled: Sequence[Sequence[int]]) -> tuple[list[int], list[int | None]]:
        """All tokens, with delimiters where the model has one, and the word of each."""
        tokens: list[int] = []
        owners: list[int | None] = []
        for index, word in enumerate(spelled):
            if word and tokens and self._delimiter is not None:
                tokens.append(self._delimiter)
                owners.append(None)
            tokens += word
            owners += [index] * len(word)
        return tokens, owners

    def _times(self, spans: Sequence[Sequence[TokenSpan]], frames: int) -> list[Times]:
        """Seconds of each word; one without characters lies between its neighbours."""
        frame_s = self._hearer.hop / SAMPLE_RATE
        times: list[Times] = []
        for index, group in enumerate(spans):
            if group:
                start, end = group[0].start, group[-1].end
                times.append((start * frame_s, end * frame_s, _confidence(group)))
                continue
            start_s = times[-1][1] if times else 0.0
            after = next((g[0].start for g in spans[index + 1 :] if g), frames)
            times.append((start_s, max(start_s, after * frame_s), 0.0))
        return times


def spell(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The word's characters as the model knows them; what it does not know is left out."""
    tokens = []
    for character in unicodedata.normalize("NFKC", word):
        plain = unicodedata.normalize("NFD", character)[0]
        for form in (character, character.lower(), character.upper(), plain.lower(), plain.upper()):
            if form in vocabulary:
                tokens.append(vocabulary[form])
                break
    return tokens


def _confidence(spans: Sequence[TokenSpan]) -> float:
    return math.exp(sum(span.score for span in spans) / len(spans)) if spans else 0.0
