"""What Chinese and Japanese normalization share: patterns of numbers, digits of Han, units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby

from f5serve.text.mapped_text import MappedText, Replacement
from f5serve.text.markup import is_emoji

Table = list[tuple[str, str, Replacement]]
"""Rules as (kind, pattern, replace)."""

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3040-\u30ff\uff66-\uff9f"

NUMBER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:[.．]\d++)?+"
"""With commas between groups of three digits, and a decimal point."""

START = r"(?<![\d.．])(?<!\d,)"
"""No number begins within another one."""

SIGN = r"(?:(?<![A-Za-z\d)）%％℃])[-−－+＋±])?"
"""Of an amount with a unit; a hyphen behind a letter or a number is none."""

DASH = r"\s?[-–—~～〜∼－]\s?"
"""Between the ends of a range."""

LONG_ROW = r"(?<!\d)\d{16,}+"
"""Digits that name no amount."""

EMOJI = (
    "[\U0001f000-\U0001f1ff\U0001f300-\U0001faff\u2600-\u2775\u2794-\u27bf\u231a\u231b\u23e9-\u23fa"
    "\u2b05-\u2b55\u2934\u2935][\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*+"
)
_ROMAN_LETTERS = (
    "(?<=第)[IVX]{1,6}(?![A-Za-z])|(?<![A-Za-z])(?!X++(?![IV]))"
    "(?:[IVX]{2,6}(?=[级級期型类類章节節卷部度])|[IVX](?=[级級期章卷]))"
)
"""Letters that are a numeral by what is beside them; XX级 is no number."""

ROMAN = f"[\u2160-\u216b]|{_ROMAN_LETTERS}"

VULGAR = "[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒]"
SUPERSCRIPTS = "²³"
GROUPED_BY_SPACES = (
    r"(?<![\d.,-])(?:\d{1,3}(?: \d{3}){2,5}|\d{1,3}(?:[\u00a0\u2009\u202f]\d{3}){1,5})"
    r"(?![\d-]| \d)"
)
SPACES_OF_NUMBERS = rf"(?<=[{HAN}])[ \u00a0]++(?=\d)|(?<=\d)[ \u00a0]++(?=[{HAN}])"
"""Between digits and characters they are for the eye; spoken, they would be pauses."""

ADDRESSES = r"(?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
DOTTED = r"(?<![\d.])\d++(?:\.\d++){2,}+"

_WIDE = re.compile(r"[\uff10-\uff19％]|(?<=[\uff10-\uff19])．(?=[\uff10-\uff19])")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_LONGEST_ROW = 16


def plain(text: str) -> str:
    """ASCII digits without commas: `１,２３４` -> 1234."""
    return unicodedata.normalize("NFKC", text).replace(",", "").replace("−", "-")


def with_plain_digits(mapped: MappedText) -> MappedText:
    """Full-width digits, points and per cent signs as the plain ones."""
    if not _WIDE.search(mapped.text):
        return mapped
    return mapped.sub(_WIDE, lambda match: unicodedata.normalize("NFKC", match[0]))


def drop_emoji(match: re.Match[str]) -> str | None:
    """Nothing for a picture; None for other signs of the same blocks."""
    return "" if is_emoji(match[0][0]) else None


@lru_cache(maxsize=256)
def roman_value(text: str) -> int:
    """1 to 39 of a Roman numeral; 0 if it is none."""
    letters = unicodedata.normalize("NFKC", text)
    if not re.fullmatch("X{0,3}(?:IX|IV|V?I{0,3})", letters):
        return 0
    values = [_ROMAN_VALUES[letter] for letter in letters]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < following else value for value, following in pairs)


def is_row(digits: str) -> bool:
    """Whether digits are read one by one: too many for an amount, or with a zero in front."""
    return len(digits) > _LONGEST_ROW or (len(digits) > 1 and digits[0] == "0")


def is_date(match: re.Match[str]) -> bool:
    """Whether the groups m and d may be a month and a day."""
    return 1 <= int(match["m"]) <= 12 and 1 <= int(match["d"]) <= 31


@lru_cache(maxsize=64)
def vulgar_fraction(sign: str) -> tuple[str, str]:
    """Numerator and denominator of `½`."""
    above, below = unicodedata.normalize("NFKC", sign).split("⁄")
    return above, below


def fraction_parts(match: re.Match[str]) -> tuple[str, str, str]:
    """Whole number or "", numerator and denominator of a match of `FRACTION`."""
    whole = match["whole"] or ""
    if match["vulgar"]:
        return whole, *vulgar_fraction(match["vulgar"])
    return whole, match["above"], match["below"]


FRACTION = (
    rf"(?:(?<![\d./-])(?P<whole>\d{{1,4}}+)(?:\s|(?={VULGAR}))|(?<![\d./]))"
    rf"(?:(?P<vulgar>{VULGAR})|(?P<above>\d{{1,3}}+)[/⁄](?P<below>[1-9]\d{{0,2}}+)(?![\d/.]))"
)


class Units:
    """Units of a language, and how their compounds are said.

    Args:
        names: of each unit as it is written.
        per: two spoken units to `km/h`.
    """

    def __init__(self, names: Mapping[str, str], per: Callable[[str, str], str]) -> None:
        self._names = names
        self._per = per

    def say(self, written: str) -> str:
        """A unit, or two with a slash between."""
        unit = unicodedata.normalize("NFKC", written)
        if unit in self._names:
            return self._names[unit]
        above, _, below = unit.partition("/")
        return self._per(self._names[above], self._names[below])


def spellings(units: Iterable[str]) -> str:
    """A pattern of units and of two with a slash between, longest first.

    A letter behind it would make another word of it.
    """
    ordered = sorted(units, key=lambda unit: (-len(unit), unit))
    one = "|".join(map(re.escape, ordered))
    return rf"(?:(?:{one})(?:/(?:{one}))?(?![A-Za-z])|{SQUARE_UNITS})"


SQUARE_UNITS = "[㎡㎥㎢㎏㎎㎜㎝㎞㎖㎘㏄㎐]"
UNITS = (
    *("nm", "µm", "μm", "mm", "cm", "dm", "m", "km", "mm2", "cm2", "m2", "km2", "cm3", "m3"),
    *("mm²", "cm²", "m²", "km²", "cm³", "m³", "µg", "μg", "mg", "g", "kg", "t", "ml", "mL", "L"),
    *("cc", "dl", "dL", "mol", "mmol", "ms", "s", "min", "h", "Hz", "kHz", "MHz", "GHz", "dB"),
    *("V", "kV", "mV", "W", "kW", "MW", "kWh", "mA", "mAh", "Pa", "kPa", "MPa", "hPa", "mmHg"),
    *("J", "kJ", "cal", "kcal", "ha", "rpm", "fps", "Mbps", "Gbps", "km/h", "m/s"),
)
"""Units that Chinese and Japanese texts write in Latin letters; each language names them."""

UNIT = spellings(UNITS)

CODE_LETTERS = (
    r"(?<![A-Za-z\d])(?!USD|EUR|CNY|RMB|HKD|GBP|JPY)[A-Z]{1,3}(?=\d{3,4}(?![A-Za-z\d.,:/%-]))"
)
"""Before the digits of a flight, a train or a type: CA1234."""

_LATIN_OF_NUMBERS = (
    rf"(?<=\d)[ \u00a0]?(?:{UNIT}|°[CF](?![A-Za-z])|[AaPp][Mm](?![A-Za-z]))|(?:US|HK|NT)\$(?=\d)"
    rf"|{_ROMAN_LETTERS}"
    r"|QQ(?=[号號]?[是为:：]?\s?\d)"
    rf"|{CODE_LETTERS}"
)
"""Latin letters that belong to a number beside them: they are no English words."""

_NUMERIC = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u218f\u2460-\u24ff"
_RUNS = re.compile(
    rf"{_LATIN_OF_NUMBERS}|(?P<own>[{HAN}{KANA}、。，；：！？「」（）《》]++)"
    rf"|(?P<foreign>(?:https?://|www\.)[!-~]++|[^\W\d_{HAN}{KANA}{_NUMERIC}]++-?)"
)


_NEGATIVE_RESULT = re.compile(r"(?<=[=＝≈≒])(\s?)[-−](?=\d)")
_OPERATOR = re.compile(r"\s?([-−－+＋*×✕xX÷/=＝≈≒])\s?")


def equation(
    text: str, operators: Mapping[str, str], minus: str, number: Callable[[str], str]
) -> str:
    """A calculation in words: 3 + 4 = 7.

    Args:
        operators: the word for each sign.
        minus: the word before a negative result.
        number: digits to words.
    """
    words = _OPERATOR.sub(lambda m: operators[m[1]], _NEGATIVE_RESULT.sub(rf"\1{minus}", text))
    return re.sub(NUMBER, lambda m: number(m[0]), words)


def split_scripts(mapped: MappedText, language: str) -> Iterator[tuple[MappedText, str]]:
    """Parts of a Chinese or Japanese text and the language of each: foreign words are English.

    Digits and marks between foreign words go with them, all others with the language of the text,
    as units do: 限速60km/h is one part.
    """
    start = 0
    runs = (run for run in _RUNS.finditer(mapped.text) if run.lastgroup)
    for script, group in groupby(runs, key=lambda run: run.lastgroup):
        if script == "foreign":
            words = list(group)
            first, last = words[0].start(), words[-1].end()
            yield mapped[start:first], language
            yield mapped[first:last], "en"
            start = last
    yield mapped[start:], language


def translated(replace: Replacement, table: Mapping[int, int]) -> Replacement:
    """A replacement with some of its characters written otherwise."""

    def say(match: re.Match[str]) -> str | None:
        new = replace(match)
        return None if new is None else new.translate(dict(table))

    return say
