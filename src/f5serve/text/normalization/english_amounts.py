"""Amounts in written English: signs before numbers, money, fractions, ranges and ratios."""

from __future__ import annotations

import re
import unicodedata

from f5serve.text import numbers
from f5serve.text.normalization.english_patterns import (
    AFTER,
    DASH,
    INT,
    NUMBER,
    Table,
    alternatives,
    bare,
    counted,
    in_pairs,
)
from f5serve.text.normalization.english_tables import CURRENCIES, CURRENCY_CODES, SCALES
from f5serve.text.normalization.english_units import say_per, units

_SIGN = alternatives(CURRENCIES)
_CODE = alternatives(CURRENCY_CODES)
_SCALE = r"(?:(?:[KMBTkmb]|\s?(?:mn|bn|tn))(?!\w|-[A-Za-z])|\s(?i:thousand|[mb]illion|trillion)\b)"
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
_POWER = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_AS_A_WHOLE = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty"} | {
    "20/20": "twenty twenty", "4/20": "four twenty", "80/20": "eighty twenty"
}  # fmt: skip
_PARTS = {*range(2, 10), 12, 16, 32, 64}
"""Denominators of fractions; over others the number is a mark, a share or a date."""


def amounts() -> Table:
    """Rules in the order in which they apply: the more particular first."""
    return [*_signs(), *_money(), *_fractions(), *units(), *_powers()]


def ranges() -> Table:
    """Rules for two numbers with a mark between them, where no other rule has them."""
    return [
        ("ratio", rf"(?<![:.,])({INT}):(\d++)(?![:\d])", _say_ratio),
        ("range", r"50-50", lambda m: "fifty fifty"),
        (
            "range",
            rf"(?<![\d-])(?<!\d[.,])(?P<low>\d[\d,.]*+){DASH}(?=\d[\d,.]*+(?![\d-]))",
            lambda m: f"{m[1]} to ",
        ),
        ("measure", rf"{INT}(?:[x×]\d++)++", _say_size),
        ("sign", rf"({INT})\s(x|×)\s(?=\d)", _say_product),
        (
            "measure",
            rf"({NUMBER})[x×](?![\w-]|\s?[-+=^/*)²³])",
            lambda m: f"{numbers.decimal(bare(m[1]))} times",
        ),
    ]


def _signs() -> Table:
    before = r"\s(\[{'\"“‘=<>≤≥≈±~:;/,*^"
    return [
        ("sign", rf"\+/?[-−–](?=\s?(?:{_SIGN})?\d)", lambda m: "plus or minus"),
        ("sign", r"\^(?<=[\w)]\^)[-−](\d++)", _say_negative_power),
        ("money", rf"(?<![\dA-Z])({_SIGN})\s?[-−–](?=\d)", lambda m: f"minus {m[1]}"),
        (
            "sign",
            rf"[-−–](?<![^{before}].)(?=(?:(?:{_SIGN})\s?)?\d)",
            lambda m: "minus",
        ),
        ("sign", r"~\s?(?=\d)(?<!\d~)(?<!\d~\s)", lambda m: "about"),
    ]


def _money() -> Table:
    """A sign or a code stands before or behind the number, and may be written at both ends."""
    return [
        ("money", rf"({INT}),(\d\d)\s?(€|EUR\b)", _say_comma_money),
        (
            "money",
            rf"(?<![\dA-Z])(?P<sign>{_SIGN}|(?:{_CODE})(?=\s?\d))\s?(?P<low>{AFTER})"
            rf"(?P<scale>{_SCALE})?(?:(?:{DASH}|\s{DASH}\s(?={_SIGN}))(?P<again>{_SIGN})?"
            rf"(?P<high>{AFTER})(?P<scale2>{_SCALE})?)?(?P<to>)(?P<per>/[a-z]+\b)?",
            _say_money,
        ),
        (
            "money",
            rf"(?P<low>{NUMBER})(?P<scale>{_SCALE})?(?:{DASH}(?P<high>{AFTER})(?P<scale2>{_SCALE})?)?"
            rf"\s?(?P<sign>(?:{_SIGN})(?!\d)|(?:{_CODE})\b)(?P<to>{DASH}(?=\d))?(?P<again>)"
            rf"(?P<per>/[a-z]+\b)?",
            _say_money,
        ),
        ("cardinal", rf"(?<![$£€A-Za-z])({NUMBER})(?P<scale>[KMBk])(?![\w/-])", _say_scaled),
    ]


def _fractions() -> Table:
    behind = r"(?![\d/⁄]|[.,]\d)"
    return [
        (
            "fraction",
            rf"(?<![\d/])(?:{alternatives(_AS_A_WHOLE)}){behind}",
            lambda m: _AS_A_WHOLE[m[0]],
        ),
        ("decimal", rf"({NUMBER})[eE]([-+−]?)(\d{{1,3}})(?![\w.])", _say_scientific),
        ("fraction", rf"(?:({INT})\s?)?([{_FRACTIONS}])", _say_vulgar),
        ("fraction", rf"(?<![/⁄.,])({INT})[\s-](\d++)[/⁄](\d++){behind}", _say_mixed),
        ("fraction", rf"(?<![/⁄])({INT})⁄(\d++){behind}", _say_fraction),
        ("fraction", rf"(?<![/⁄.,])({INT})/(\d++){behind}", _say_small_fraction),
    ]


