"""Word errors between two texts: the words that can be compared, and the edits between them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from f5serve.asr_types import WordErrors
from f5serve.text.english.spoken import trace
from f5serve.text.traced import Span, Traced

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


def words(text: str, language: str = "") -> list[str]:
    """Comparable words: one case, no accents, no punctuation, and in English no digits.

    "Don't pay $3!" -> do not pay three dollars. Chinese, Japanese and Thai come character by
    character.
    """
    return [word for word, _ in traced_words(text, language)]


def traced_words(text: str, language: str = "") -> list[tuple[str, Span]]:
    """As `words`, each with the stretch of `text` that it stands for."""
    spelled = trace(text) if language == "en" else Traced.of(text)
    if language == "en":
        for pattern, full in _CONTRACTIONS:
            spelled = spelled.sub(pattern, full)
    plain = spelled.each(_plain).sub(_UNSPACED, r" \1 ")
    return list(plain.find(_WORD))


def units(text: str) -> list[tuple[str, Span]]:
    """What is written between spaces; in scripts without spaces, each character."""
    return list(Traced.of(text).sub(_UNSPACED, r" \1 ").find(_WORD))


def _plain(character: str) -> str:
    """What is compared of a character: "É" -> e, "'" -> nothing, "-" -> a space."""
    if character in _APOSTROPHES:
        return ""
    kinds = [(c, unicodedata.category(c)) for c in unicodedata.normalize("NFKD", character)]
    kept = "".join(c if kind[0] in "LNM" else " " for c, kind in kinds if kind != "Mn")
    return kept.casefold()


def compare(meant: str, heard: str, language: str = "") -> WordErrors:
    """How far `heard` is from `meant`, in words; "seashells" and "sea shells" are equal."""
    truth, guess = words(meant, language)[:MAX_WORDS], words(heard, language)[:MAX_WORDS]
    steps = list(match(truth, guess))
    differing = []
    for is_wrong, run in groupby(steps, key=lambda step: step.cost > 0):
        if is_wrong:
            pieces = list(run)
            left = " ".join(truth[pieces[0].meant.start : pieces[-1].meant.stop])
            right = " ".join(guess[pieces[0].heard.start : pieces[-1].heard.stop])
            differing.append((left, right))
    errors = sum(step.cost for step in steps)
    return WordErrors(len(truth), errors, tuple(differing), " ".join(heard.split()))


@dataclass(frozen=True, slots=True)
class Step:
    """Words that stand for one another; no more than two of either, none of one where it lacks."""

    meant: range
    heard: range
    cost: int


def match(meant: Sequence[str], heard: Sequence[str]) -> Iterator[Step]:
    """The cheapest way from one row of words to the other, in order."""
    costs = _costs(meant, heard)
    back: list[Step] = []
    i, j = len(meant), len(heard)
    while i or j:
        for taken, given, cost in _choices(meant, heard, i, j):
            if costs[i, j] == costs[i - taken, j - given] + cost:
                break
        back.append(Step(range(i - taken, i), range(j - given, j), cost))
        i, j = i - taken, j - given
    return reversed(back)


def _costs(meant: Sequence[str], heard: Sequence[str]) -> npt.NDArray[np.int32]:
    """costs[i, j]: edits from the first i words to the first j.

    Row by row in numpy, 1,000 words in some 20 ms: each row is the cheapest way from the one above,
    or from the place before it, which `accumulate` carries along.
    """
    known = {word: number for number, word in enumerate(dict.fromkeys((*meant, *heard)))}
    others = np.array([known[word] for word in heard], np.int32)
    # Two words in one: pairs[j] ends with word j + 1 of what was heard.
    pairs = np.array([known.get(a + b, -1) for a, b in pairwise(heard)], np.int32)
    places = np.arange(len(heard) + 1, dtype=np.int32)
    costs = np.empty((len(meant) + 1, len(heard) + 1), np.int32)
    costs[0] = places
    for i, word in enumerate(meant, 1):
        row, above, number = costs[i], costs[i - 1], known[word]
        row[0] = i
        np.minimum(above[:-1] + (others != number), above[1:] + 1, out=row[1:])
        joined = known.get(meant[i - 2] + word) if i > 1 else None
        if joined is not None:
            at = np.flatnonzero(others == joined)
            row[at + 1] = np.minimum(row[at + 1], costs[i - 2, at])
        at = np.flatnonzero(pairs == number)
        row[at + 2] = np.minimum(row[at + 2], above[at])
        row[:] = np.minimum.accumulate(row - places) + places
    return costs


def _choices(
    meant: Sequence[str], heard: Sequence[str], i: int, j: int
) -> Iterator[tuple[int, int, int]]:
    """Steps that end behind the first i and j words, as (words meant, words heard, cost)."""
    if i and j:
        yield 1, 1, int(meant[i - 1] != heard[j - 1])
    if i > 1 and j and meant[i - 2] + meant[i - 1] == heard[j - 1]:
        yield 2, 1, 0
    if i and j > 1 and meant[i - 1] == heard[j - 2] + heard[j - 1]:
        yield 1, 2, 0
    if i:
        yield 1, 0, 1
    if j:
        yield 0, 1, 1


def looks_english(text: str) -> bool:
    """Whether a text of unknown language can only be English: a guess that errs towards no."""
    found, frequent = words(text), _ENGLISH.split()
    if not found or not all(word.isascii() for word in found):
        return False
    return sum(word in frequent for word in found) / len(found) >= _ENGLISH_SHARE
