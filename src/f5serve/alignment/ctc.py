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

from f5serve.alignment import stretches
from f5serve.alignment.stretches import Heard
from f5serve.alignment.viterbi import TokenSpan, best_path
from f5serve.alignment.words import Reading, read, written_times
from f5serve.audio.edit import resample
from f5serve.types import Alignment, FloatArray, Wave
from f5serve.waits import Check, wanted

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
        from f5serve.alignment.encoder import Encoder

        return cls(Encoder(folder, device))

    def understands(self, language: str) -> bool:
        """Every language; a text that it cannot spell is not found."""
        return True

    def align(
        self,
        waves: Sequence[Wave],
        texts: Sequence[str],
        language: str,
        check: Check | None = None,
    ) -> list[Alignment]:
        """Each text in its wave, all waves heard together; see `types.Aligner`."""
        plain = (resample(Wave(wave.samples, wave.sample_rate), SAMPLE_RATE) for wave in waves)
        samples = [wave.samples for wave in plain]
        with self._lock:
            heard = self._hearer.hear(samples)
        return [
            self._align(log_probs, read(text, language), check or wanted)
            for log_probs, text in zip(heard, texts, strict=True)
        ]

    def _align(self, log_probs: FloatArray, reading: Reading, check: Check) -> Alignment:
        spelled = [spell(word, self._hearer.vocabulary) for word in reading.spoken]
        known, wanted = sum(map(len, spelled)), sum(map(len, reading.spoken))
        if not known or known < LEAST_KNOWN * wanted or not len(log_probs):
            return Alignment()
        frames_per_s = SAMPLE_RATE / self._hearer.hop

        def search(
            start_s: float, end_s: float, words: Sequence[str], is_open: bool
        ) -> list[Heard] | None:
            check()
            frames = slice(round(start_s * frames_per_s), round(end_s * frames_per_s))
            return self._search(log_probs[frames], words, is_open)

        heard = stretches.align(search, len(log_probs) / frames_per_s, reading.spoken)
        if not heard:
            return Alignment()
        scores = zip((word.score for word in heard), map(len, spelled), strict=True)
        confidence = math.exp(sum(score * length for score, length in scores) / known)
        if confidence < self._least:
            return Alignment()
        times = [
            (word.start_s, word.end_s, math.exp(word.score) if tokens else 0.0)
            for word, tokens in zip(heard, spelled, strict=True)
        ]
        return Alignment(written_times(reading, times), self.method, confidence)

    def _search(
        self, log_probs: FloatArray, words: Sequence[str], is_open: bool
    ) -> list[Heard] | None:
        """See `stretches.Search`; a word without characters lies between its neighbours."""
        spelled = [spell(word, self._hearer.vocabulary) for word in words]
        tokens, owners = self._tokens(spelled)
        path = best_path(log_probs, tokens, self._hearer.blank, is_open)
        if path is None:
            return None
        spans: list[list[TokenSpan]] = [[] for _ in spelled]
        for owner, span in zip(owners, path.spans, strict=False):  # an open path has fewer
            if owner is not None:
                spans[owner].append(span)
        if is_open:
            whole = [len(group) == len(word) for group, word in zip(spans, spelled, strict=True)]
            count = whole.index(False) if False in whole else len(whole)
            # Those without characters that follow the last one heard belong to the next window.
            while count and not spelled[count - 1]:
                count -= 1
            spans = spans[:count]
        return self._heard(spans, len(log_probs))

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

    def _heard(self, spans: Sequence[Sequence[TokenSpan]], frames: int) -> list[Heard]:
        frame_s = self._hearer.hop / SAMPLE_RATE
        heard: list[Heard] = []
        for index, group in enumerate(spans):
            if group:
                score = sum(span.score for span in group) / len(group)
                heard.append(Heard(group[0].start * frame_s, group[-1].end * frame_s, score))
                continue
            start_s = heard[-1].end_s if heard else 0.0
            after = next((g[0].start for g in spans[index + 1 :] if g), frames)
            heard.append(Heard(start_s, max(start_s, after * frame_s), 0.0))
        return heard


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