def _powers() -> Table:
    return [
        ("sign", r"\*\*(?<=\d\*\*)(?=\d)", lambda m: "to the power of"),
        ("sign", r"(?<=\d)\s?\*\s?(?=\d)", lambda m: "times"),
        ("sign", rf"(?<=[\w)])(⁻?)([{_POWER}]+)", _say_power),
        ("sign", r"\^(?<=[^\W\d_]\^)2(?!\w)", lambda m: "squared"),
        ("sign", r"\^(?<=[\w)]\^)(?=\w)", lambda m: "to the power of"),
    ]


def _say_ratio(match: re.Match[str]) -> str:
    return f"{numbers.cardinal(match[1])} to {numbers.cardinal(match[2])}"


def _say_product(match: re.Match[str]) -> str:
    return f"{in_full(match[1])} {'times' if match[2] == '×' else 'by'}"


def _say_size(match: re.Match[str]) -> str:
    """ "1920x1080"; with spaces, "6 × 7" is arithmetic."""
    sides = re.split("[x×]", match[0])
    return " by ".join(in_pairs(s) if len(s) == 4 else numbers.cardinal(s) for s in sides)


def in_full(number: str) -> str:
    """A whole number; four digits up to 2099 as a year is read: "1920" -> "nineteen twenty"."""
    return (
        numbers.year(number)
        if re.fullmatch(r"1[1-9]\d\d|20\d\d", number)
        else (numbers.cardinal(number))
    )


def _say_negative_power(match: re.Match[str]) -> str:
    return f"to the power of minus {numbers.cardinal(match[1])}"


def _say_scientific(match: re.Match[str]) -> str:
    minus = "minus " if match[2] in ("-", "−") else ""
    power = numbers.cardinal(numbers.plain(match[3]))
    return f"{numbers.decimal(bare(match[1]))} times ten to the power of {minus}{power}"


def _say_power(match: re.Match[str]) -> str | None:
    digits = unicodedata.normalize("NFKC", match[2])
    if match[1]:
        return f" to the power of minus {numbers.cardinal(digits)}"
    if digits in "23":
        return " squared" if digits == "2" else " cubed"
    before = match.string[max(0, match.start() - 2) : match.start()]
    if before[-1:].isalpha() and before[:-1].isalpha():
        return None  # a number of a footnote
    return f" to the power of {numbers.cardinal(digits)}"


def _say_comma_money(match: re.Match[str]) -> str:
    return _amount(f"{match[1]}.{match[2]}", None, "€")


def _say_money(match: re.Match[str]) -> str:
    sign = CURRENCY_CODES.get(match["sign"], match["sign"])
    low, high = bare(match["low"]), bare(match["high"] or "")
    scale, scale2 = (
        SCALES.get((match[name] or "").strip().lower()) for name in ("scale", "scale2")
    )
    end = " to" if match["to"] else f" {say_per(match['per'][1:])}" if match["per"] else ""
    if not high:
        return _amount(low, scale, sign) + end
    second = _amount(high, scale2, CURRENCY_CODES.get(match["again"], match["again"]) or sign)
    # Both are amounts of their own; but the million of "$1.5-2.5M" is meant for both.
    if match["again"] or ("." in low + high and not scale2):
        return f"{_amount(low, scale, sign)} to {second}{end}"
    return f"{numbers.decimal(low)}{f' {scale}' if scale else ''} to {second}{end}"


def _amount(number: str, scale: str | None, sign: str) -> str:
    unit, small = CURRENCIES[sign]
    if scale:
        return f"{numbers.decimal(number)} {scale} {counted(unit, '')}"
    whole, _, cents = number.partition(".")
    if len(cents) != 2 or not small:
        return f"{numbers.decimal(number)} {counted(unit, number)}"
    few = str(int(cents))
    words = f"{numbers.cardinal(few)} {counted(small, few)}" if few != "0" else ""
    if words and not int(whole):
        return words
    much = f"{numbers.cardinal(whole)} {counted(unit, whole)}"
    return f"{much} and {words}" if words else much


def _say_scaled(match: re.Match[str]) -> str | None:
    number, scale = bare(match[1]), SCALES[match["scale"].lower()]
    if scale == "thousand" and len(number) == 1:
        return f"{numbers.cardinal(number)} K"  # a 4K screen, a 5K run
    return f"{numbers.decimal(number)} {scale}"


def _say_vulgar(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[2]).partition("⁄")
    whole = f"{numbers.cardinal(match[1])} and " if match[1] else ""
    return f"{whole}{_fraction(top, bottom)}"


def _say_mixed(match: re.Match[str]) -> str | None:
    whole, top, bottom = match[1], match[2], match[3]
    if len(top) > 2 or len(bottom) > 2 or int(bottom) not in _PARTS or int(top) >= int(bottom):
        return None
    return f"{numbers.cardinal(whole)} and {_fraction(top, bottom)}"


def _say_fraction(match: re.Match[str]) -> str:
    return _fraction(match[1], match[2])


def _say_small_fraction(match: re.Match[str]) -> str | None:
    top, bottom = match[1], match[2]
    if len(top) > 3 or len(bottom) > 3 or bottom.startswith("0") or top.startswith("0"):
        return None
    if bottom in ("10", "100") and int(top) <= int(bottom):
        return f"{numbers.cardinal(top)} out of {numbers.cardinal(bottom)}"
    if int(bottom) not in _PARTS or int(top) >= 2 * int(bottom):
        return None
    return _fraction(top, bottom)


def _fraction(top: str, bottom: str) -> str:
    top, bottom = numbers.plain(top), numbers.plain(bottom)
    if bottom in ("0", "1"):
        return f"{numbers.cardinal(top)} over {numbers.cardinal(bottom)}"
    part = {"2": "half", "4": "quarter"}.get(bottom) or numbers.ordinal(bottom)
    return f"{numbers.cardinal(top)} {counted(part, top)}"
