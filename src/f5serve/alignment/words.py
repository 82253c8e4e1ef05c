"""The words of a text as written and as spoken, and which spoken word belongs to which written one.

An aligner finds times for spoken words; `written_times` maps them to the written ones.

A word is what stands between spaces, with its punctuation: joined by spaces, the words are the
text again. Scripts without spaces come character by character. What is not spoken on its own (a
dash, an emoji) belongs to the word before it, and words that are only spoken together ("$3
million": three million dollars) are one.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from f5serve.text.english.normalize import normalize_english
from f5serve.text.mapped_text import MappedText, Span
from f5serve.text.numbers import number_speller
from f5serve.text.split import split_characters
from f5serve.types import WordTiming

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ENGLISH_WORD = re.compile(r"[A-Za-z][A-Za-z']*")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’\u0300-\u036f])*")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was written: `text` is `start` to `end` of the whole."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, written and spoken.

    Attributes:
        words: as written, in order; together they hold every character but spaces.
        spoken: in order, letters only.
        owners: for each spoken word, the index of the written one that it belongs to.
    """

    words: tuple[Word, ...]
    spoken: tuple[str, ...]
    owners: tuple[int, ...]


Times = tuple[float, float, float]
"""Start and end in seconds, confidence."""


def read(text: str, language: str) -> Reading:
    """What is heard when `text` is spoken.

    Args:
        language: ISO 639-1; decides how numbers are read. Where they cannot be, digits are left
            out, and their word has no time of its own.
    """
    heard = list(_spoken(text, language))
    words, owners = assign(split_words(text), [place for _, place in heard])
    return Reading(words, tuple(word for word, _ in heard), owners)


def split_words(text: str) -> list[Word]:
    """What stands between spaces; in scripts without spaces, each character."""
    words: list[Word] = []
    for match in re.finditer(r"\S+", text):
        start = match.start()
        for piece in split_characters(match[0]):
            words.append(Word(piece, start, start + len(piece)))
            start += len(piece)
    return words


def assign(
    words: Sequence[Word], places: Sequence[Span]
) -> tuple[tuple[Word, ...], tuple[int, ...]]:
    """Who is heard at each place: the words, joined as need be, and an index for each place.

    Places are in the order of the text. A place that is in no word, as what a space was read as,
    goes to the word before it.
    """
    if not words or not places:
        return (), ()
    ranges = [_touched(words, place) for place in places]
    loud = {index for first, last in ranges for index in range(first, last + 1)}
    belongs = [index not in loud for index in range(len(words))]  # to the word before it
    for first, last in ranges:
        belongs[first + 1 : last + 1] = [True] * (last - first)
    belongs[: min(loud) + 1] = [False, *[True] * min(loud)]
    groups = [number - 1 for number in accumulate(not belonging for belonging in belongs)]
    joined: list[Word] = []
    for word, belonging in zip(words, belongs, strict=True):
        joined.append(_joined(joined.pop(), word) if belonging else word)
    return tuple(joined), tuple(groups[first] for first, _ in ranges)


def written_times(reading: Reading, times: Sequence[Times]) -> tuple[WordTiming, ...]:
    """The times of spoken words, told for the written ones."""
    groups: dict[int, list[Times]] = {}
    for owner, time in zip(reading.owners, times, strict=True):
        groups.setdefault(owner, []).append(time)
    return tuple(
        _timing(word, groups[index]) for index, word in enumerate(reading.words) if index in groups
    )


def _timing(word: Word, times: Sequence[Times]) -> WordTiming:
    lengths = [max(end - start, 1e-3) for start, end, _ in times]
    sure = sum(length * time[2] for length, time in zip(lengths, times, strict=True)) / sum(lengths)
    start_s, end_s = min(t[0] for t in times), max(t[1] for t in times)
    return WordTiming(word.text, start_s, end_s, sure)


def _touched(words: Sequence[Word], place: Span) -> tuple[int, int]:
    """The first and the last word that a place has a character of."""
    first = bisect_right(words, place[0], key=lambda word: word.end)
    last = bisect_left(words, place[1], key=lambda word: word.start) - 1
    last = max(last, 0)
    return min(first, last), last


def _joined(left: Word, right: Word) -> Word:
    space = " " if right.start > left.end else ""
    return Word(left.text + space + right.text, left.start, right.end)


def _spoken(text: str, language: str) -> Iterator[tuple[str, Span]]:
    if language == "en":
        yield from normalize_english(text).find(_ENGLISH_WORD)
        return
    mapped = _in_words(text, language)
    for match in _WORD.finditer(mapped.text):
        start = match.start()
        for piece in split_characters(match[0]):
            yield piece, mapped.source_span(start, start + len(piece))
            start += len(piece)


def _in_words(text: str, language: str) -> MappedText:
    """Digits as words, if the language's numbers are known."""
    mapped = MappedText.of(text).map_chars(_plain_digit)
    say = number_speller(language)
    return mapped if say is None else mapped.sub(_NUMBER, lambda match: f" {say(match[0])} ")


def _plain_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
