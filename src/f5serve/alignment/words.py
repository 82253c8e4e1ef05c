"""Maps the spoken words of a text to its written words.

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
from itertools import accumulate, groupby

from f5serve.text.mapped_text import MappedText, Span
from f5serve.text.normalization.english import normalize_english
from f5serve.text.numbers import number_speller
from f5serve.text.split import split_characters
from f5serve.types import WordTiming

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ENGLISH_WORD = re.compile(r"[A-Za-z][A-Za-z']*")
_INSIDE_WORDS = "'’\u200c\u200d"
"""Apostrophes, and the joiners of Persian and of scripts of India."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was written: `text` is `start` to `end` of the whole."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SpokenForm:
    """The words of a text as written and as spoken.

    Attributes:
        words: as written, in order; together they hold every character but spaces.
        spoken: in order, letters only.
        word_index: for each spoken word, the index of the written one that it belongs to.
    """

    words: tuple[Word, ...]
    spoken: tuple[str, ...]
    word_index: tuple[int, ...]


Times = tuple[float, float, float]
"""Start and end in seconds, confidence."""


def spoken_form(text: str, language: str) -> SpokenForm:
    """The words of `text` as written and as spoken.

    Args:
        language: ISO 639-1; decides how numbers are read. Where they cannot be, digits are left
            out, and their word has no time of its own.
    """
    spoken = list(_spoken(text, language))
    words, word_index = assign_words(split_words(text), [span for _, span in spoken])
    return SpokenForm(words, tuple(word for word, _ in spoken), word_index)


def split_words(text: str) -> list[Word]:
    """What stands between spaces; in scripts without spaces, each character."""
    words: list[Word] = []
    for match in re.finditer(r"\S+", text):
        start = match.start()
        for piece in split_characters(match[0]):
            words.append(Word(piece, start, start + len(piece)))
            start += len(piece)
    return words


def assign_words(
    words: Sequence[Word], spans: Sequence[Span]
) -> tuple[tuple[Word, ...], tuple[int, ...]]:
    """The word of each span: the words, joined where need be, and an index for each span.

    Spans are in the order of the text. One that is in no word, such as a space that was read out,
    belongs to the word before it.
    """
    if not words or not spans:
        return (), ()
    ranges = [_touched(words, span) for span in spans]
    spoken = {index for first, last in ranges for index in range(first, last + 1)}
    belongs = [index not in spoken for index in range(len(words))]  # to the word before it
    for first, last in ranges:
        belongs[first + 1 : last + 1] = [True] * (last - first)
    belongs[: min(spoken) + 1] = [False, *[True] * min(spoken)]
    groups = [number - 1 for number in accumulate(not belonging for belonging in belongs)]
    joined: list[Word] = []
    for word, belonging in zip(words, belongs, strict=True):
        joined.append(_joined(joined.pop(), word) if belonging else word)
    return tuple(joined), tuple(groups[first] for first, _ in ranges)


def written_times(form: SpokenForm, times: Sequence[Times]) -> tuple[WordTiming, ...]:
    """The times of the written words, from those of the spoken ones."""
    groups: dict[int, list[Times]] = {}
    for index, time in zip(form.word_index, times, strict=True):
        groups.setdefault(index, []).append(time)
    return tuple(
        _timing(word, groups[index]) for index, word in enumerate(form.words) if index in groups
    )


def _timing(word: Word, times: Sequence[Times]) -> WordTiming:
    lengths = [max(end - start, 1e-3) for start, end, _ in times]
    weighted = sum(length * time[2] for length, time in zip(lengths, times, strict=True))
    start_s, end_s = min(t[0] for t in times), max(t[1] for t in times)
    return WordTiming(word.text, start_s, end_s, weighted / sum(lengths))


def _touched(words: Sequence[Word], span: Span) -> tuple[int, int]:
    """The first and the last word that a span has a character of."""
    first = bisect_right(words, span[0], key=lambda word: word.end)
    last = bisect_left(words, span[1], key=lambda word: word.start) - 1
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
    for start, word in _words(mapped.text):
        for piece in split_characters(word):
            yield piece, mapped.source_span(start, start + len(piece))
            start += len(piece)


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Runs of letters with their marks (vowels of many scripts are marks), and their places."""
    start = 0
    for is_word, run in groupby(text, _is_of_word):
        characters = "".join(run)
        word = characters.lstrip(_INSIDE_WORDS)
        if is_word and word:
            yield start + len(characters) - len(word), word
        start += len(characters)


def _is_of_word(character: str) -> bool:
    if character.isalnum():
        return not character.isdecimal()
    return character in _INSIDE_WORDS or unicodedata.category(character)[0] == "M"


def _in_words(text: str, language: str) -> MappedText:
    """Digits as words, if the language's numbers are known."""
    mapped = MappedText.of(text).map_chars(_plain_digit)
    spell = number_speller(language)
    return mapped if spell is None else mapped.sub(_NUMBER, lambda match: f" {spell(match[0])} ")


def _plain_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
