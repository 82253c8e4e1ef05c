"""Digits to English words: cardinals, ordinals, years, decimals and digit by digit.

`spoken` decides which kind of number it is.
"""

from __future__ import annotations

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

MAX_CARDINAL_DIGITS = 3 * len(_SCALES)
"""Longer numbers are read digit by digit."""


def digits(text: str) -> str:
    """Each digit on its own: "007" -> "zero zero seven"."""
    return " ".join(_ONES[int(digit)] for digit in text)


def cardinal(text: str) -> str:
    """A whole number; with a leading zero, or too long for a name, digit by digit."""
    if len(text) > MAX_CARDINAL_DIGITS or (len(text) > 1 and text.startswith("0")):
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
    """A whole number without zeros in front, which nobody writes in a fraction."""
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
    if century % 10 == 0 and rest < 10:  # 2000, 2007; nobody says "twenty oh seven" first
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
