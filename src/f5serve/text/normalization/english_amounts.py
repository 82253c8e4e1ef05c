"""Amounts in written English: money, units, times, ranges of them and signs before them.

Tables of patterns and what each match is read as; `spoken` applies them, in this order. A pattern
matches a whole number at once, whatever follows it, and leaves it where nothing does: a long row of
digits is looked at once, not again from each of its places.
"""

from __future__ import annotations

import re

from f5serve.text import numbers
from f5serve.text.mapped_text import Replacement
from f5serve.text.normalization.english_tables import (
    ATTACHED_UNITS,
    CURRENCIES,
    IRREGULAR_PLURALS,
    MONTHS,
    SCALES,
    UNITS,
)

NUMBER = r"(?>\d+(?:,\d{3}(?!\d))+(?:\.\d+)?|\d+(?:\.\d+)?)"
DASH = "[-–—~]"
"""Between the two ends of a range; a tilde is what a Chinese keyboard has for it."""

_SIGN = f"[{''.join(map(re.escape, CURRENCIES))}]"
_SCALE = r"(?:(?:[KMBTkmb]|\s?(?:mn|bn|tn))(?!\w|-[A-Za-z])|\s(?i:thousand|[mb]illion|trillion)\b)"
_UNIT = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))


def amounts() -> list[tuple[str, Replacement]]:
    """Patterns in the order in which they apply: the more particular first."""
    return [*_signs(), *_money(), *_times(), *_fractions(), *_units()]


def _signs() -> list[tuple[str, Replacement]]:
    return [
        (r"(?<![\w.])\.(?=\d)", lambda m: "0."),
        (rf"\+/?[-−–](?=\s?{_SIGN}?\d)", lambda m: " plus or minus "),
        (r"(?<=\d)\^[-−]((?:\^?[\d²³])+)", _verbalize_negative_power),
        (rf"(?<!\d)({_SIGN})\s?[-−–](?=\d)", lambda m: f"minus {m[1]}"),
        (rf"(?:^|(?<=[\s(\[{{'\"“‘=<>≤≥≈±~:;/,*^]))[-−–](?=(?:{_SIGN}\s?)?\d)", lambda m: "minus "),
    ]


def _money() -> list[tuple[str, Replacement]]:
    return [
        (
            rf"(?<!\d)(?P<sign>{_SIGN})\s?(?P<low>{NUMBER})(?P<scale>{_SCALE})?"
            rf"(?:(?:{DASH}|\s{DASH}\s(?={_SIGN}))(?P<again>{_SIGN})?"
            rf"(?P<high>{NUMBER})(?P<scale2>{_SCALE})?)?(?P<to>)",
            _verbalize_money,
        ),
        (
            rf"(?P<low>{NUMBER})(?P<scale>{_SCALE})?(?:{DASH}(?P<high>{NUMBER})(?P<scale2>{_SCALE})?)?"
            rf"(?:\s?(?P<sign>{_SIGN})(?!\d)(?P<to>{DASH}(?=\d))?)?(?P<again>)",
            _verbalize_money,
        ),
    ]


def _times() -> list[tuple[str, Replacement]]:
    return [
        (
            r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?!\d)"
            r"(?P<noon>(?=\s?[ap]\.?m))?(?P<to>\s?[-–—]\s?(?=[012]?\d:[0-5]\d))?",
            _verbalize_time,
        ),
        (r"\b([12]\d)?([1-9]0|00)'?s\b", _verbalize_decade),
        (
            r"\b(\d++(?:,\d{3}(?!\d))*+)(?:(st|nd|rd|th)\b)?",
            lambda m: numbers.ordinal(m[1].replace(",", "")) if m[2] else None,
        ),
        (r"(?<![\d-])([12]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\d-])", _verbalize_date),
    ]


def _fractions() -> list[tuple[str, Replacement]]:
    return [
        (r"(?<=\d)\s++(?=\d++⁄)", lambda m: " and "),
        (r"(?<![\d/⁄])(\d++)⁄(\d++)(?![/⁄])", _verbalize_fraction),
        (r"(?<![\d/⁄.,])([1-7])/([23458])(?![\d/⁄]|[.,]\d)", _verbalize_fraction),
    ]


