"""Numbers as words: English by rules of our own, other languages by those of Unicode's CLDR.

`normalization/english.py` decides which kind of English number it is. CLDR's rules for English give
the same cardinals, but take 30 times as long, and speech recognition is installed without them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import lru_cache

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
]  # fmt: skip
_TENS = [
    "", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
]  # fmt: skip
_SCALES = ("", " thousand", " million", " billion", " trillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

MAX_DIGITS = 3 * len(_SCALES)
"""Longer numbers are read digit by digit, in all languages."""


def digits(text: str) -> str:
    """Each digit on its own: "007" -> "zero zero seven"."""
    return " ".join(_ONES[int(digit)] for digit in text)


def cardinal(text: str) -> str:
    """A whole number; with a leading zero, or too long for a name, digit by digit."""
    if len(text) > MAX_DIGITS or (len(text) > 1 and text.startswith("0")):
        return digits(text)
    value = int(text)
    if value == 0:
        return _ONES[0]
    groups = []
    for scale in _SCALES:
        value, group = divmod(value, 1000)
        if group:
            groups.append(_below_thousand(group) + scale)
    return " ".join(reversed(groups))


def decimal(text: str) -> str:
    """A number with at most one point: "3.05" -> "three point zero five"."""
    whole, _, fraction = text.partition(".")
    words = cardinal(whole or "0")
    return f"{words} point {digits(fraction)}" if fraction else words


def plain(text: str) -> str:
    """A whole number without zeros in front, which are not written in fractions."""
    return text.lstrip("0") or "0"


def ordinal(text: str) -> str:
    """The place in a row: "22" -> "twenty second"."""
    rest, _, last = cardinal(text).rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{rest} {last}".strip()


def year(text: str) -> str:
    """Four digits as a year: "1906" -> "nineteen oh six", "2024" -> "twenty twenty four"."""
    century, rest = int(text[:2]), int(text[2:])
    if century % 10 == 0 and rest < 10:  # 2000, 2007; not "twenty oh seven"
        return cardinal(text)
    if rest == 0:
        return f"{_below_thousand(century)} hundred"
    tail = f"oh {_ONES[rest]}" if rest < 10 else _below_thousand(rest)
    return f"{_below_thousand(century)} {tail}"


def plural(words: str) -> str:
    """More than one: "dollar" -> "dollars", "nineteen ninety" -> "nineteen nineties"."""
    if words.endswith("y") and words[-2] not in "aeiou":
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "ch")) else "s")


def _below_thousand(value: int) -> str:
    hundreds, value = divmod(value, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if value >= 20:
        words.append(_TENS[value // 10])
        value %= 10
        if value:
            words.append(_ONES[value])
    elif value:
        words.append(_ONES[value])
    return " ".join(words)


_LOCALES = {"nb": "no", "tl": "fil"}
_NUMBERING = {"ko": "spellout-cardinal-sinokorean"}


@lru_cache(maxsize=64)
def ruleset_speller(language: str, ruleset: str = "") -> Callable[[int], str] | None:
    """A function from a whole number to its words by one of CLDR's rulesets of a language.

    Args:
        language: ISO 639-1.
        ruleset: such as "spellout-cardinal-feminine"; "" for plain numbering.

    Returns:
        None if there are no rules for the language. The function gives "" where they fail.
    """
    if importlib.util.find_spec("unicode_rbnf") is None:
        return None
    from unicode_rbnf import RbnfEngine

    try:
        engine = RbnfEngine.for_language(_LOCALES.get(language, language))
    except ValueError:
        return None
    names = [ruleset or _NUMBERING.get(language, "spellout-numbering")]

    @lru_cache(maxsize=1024)
    def words_of(number: int) -> str:
        try:  # all rulesets of the language, if none is named, take up to 17 times as long
            return str(engine.format_number(number, ruleset_names=names).text)
        except (ValueError, KeyError, RecursionError):
            return ""

    return words_of


@lru_cache(maxsize=16)
def number_speller(language: str) -> Callable[[str], str] | None:
    """A function from digits to words of a language (ISO 639-1); None if there are no rules for it.

    It takes digits with `.` and `,` between them: "1,203" -> one thousand two hundred three. The
    number of digits behind a mark decides whether it is a decimal point.
    """
    words_of = ruleset_speller(language)
    if words_of is None:
        return None

    def spell(text: str) -> str:
        whole, fraction = _halves(text)
        if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
            words = [words_of(int(digit)) for digit in whole]
        else:
            words = [words_of(int(whole))]
        return " ".join([*words, *(words_of(int(digit)) for digit in fraction)])

    return spell


def _halves(text: str) -> tuple[str, str]:
    """Digits before and after the decimal mark: "1.203,5" -> 1203, 5."""
    parts = re.split(r"[.,]", text)
    if len(parts) == 1:
        return text, ""
    if len(parts[-1]) == 3 and all(len(part) == 3 for part in parts[1:]):
        return "".join(parts), ""
    return "".join(parts[:-1]), parts[-1]
