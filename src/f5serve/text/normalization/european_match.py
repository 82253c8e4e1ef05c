"""Small helpers for rules: what is around a match, patterns of tables, Roman numerals."""

from __future__ import annotations

import re
from collections.abc import Iterable

from f5serve.text.mapped_text import Replacement
from f5serve.text.normalization.european_numbers import SPACE

RuleRow = tuple[str, str, Replacement]
"""Kind, pattern, replacement: what `make_rules` takes."""

UPPER = "A-ZÀ-ÖØ-ÞŒŠŽ"
LETTER = r"[^\W\d_]"

_AROUND = 40
"""Characters that are looked at beside a match."""

_NEXT_WORD = re.compile(rf"{SPACE}({LETTER}{{1,30}})")
_ROMAN = re.compile(
    r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})",
)
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def any_of(texts: Iterable[str]) -> str:
    """A pattern of all texts, the longer first; a space in them is any space, or none."""
    found = sorted(set(texts), key=len, reverse=True)
    return "|".join(re.escape(text).replace("\\ ", f"{SPACE}?") for text in found) or r"(?!)"


def without_spaces(text: str) -> str:
    """The text without spaces: what `any_of` allowed is gone."""
    return "".join(text.split())


def word_before(match: re.Match[str]) -> str:
    """The word before a match, with a space between; "" where there is none."""
    head = match.string[max(0, match.start() - _AROUND) : match.start()]
    if not head or not head[-1].isspace():
        return ""
    words = head.split()
    return words[-1].strip("()[]«»„“”\"',;:") if words else ""


def word_behind(match: re.Match[str]) -> str:
    """The word behind a match, with one space between; "" where there is none."""
    found = _NEXT_WORD.match(match.string, match.end())
    return found[1] if found else ""


def spaced(replace: Replacement) -> Replacement:
    """The replacement, apart from letters and digits that touch the match."""

    def say(match: re.Match[str]) -> str | None:
        words = replace(match)
        if not words:
            return words
        text, start, end = match.string, match.start(), match.end()
        before = " " if start and text[start - 1].isalnum() and words[0].isalnum() else ""
        behind = " " if text[end : end + 1].isalnum() and words[-1].isalnum() else ""
        return f"{before}{words}{behind}"

    return say


def roman_value(text: str) -> int:
    """The value of a Roman numeral; 0 if it is none."""
    if not text or not _ROMAN.fullmatch(text):
        return 0
    values = [_ROMAN_VALUES[letter] for letter in text]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < after else value for value, after in pairs)
