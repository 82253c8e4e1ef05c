"""Parts that the English rules share: patterns of numbers, plurals, ends of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from f5serve.text import numbers
from f5serve.text.mapped_text import Replacement
from f5serve.text.normalization.english_tables import IRREGULAR_PLURALS

Table = list[tuple[str, str, Replacement]]
"""Rows of (kind, pattern, replacement); the more particular come first."""

INT = r"\d(?<!\d\d)\d*+"
"""A row of digits, from its first to its last.

The first digit comes before the look at what precedes it: the search then skips to digits fast.
"""

NUMBER = r"\d(?<!\d\d)(?<!\d[.,]\d)(?>\d*+(?:,\d{3}(?!\d))*+(?:\.\d++)?+)"
"""A number with commas between thousands and a point; it begins in no other number."""

AFTER = r"(?>\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+)"
"""A number behind something that was matched already."""

DASH = "[-‐‑–—~]"
"""Between the two ends of a range; a tilde is what a Chinese keyboard has for it."""

APOSTROPHE = "['’‘]"

_STARTS = (
    "A|After|All|An|And|Are|As|At|But|By|Can|Did|Do|For|From|He|Her|His|How|I|If|In|Is|It|Its|My"
    "|No|Not|Now|On|Our|She|So|That|The|Their|Then|There|These|They|This|Those|To|We|What|When"
    "|Where|Who|Why|With|You|Your"
)
_SENTENCE_END = re.compile(rf"\s*$|[\"”’')]|\s+[\"“‘'(]?(?:{_STARTS})\b")


def bare(number: str) -> str:
    """Digits without commas between thousands."""
    return number.replace(",", "")


def ends_sentence(match: re.Match[str]) -> bool:
    """Whether a match with a full stop at its end is followed by a new sentence, or by nothing."""
    return _SENTENCE_END.match(match.string, match.end(), match.end() + 20) is not None


def closed(match: re.Match[str], words: str) -> str:
    """The words for an abbreviation, with its full stop where that ends the sentence too."""
    return f"{words}." if match[0].endswith(".") and ends_sentence(match) else words


def counted(unit: str, number: str) -> str:
    """The unit after that number: "1" mile, "2" miles, "2" miles per hour."""
    if number == "1":
        return unit
    head, per, tail = unit.partition(" per ")
    first, space, last = head.rpartition(" ")
    many = IRREGULAR_PLURALS.get(head) or first + space + (
        IRREGULAR_PLURALS.get(last) or numbers.plural(last)
    )
    return many + per + tail


def in_pairs(text: str) -> str:
    """A number that is a name: "747" -> "seven forty seven", "204" -> "two oh four"."""
    if len(text) == 4 and text[0] != "0":
        return numbers.year(text)
    if len(text) == 3 and text[0] != "0" and text[1:] != "00":
        tail = f"oh {numbers.digits(text[2])}" if text[1] == "0" else numbers.cardinal(text[1:])
        return f"{numbers.digits(text[0])} {tail}"
    return numbers.cardinal(text) if len(text) < 5 else numbers.digits(text)


def alternatives(words: Iterable[str]) -> str:
    """The words of a table as one pattern, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))


def word_set(text: str) -> frozenset[str]:
    """The words of a text with spaces between them."""
    return frozenset(text.split())
