"""Word errors between a text and speech, and the times of a text's words in speech.

text -> comparable words;  two texts -> WordErrors;  text + Transcript -> [WordTiming]
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from f5serve.asr_types import Recogniser, Transcript, WordErrors
from f5serve.text.mapped_text import MappedText, Span
from f5serve.text.normalization.english import normalize_english
from f5serve.types import Wave, WordTiming

MAX_WORDS = 1_000
"""The work grows with the square of the words; an utterance or a reference has a tenth of it."""

# Scripts without spaces between words are compared by character.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_WORD = re.compile(r"\S+")
_APOSTROPHES = "'\u2019\u02bc"
_CONTRACTIONS = [
    (re.compile(pattern, re.IGNORECASE), full)
    for pattern, full in (
        (r"\bcan['’]t\b", "can not"),
        (r"\bwon['’]t\b", "will not"),
        (r"(?<=[a-z])n['’]t\b", " not"),
        (r"(?<=[a-z])['’]re\b", " are"),
        (r"(?<=[a-z])['’]ve\b", " have"),
        (r"(?<=[a-z])['’]ll\b", " will"),
        (r"\bI['’]m\b", "I am"),
    )
]
_ENGLISH = (
    "the and that with you this they from your what she would which his there then how their who "
    "them him its our could should about into were"
)
"""Frequent words that hardly any other language writes."""

_ENGLISH_SHARE = 0.04


def comparable_words(text: str, language: str = "") -> list[str]:
    """Words in one case, without accents and punctuation, and in English without digits.

    "Don't pay $3!" -> do not pay three dollars. Chinese, Japanese and Thai come character by
    character.
    """
    return [word for word, _ in mapped_words(text, language)]


def mapped_words(text: str, language: str = "") -> list[tuple[str, Span]]:
    """As `comparable_words`, each with the span of `text` that it stands for."""
    spelled = normalize_english(text) if language == "en" else MappedText.of(text)
    if language == "en":
        for pattern, full in _CONTRACTIONS:
            spelled = spelled.sub(pattern, full)
    plain = spelled.map_chars(_plain).sub(_UNSPACED, r" \1 ")
    return list(plain.find(_WORD))


def written_words(text: str) -> list[tuple[str, Span]]:
    """What is written between spaces; in scripts without spaces, each character."""
    return list(MappedText.of(text).sub(_UNSPACED, r" \1 ").find(_WORD))


def _plain(character: str) -> str:
    """What is compared of a character: "É" -> e, "'" -> nothing, "-" -> a space."""
    if character in _APOSTROPHES:
        return ""
    kinds = [(c, unicodedata.category(c)) for c in unicodedata.normalize("NFKD", character)]
    kept = "".join(c if kind[0] in "LNM" else " " for c, kind in kinds if kind != "Mn")
    return kept.casefold()


def compare(expected: str, found: str, language: str = "") -> WordErrors:
    """The word errors of `found` against `expected`; "seashells" and "sea shells" are equal."""
    left = comparable_words(expected, language)[:MAX_WORDS]
    right = comparable_words(found, language)[:MAX_WORDS]
    edits = align_words(left, right)
    differing = []
    for is_wrong, run in groupby(edits, key=lambda edit: edit.cost > 0):
        if is_wrong:
            wrong = list(run)
            left_end, right_end = wrong[-1].expected.stop, wrong[-1].found.stop
            differing.append(
                (
                    " ".join(left[wrong[0].expected.start : left_end]),
                    " ".join(right[wrong[0].found.start : right_end]),
                )
            )
    errors = sum(edit.cost for edit in edits)
    return WordErrors(len(left), errors, tuple(differing))


@dataclass(frozen=True, slots=True)
class Edit:
    """Words that stand for one another: places in both texts; at most two of either, or none."""

    expected: range
    found: range
    cost: int


def align_words(expected: Sequence[str], found: Sequence[str]) -> list[Edit]:
    """The cheapest edits from one sequence of words to the other, in order.

    Levenshtein's distance, in which two words equal the one that they are joined. rapidfuzz has no
    such rule: with joins made before or after it, up to 8 texts of 100 got more errors.
    """
    costs = _costs(expected, found)
    back: list[Edit] = []
    i, j = len(expected), len(found)
    while i or j:
        for left, right, cost in _last_edits(expected, found, i, j):
            if costs[i, j] == costs[i - left, j - right] + cost:
                break
        back.append(Edit(range(i - left, i), range(j - right, j), cost))
        i, j = i - left, j - right
    return back[::-1]


def _costs(expected: Sequence[str], found: Sequence[str]) -> npt.NDArray[np.int32]:
    """costs[i, j]: edits from the first i words to the first j.

    Row by row in numpy, 1,000 words in some 20 ms: each row is the cheapest way from the one above,
    or from the place before it, which `accumulate` carries along.
    """
    known = {word: number for number, word in enumerate(dict.fromkeys((*expected, *found)))}
    others = np.array([known[word] for word in found], np.int32)
    # Two words in one: pairs[j] ends with word j + 1 of what was found.
    pairs = np.array([known.get(a + b, -1) for a, b in pairwise(found)], np.int32)
    places = np.arange(len(found) + 1, dtype=np.int32)
    costs = np.empty((len(expected) + 1, len(found) + 1), np.int32)
    costs[0] = places
    for i, word in enumerate(expected, 1):
        row, above, number = costs[i], costs[i - 1], known[word]
        row[0] = i
        np.minimum(above[:-1] + (others != number), above[1:] + 1, out=row[1:])
        joined = known.get(expected[i - 2] + word) if i > 1 else None
        if joined is not None:
            at = np.flatnonzero(others == joined)
            row[at + 1] = np.minimum(row[at + 1], costs[i - 2, at])
        at = np.flatnonzero(pairs == number)
        row[at + 2] = np.minimum(row[at + 2], above[at])
        row[:] = np.minimum.accumulate(row - places) + places
    return costs


def _last_edits(
    expected: Sequence[str], found: Sequence[str], i: int, j: int
) -> Iterator[tuple[int, int, int]]:
    """Edits that end behind the first i and j words, as (words expected, words found, cost)."""
    if i and j:
        yield 1, 1, int(expected[i - 1] != found[j - 1])
    if i > 1 and j and expected[i - 2] + expected[i - 1] == found[j - 1]:
        yield 2, 1, 0
    if i and j > 1 and expected[i - 1] == found[j - 2] + found[j - 1]:
        yield 1, 2, 0
    if i:
        yield 1, 0, 1
    if j:
        yield 0, 1, 1


def is_probably_english(text: str) -> bool:
    """Whether a text of unknown language is English beyond doubt; False where it is not sure."""
    found, frequent = comparable_words(text), _ENGLISH.split()
    if not found or not all(word.isascii() for word in found):
        return False
    return sum(word in frequent for word in found) / len(found) >= _ENGLISH_SHARE


class SpeechChecker:
    """Compares speech with the text that it should be; for many threads.

    Args:
        recogniser: transcribes the speech.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser

    @property
    def model(self) -> str:
        """Name of the recogniser's model."""
        return self.recogniser.model

    def language_for(self, text: str, language: str = "") -> str | None:
        """The language to transcribe speech of `text` in, "" to detect it; None: not supported.

        Without a language, a recogniser of English alone is used for texts that are English beyond
        doubt.
        """
        if self.recogniser.supports(language):
            return language
        is_guessed = not language and self.recogniser.supports("en") and is_probably_english(text)
        return "en" if is_guessed else None

    def compare(
        self,
        wave: Wave,
        text: str,
        language: str = "",
        check: Callable[[], None] | None = None,
    ) -> WordErrors | None:
        """The word errors of `wave` against `text`; None for a language that is not supported.

        Raises:
            ModelUnavailable: as `Recogniser.transcribe`.
        """
        used = self.language_for(text, language)
        if used is None:
            return None
        found = self.recogniser.transcribe(wave, used, check=check)
        return compare(text, found.text, found.language)

    def align(self, wave: Wave, text: str, language: str = "") -> tuple[WordTiming, ...]:
        """The words of `text` in order, with their times; none if the language is not supported.

        Words are those between spaces, characters in scripts without spaces. One that was
        recognised as another word, or not at all, has confidence 0 and no length.

        Raises:
            ModelUnavailable: as `Recogniser.transcribe`.
        """
        used = self.language_for(text, language)
        if used is None:
            return ()
        return align_transcript(text, self.recogniser.transcribe(wave, used, word_times=True))


def align_transcript(text: str, transcript: Transcript) -> tuple[WordTiming, ...]:
    """The words of `text` with the times of a transcript; see `SpeechChecker.align`."""
    expected = mapped_words(text, transcript.language)
    found = [
        (part, word)
        for word in transcript.words
        for part, _ in mapped_words(word.word, transcript.language)
    ]
    edits = align_words([part for part, _ in expected], [part for part, _ in found])
    edit_of = {i: edit for edit in edits for i in edit.expected}
    timings: list[WordTiming] = []
    for word, (start, end) in written_words(text):
        first = bisect_right(expected, start, key=lambda each: each[1][1])
        behind = bisect_left(expected, end, key=lambda each: each[1][0])
        used = list(dict.fromkeys(edit_of[i] for i in range(first, behind)))
        times = [found[j][1] for edit in used for j in edit.found]
        if times and not any(edit.cost for edit in used):
            start_s, end_s = min(t.start_s for t in times), max(t.end_s for t in times)
            timings.append(WordTiming(word, start_s, end_s, min(t.confidence for t in times)))
        else:
            after_s = timings[-1].end_s if timings else 0.0
            timings.append(WordTiming(word, after_s, after_s, 0.0))
    return tuple(timings)