def _units() -> list[tuple[str, Replacement]]:
    return [
        (rf"(?<=%)\s?{DASH}\s?(?=\d)", lambda m: " to "),
        (
            rf"(?P<low>{NUMBER})(?:{DASH}(?P<high>{NUMBER}))?(?:(?:\s?(?P<unit>{_UNIT})|"
            rf"(?P<attached>[{''.join(ATTACHED_UNITS)}]))(?![A-Za-z/])(?P<to>{DASH}(?=\d))?)?",
            _verbalize_unit,
        ),
    ]


def _plural(unit: str, number: str) -> str:
    """The unit after that number: "1" mile, "2" miles, "2" miles per hour."""
    if number == "1":
        return unit
    head, space, tail = unit.partition(" ")
    return IRREGULAR_PLURALS.get(head, numbers.plural(head)) + space + tail


def _verbalize_negative_power(match: re.Match[str]) -> str:
    digits = match[1].replace("^", "").replace("²", "2").replace("³", "3")
    return f" to the power of minus {numbers.cardinal(digits)} "


def _verbalize_money(match: re.Match[str]) -> str | None:
    if match["sign"] is None:
        return None
    unit, small = CURRENCIES[match["sign"]]
    low, high = match["low"].replace(",", ""), (match["high"] or "").replace(",", "")
    scale, scale2 = (
        SCALES.get((match[name] or "").strip().lower()) for name in ("scale", "scale2")
    )
    to = "to " if match["to"] else ""
    if not high:
        return f" {_verbalize_amount(low, scale, unit, small)} {to}"
    unit2, small2 = CURRENCIES[match["again"] or match["sign"]]
    second = _verbalize_amount(high, scale2, unit2, small2)
    # Both are amounts of their own; but the million of "$1.5-2.5M" is meant for both.
    if match["again"] or ("." in low + high and not scale2):
        return f" {_verbalize_amount(low, scale, unit, small)} to {second} {to}"
    return f" {numbers.decimal(low)}{f' {scale}' if scale else ''} to {second} {to}"


def _verbalize_amount(number: str, scale: str | None, unit: str, small: str) -> str:
    if scale:
        return f"{numbers.decimal(number)} {scale} {_plural(unit, '')}"
    whole, _, cents = number.partition(".")
    if len(cents) != 2:
        return f"{numbers.decimal(number)} {_plural(unit, number)}"
    few = str(int(cents))
    words = f"{numbers.cardinal(few)} {_plural(small, few)}" if few != "0" else ""
    if words and not int(whole):
        return words
    much = f"{numbers.cardinal(whole)} {_plural(unit, whole)}"
    return f"{much} and {words}" if words else much


def _verbalize_time(match: re.Match[str]) -> str:
    minute = match["minute"]
    if minute == "00":
        words = "" if match["noon"] is not None or match["second"] else "o'clock"
    else:
        words = f"oh {numbers.digits(minute[1])}" if minute < "10" else numbers.cardinal(minute)
    hour = numbers.cardinal(str(int(match["hour"])))
    if match["second"]:
        seconds = str(int(match["second"]))
        words += f" and {numbers.cardinal(seconds)} {_plural('second', seconds)}"
    return f" {hour} {words} {'to ' if match['to'] else ''}"


def _verbalize_decade(match: re.Match[str]) -> str:
    number = (match[1] or "") + match[2]
    words = numbers.year(number) if match[1] else numbers.cardinal(number)
    return f" {numbers.plural(words)} "


def _verbalize_date(match: re.Match[str]) -> str:
    day, month = numbers.ordinal(str(int(match[3]))), MONTHS[int(match[2]) - 1]
    return f" {month} {day}, {numbers.year(match[1])} "


def _verbalize_fraction(match: re.Match[str]) -> str:
    top, bottom = numbers.plain(match[1]), numbers.plain(match[2])
    if bottom in ("0", "1"):
        return f" {numbers.cardinal(top)} over {numbers.cardinal(bottom)} "
    part = {"2": "half", "4": "quarter"}.get(bottom) or numbers.ordinal(bottom)
    return f" {numbers.cardinal(top)} {_plural(part, top)} "


def _verbalize_unit(match: re.Match[str]) -> str | None:
    if match["unit"] is None and match["attached"] is None:
        return None
    unit = UNITS.get(match["unit"]) or ATTACHED_UNITS[match["attached"]]
    last = (match["high"] or match["low"]).replace(",", "")
    first = f"{numbers.decimal(match['low'].replace(',', ''))} to " if match["high"] else ""
    to = "to " if match["to"] else ""
    return f" {first}{numbers.decimal(last)} {_plural(unit, last)} {to}"
