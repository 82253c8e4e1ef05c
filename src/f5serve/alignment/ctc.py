"""Aligns text of any language by a CTC model of characters.

    text -> spoken words -> tokens of the model -> Viterbi at 50 frames a second -> times

The network is in `encoder`, the tokens in `spelling`. Source of the search: Graves et al. 2006,
"Connectionist Temporal Classification", with max in place of sum.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from f5serve.alignment import windows
from f5serve.alignment.encoder import SAMPLE_RATE, Encoder
from f5serve.alignment.spelling import SpelledWord, Speller
from f5serve.alignment.windows import FoundWord
from f5serve.alignment.words import spoken_form, written_times
from f5serve.audio.edit import resample
from f5serve.process import Check, hold_lock, never_cancelled
from f5serve.types import Alignment, FloatArray, Wave


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Where a token is found: frames `start` to `end`, the last excluded; mean log probability."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class TokenPath:
    """The likeliest path: a span for each token of the text, and the path's log probability."""

    spans: tuple[TokenSpan, ...]
    score: float


def forced_align(
    log_probs: FloatArray, tokens: Sequence[int], blank: int = 0, is_open: bool = False
) -> TokenPath | None:
    """The likeliest of all paths that spell `tokens`.

    Args:
        log_probs: [t v], of each token of the vocabulary in each frame.
        tokens: of the text, without blanks.
        blank: the token that stands for none.
        is_open: whether the path may spell the first of them only.

    Returns:
        None where there are too few frames: one for each token, and one between equal ones.
    """
    if not len(tokens):
        return TokenPath((), float(log_probs[:, blank].sum()))
    states = np.full(2 * len(tokens) + 1, blank)  # blank, token, blank, token, ..., blank
    states[1::2] = tokens
    steps = _steps(np.asarray(log_probs)[:, states], _may_skip(states, blank), is_open)
    if steps is None:
        return None
    backpointers, ending, score = steps
    visited = _backtrace(backpointers, ending)
    return TokenPath(tuple(_spans(visited, log_probs, tokens[: (ending + 1) // 2])), score)


def _may_skip(states: NDArray[np.int64], blank: int) -> NDArray[np.bool_]:
    """States that can be reached past the blank before them: tokens unlike the one before it."""
    may = np.zeros(len(states), dtype=bool)
    may[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    return may


def _steps(
    found: FloatArray, may_skip: NDArray[np.bool_], is_open: bool
) -> tuple[NDArray[np.int8], int, float] | None:
    """How each state was best reached in each frame (staying 0, from the state before 1, skipping
    one 2), the state in which the best path ends, and its score."""
    frames, count = found.shape
    backpointers = np.zeros((frames, count), dtype=np.int8)
    best = np.full(count, -np.inf)
    best[: min(2, count)] = found[0, :2]
    choices = np.full((3, count), -np.inf)
    for frame in range(1, frames):
        choices[0] = best
        choices[1, 1:] = best[:-1]
        choices[2, 2:] = np.where(may_skip[2:], best[:-2], -np.inf)
        backpointers[frame] = choices.argmax(axis=0)
        best = choices.max(axis=0) + found[frame]
    ending = count - 1 if best[-1] >= best[-2] else count - 2
    if is_open:
        ending = int(best.argmax())
    if not np.isfinite(best[ending]):
        return None
    return backpointers, ending, float(best[ending])


def _backtrace(backpointers: NDArray[np.int8], ending: int) -> NDArray[np.int64]:
    """The state of each frame."""
    visited = np.empty(len(backpointers), dtype=np.int64)
    state = ending
    for frame in range(len(backpointers) - 1, -1, -1):
        visited[frame] = state
        state -= int(backpointers[frame, state])
    return visited


def _spans(
    visited: NDArray[np.int64], log_probs: FloatArray, tokens: Sequence[int]
) -> list[TokenSpan]:
    places = 2 * np.arange(len(tokens)) + 1
    starts = np.searchsorted(visited, places, side="left")
    ends = np.searchsorted(visited, places, side="right")
    return [
        TokenSpan(int(start), int(end), float(np.mean(log_probs[start:end, token])))
        for start, end, token in zip(starts, ends, tokens, strict=True)
    ]


LEAST_CONFIDENCE = 0.05
"""Geometric mean of the probabilities of all characters; below it the text is another one."""

LEAST_KNOWN = 0.7
"""Share of a text's letters that the model must have; else it is not of its language."""


class Ctc:
    """Aligns what its model can spell; threads take turns.

    Args:
        encoder: computes log probabilities of tokens.
        least_confidence: see `LEAST_CONFIDENCE`.
    """

    method = "ctc"

    def __init__(self, encoder: Encoder, least_confidence: float = LEAST_CONFIDENCE) -> None:
        self._encoder = encoder
        self._speller = Speller(encoder.vocabulary)
        self._least = least_confidence
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Ctc:
        """The model of a folder; seconds, and 365 MB of weights for omniASR-CTC-300M in int8.

        Raises:
            ModelUnavailable: ALIGNER_MISSING, ALIGNER_UNSUITED or ALIGNER_FAILED.
            ImportError: onnxruntime is not installed.
        """
        return cls(Encoder(folder, threads))

    def supports(self, language: str) -> bool:
        """Every language; a text that it cannot spell is not found."""
        return True

    def align(
        self,
        wave: Wave,
        text: str,
        language: str,
        check: Check | None = None,
    ) -> Alignment:
        """See `types.Aligner`."""
        check = check or never_cancelled
        form = spoken_form(text, language)
        spelled = self._speller.spell(form.spoken)
        known = sum(word.known for word in spelled)
        if not known or known < LEAST_KNOWN * sum(word.letters for word in spelled):
            return Alignment()
        found = self._find(wave, spelled, check)
        if not found:
            return Alignment()
        count = sum(len(word.tokens) for word in spelled)
        scores = (f.score * len(w.tokens) for f, w in zip(found, spelled, strict=True))
        confidence = math.exp(sum(scores) / count)
        if confidence < self._least:
            return Alignment()
        times = [
            (word.start_s, word.end_s, math.exp(word.score) if spelling.tokens else 0.0)
            for word, spelling in zip(found, spelled, strict=True)
        ]
        return Alignment(written_times(form, times), self.method, confidence)

    def _find(
        self, wave: Wave, spelled: Sequence[SpelledWord], check: Check
    ) -> list[FoundWord] | None:
        samples = resample(Wave(wave.samples, wave.sample_rate), SAMPLE_RATE).samples
        used = {token for word in spelled for token in (*word.tokens, word.boundary)}
        tokens = sorted({self._encoder.blank, *(token for token in used if token is not None)})
        columns = {token: column for column, token in enumerate(tokens)}
        with hold_lock(self._lock, check):
            log_probs = self._encoder.log_probs(samples, tokens, check)
        frames_per_s = SAMPLE_RATE / self._encoder.hop
        blank = columns[self._encoder.blank]

        def search(
            start_s: float, end_s: float, words: Sequence[SpelledWord], is_open: bool
        ) -> list[FoundWord] | None:
            check()
            frames = slice(round(start_s * frames_per_s), round(end_s * frames_per_s))
            return self._search(log_probs[frames], words, blank, is_open)

        words = [word.renumbered(columns) for word in spelled]
        length_s = len(log_probs) / frames_per_s
        return windows.align(search, length_s, words) if length_s else None

    def _search(
        self, log_probs: FloatArray, words: Sequence[SpelledWord], blank: int, is_open: bool
    ) -> list[FoundWord] | None:
        """See `windows.Search`; a word without tokens lies between its neighbours."""
        tokens, word_of_token = _concatenated(words)
        path = forced_align(log_probs, tokens, blank, is_open)
        if path is None:
            return None
        spans: list[list[TokenSpan]] = [[] for _ in words]
        for index, span in zip(word_of_token, path.spans, strict=False):  # an open path has fewer
            if index is not None:
                spans[index].append(span)
        if is_open:
            pairs = zip(spans, words, strict=True)
            whole = [len(group) == len(word.tokens) for group, word in pairs]
            count = whole.index(False) if False in whole else len(whole)
            # Those without tokens that follow the last one found belong to the next window.
            while count and not words[count - 1].tokens:
                count -= 1
            spans = spans[:count]
        return self._found_words(spans, len(log_probs))

    def _found_words(self, spans: Sequence[Sequence[TokenSpan]], frames: int) -> list[FoundWord]:
        frame_s = self._encoder.hop / SAMPLE_RATE
        found: list[FoundWord] = []
        for index, group in enumerate(spans):
            if group:
                score = sum(span.score for span in group) / len(group)
                found.append(FoundWord(group[0].start * frame_s, group[-1].end * frame_s, score))
                continue
            start_s = found[-1].end_s if found else 0.0
            after = next((g[0].start for g in spans[index + 1 :] if g), frames)
            found.append(FoundWord(start_s, max(start_s, after * frame_s), 0.0))
        return found


def _concatenated(words: Sequence[SpelledWord]) -> tuple[list[int], list[int | None]]:
    """All tokens, with boundaries between words, and the word of each."""
    tokens: list[int] = []
    word_of_token: list[int | None] = []
    for index, word in enumerate(words):
        if word.tokens and tokens and word.boundary is not None:
            tokens.append(word.boundary)
            word_of_token.append(None)
        tokens += word.tokens
        word_of_token += [index] * len(word.tokens)
    return tokens, word_of_token
