"""What `<say-as interpret-as="...">` makes of words: characters, numbers, dates, telephone numbers.

Single digits become words here, for the words beside them must not change how they are read.
Ordinals and dates become what the rules of normalization read in place: "3rd", "2024-04-03".
"""

from __future__ import annotations

import datetime
import importlib
import re
from collections.abc import Mapping
from functools import lru_cache

from f5serve.text import numbers
from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.european_language import EuropeanLanguage
from f5serve.text.normalization.normalizer import LANGUAGES, normalize

_CJK = ("zh", "ja")
_SIGN_NAMES = {
    "zh": {
        ".": "点", "@": "艾特", "-": "杠", "/": "斜杠", "_": "下划线", "#": "井号", "+": "加",
        ":": "冒号", "*": "星号", "&": "和", "=": "等于", "%": "百分号", "?": "问号",
    },
    "ja": {
        ".": "ドット", "@": "アットマーク", "-": "ハイフン", "/": "スラッシュ",
        "_": "アンダーバー", "#": "シャープ", "+": "プラス", ":": "コロン", "*": "アスタリスク",
        "&": "アンド", "=": "イコール", "%": "パーセント", "?": "クエスチョンマーク",
    },
}  # fmt: skip
_ORDINAL_MARKS = {"de": ".", "fr": "e", "es": ".º", "it": "º", "pt": "º"}
_ORDINAL_RULESETS = {
    "de": "spellout-ordinal",
    "ko": "spellout-ordinal-native-count",
    "nl": "spellout-ordinal",
    "ru": "spellout-ordinal-masculine",
    "sv": "spellout-ordinal-neuter",
}
"""Rules of CLDR; German has them where no word follows that decides the ending."""

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_WRITTEN_ORDINAL = re.compile(
    r"(?:第\s?)?(\d{1,15})\s?(?:st|nd|rd|th|er|re|ère|[eè]me|e|[.]?[ºª°]|\.)?", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+", re.ASCII)
_ALNUM = re.compile(r"[^\W_]+")
_REPEATED = re.compile(r"(.)\1+")
_ENDS_SENTENCE = ".!?…。！？"
_FIRST_OF_LAST_CENTURY = 70
"""Two digits of a year from here on are of 19xx, as in the calendars of computers."""


def say_as(
    text: str, kind: str, date_format: str, language: str, around: tuple[str, str] = ("", "")
) -> str | None:
    """What is spoken for `text`, or a form of it that normalization reads; None if it does not fit.

    Args:
        kind: one of `aliases.KINDS`.
        date_format: the order of day, month and year, such as "dmy"; "" leaves it to normalization.
        language: ISO 639-1; "" where it is unknown.
        around: what is written before and behind it.
    """
    text = text.strip()
    if kind in ("characters", "spell-out", "verbatim", "digits"):
        return _characters(text, language)
    if kind == "telephone":
        return _telephone(text, language)
    if kind in ("cardinal", "number"):
        return _cardinal(text, language)
    if kind == "ordinal":
        return _ordinal(text, language, around)
    date = _date(text, date_format, language)
    is_written_behind = date and date[-1] in "年月日" and around[1].startswith(date[-1])
    return date[:-1] if date and is_written_behind else date


def _characters(text: str, language: str) -> str:
    found = (_say_character(char, language) for char in text)
    return " ".join(filter(None, found)) or text


@lru_cache(maxsize=4096)
def _say_character(char: str, language: str) -> str:
    """A digit or a sign as a word, a letter as a capital; "" for what is not spoken."""
    if char.isdecimal():
        return normalize(MappedText.of(str(int(char))), language).mapped.text
    if char.isalpha():
        return char.upper() if len(char.upper()) == 1 else char
    if char.isspace():
        return ""
    return _sign_names(language).get(char, "" if char in _ENDS_SENTENCE else char)


def _sign_names(language: str) -> Mapping[str, str]:
    if language == "en":
        from f5serve.text.normalization.english_codes import SIGN_NAMES

        return SIGN_NAMES
    if language in _CJK or language not in LANGUAGES:
        return _SIGN_NAMES.get(language, {})
    return _rules(language).signs.address


def _rules(language: str) -> EuropeanLanguage:
    module = importlib.import_module(f"f5serve.text.normalization.{LANGUAGES[language]}")
    rules: EuropeanLanguage = module.LANGUAGE
    return rules


def _telephone(text: str, language: str) -> str | None:
    """Digits one by one, with a pause wherever something else stands between them."""
    groups = [_characters(group, language) for group in _ALNUM.findall(text)]
    if not _DIGITS.search(text):
        return None
    if language == "zh":
        groups = [group.replace("一", "幺") for group in groups]
    plus = _characters("+", language) if text.startswith("+") else ""
    return f"{plus} {', '.join(groups)}".strip()


def _cardinal(text: str, language: str) -> str | None:
    """A whole number that is no year; what has marks within is left to normalization."""
    if not any(map(str.isdecimal, text)):
        return None
    if language == "en" and _WHOLE.fullmatch(text):
        return numbers.cardinal(text)
    return text


def _ordinal(text: str, language: str, around: tuple[str, str]) -> str | None:
    match = _WRITTEN_ORDINAL.fullmatch(text)
    if match is None:
        return None
    digits = str(int(match[1]))
    if language == "en":
        return numbers.ordinal(digits)
    if language in _CJK:
        return f"第{digits}"
    written = digits + _ORDINAL_MARKS.get(language, "")
    if language in _ORDINAL_MARKS and (language != "de" or _is_german_ordinal(written, around)):
        return written
    ruleset = _ORDINAL_RULESETS.get(language)
    spell = numbers.ruleset_speller(language, ruleset) if ruleset else None
    return (spell(int(digits)) or None) if spell else None


def _is_german_ordinal(written: str, around: tuple[str, str]) -> bool:
    """Whether "3." is read as an ordinal here, with the ending that its place asks for."""
    before, following = around
    spoken = normalize(MappedText.of(before + written + following), "de").mapped
    stop = len(before) + len(written)
    return all(
        char != "." for char, span in zip(spoken.text, spoken.spans, strict=True) if span[1] == stop
    )


def _date(text: str, date_format: str, language: str) -> str | None:
    order = _REPEATED.sub(r"\1", date_format.lower())
    if not order or any(map(str.isalpha, text)):
        return text  # normalization knows names of months, and dates in a language's own order
    parts = _date_parts(text, date_format.lower(), order)
    if parts is None or set(order) - set("dmy") or len(set(order)) < len(order):
        return None
    found = dict(zip(order, map(int, parts), strict=True))
    if "y" in found and len(parts[order.index("y")]) == 2:
        found["y"] += 1900 if found["y"] >= _FIRST_OF_LAST_CENTURY else 2000
    try:
        datetime.date(found.get("y", 2000), found.get("m", 1), found.get("d", 1))
    except (ValueError, OverflowError):
        return None
    return _written_date(found, language)


def _date_parts(text: str, date_format: str, order: str) -> list[str] | None:
    """The numbers of a date; without marks between them their lengths are those of the format."""
    parts = _DIGITS.findall(text)
    if len(parts) == 1 and len(order) > 1 and len(date_format) == len(parts[0]):
        places = [date_format.index(letter) for letter in order]
        parts = [
            parts[0][start:end] for start, end in zip(places, [*places[1:], None], strict=True)
        ]
    return parts if len(parts) == len(order) and all(len(part) < 5 for part in parts) else None


def _written_date(found: dict[str, int], language: str) -> str | None:
    year, month, day = found.get("y"), found.get("m"), found.get("d")
    if language not in LANGUAGES and month is not None:
        return None
    if year and month and day:
        return f"{year:04}-{month:02}-{day:02}"
    if language in _CJK:
        years = "" if year is None else f"{year}年"
        return years + (f"{month}月" if month else "") + (f"{day}日" if day else "")
    if month is None:
        return str(year) if day is None else _ordinal(str(day), language, ("", ""))
    if language == "en":
        from f5serve.text.normalization.english_tables import MONTHS

        name = MONTHS[month - 1]
        return f"{name} {day or year}" if day or year else name
    dates = _rules(language).dates
    name = dates.months[month - 1]
    if day:
        return f"{day}{'.' if language == 'de' else ''}{dates.of_month}{name}"
    return f"{name}{dates.of_year}{year}" if year else str(name)
