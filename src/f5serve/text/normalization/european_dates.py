"""Dates, weekdays and times of day in European languages."""

from __future__ import annotations

import re

from f5serve.text.normalization.european_language import EuropeanLanguage
from f5serve.text.normalization.european_match import RuleRow, any_of, word_before
from f5serve.text.normalization.european_numbers import DASH, SPACE

_BEGIN = r"(?<![\w.,/-])"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_HOUR = r"(?:2[0-4]|[01]?\d)"
_MINUTE = r"[0-5]\d"
_LATEST_SHORT_YEAR = 40
"""Two digits up to this are a year after 2000."""


def date_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Rules in the order in which they apply."""
    return [*_weekdays(language), *_numeric(language), *_written(language), *_times(language)]


def _date_words(language: EuropeanLanguage, lead: str, day: int, month: int, year: str) -> str:
    dates = language.dates
    words = f"{dates.day(lead, day)}{dates.of_month}{dates.months[month - 1]}"
    return f"{words}{dates.of_year}{language.numbers.year(year)}" if year else words


def _full_year(year: str) -> str:
    if len(year) != 2:
        return year
    return ("20" if int(year) <= _LATEST_SHORT_YEAR else "19") + year


def _numeric(language: EuropeanLanguage) -> list[RuleRow]:
    dates = language.dates

    def end(match: re.Match[str]) -> str:
        return f" {dates.to or language.to} " if match["to"] else ""

    def say(match: re.Match[str]) -> str | None:
        day, month = int(match["day"]), int(match["month"])
        if month > 12 >= day:
            day, month = month, day
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return None
        lead = word_before(match)
        words = _date_words(language, lead, day, month, _full_year(match["year"]))
        if match["first"]:
            begin = dates.day(lead, int(match["first"]))
            if match["first_month"]:
                month = int(match["first_month"])
                begin = _date_words(language, lead, int(match["first"]), month, "")
            words = f"{begin} {dates.to or language.to} {words}"
        return words + end(match)

    def say_short(match: re.Match[str]) -> str | None:
        lead = word_before(match)
        is_clear = len(match[0]) == len("14.07.") and dates.has_dotted and not match["to"]
        if not is_clear and lead.lower() not in dates.leads and not match["to"]:
            return None
        return _date_words(language, lead, int(match["day"]), int(match["month"]), "") + end(match)

    month = r"(?P<month>0?[1-9]|1[0-2])"
    to = rf"(?P<to>{DASH}(?={_DAY}[./]))?"
    short = rf"/{month}(?!\d|/)" if not dates.has_dotted else rf"\.{SPACE}?{month}\.(?!\d)"
    return [
        (
            "date",
            r"(?<![\w-])(?P<year>[12]\d{3})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12]\d|3[01])"
            r"(?![\d-])(?P<first>)(?P<first_month>)(?P<to>)(?:T(?=\d\d:))?",
            lambda match: f"{say(match)} " if match[0].endswith("T") else say(match),
        ),
        (
            "date",
            rf"{_BEGIN}(?:(?P<first>{_DAY})(?:[./](?P<first_month>0?[1-9]|1[0-2]))?\.?{DASH})?"
            rf"(?P<day>\d{{1,2}})(?P<mark>[/-]|\.{SPACE}?)"
            rf"(?P<month>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|(?<![-])\d{{2}})(?![\d/]|[.-]\d){to}",
            say,
        ),
        ("date", rf"{_BEGIN}(?P<day>{_DAY}){short}{to}", say_short),
    ]


def _month_pattern(language: EuropeanLanguage) -> str:
    dates = language.dates
    short = any_of(dates.month_abbreviations)
    return rf"(?P<month>(?i:{any_of(dates.months)})(?!\w)|(?i:{short})(?!\w)\.?)"


def _month_number(language: EuropeanLanguage, text: str) -> int:
    dates, name = language.dates, text.rstrip(".").lower()
    shorts = {key.lower(): value for key, value in dates.month_abbreviations.items()}
    full = shorts.get(name, name).lower()
    return [month.lower() for month in dates.months].index(full) + 1


def _written(language: EuropeanLanguage) -> list[RuleRow]:
    dates = language.dates
    link = f"(?:{dates.month_link})?" if dates.month_link else ""
    mark = dates.day_mark

    def say(match: re.Match[str]) -> str:
        lead, month = word_before(match), _month_number(language, match["month"])
        words = _date_words(language, lead, int(match["day"]), month, match["year"] or "")
        if match["first"]:
            words = f"{dates.day(lead, int(match['first']))} {dates.to or language.to} {words}"
        return words

    def say_month(match: re.Match[str]) -> str:
        return dates.months[_month_number(language, match["month"]) - 1]

    return [
        (
            "date",
            rf"{_BEGIN}(?:(?P<first>{_DAY}){mark}{SPACE}?[-–—]{SPACE}?)?(?P<day>{_DAY}){mark}"
            rf"{SPACE}?(?<![\d]){link}{_month_pattern(language)}"
            rf"(?:,?{SPACE}{link}(?P<year>[12]\d{{3}})(?!\d|[.,]\d))?",
            say,
        ),
        (
            "date",
            rf"(?<!\w)(?P<month>(?:{any_of(dates.month_abbreviations)})(?!\w)\.?)"
            rf"(?={SPACE}{link}[12]\d{{3}}(?!\d))",
            say_month,
        ),
    ]


def _weekdays(language: EuropeanLanguage) -> list[RuleRow]:
    short = language.dates.weekday_abbreviations
    names = any_of(short)
    to = language.dates.to or language.to
    suffix = "|".join(filter(None, (language.times.hour_letter, language.times.suffix)))
    return [
        (
            "date",
            rf"(?<!\w)({names})\.?{SPACE}?[-–—]{SPACE}?({names})(?!\w)\.?",
            lambda match: f"{short[match[1]]} {to} {short[match[2]]}",
        ),
        (
            "date",
            rf"(?<!\w)({names})(?:\.(?=,?{SPACE}\d)|"
            rf"(?=,?{SPACE}\d{{1,2}}(?:[.:/]|(?:[-–]\d{{1,2}})?{SPACE}?(?:{suffix})(?!\w))))",
            lambda match: short[match[1]],
        ),
    ]


def _times(language: EuropeanLanguage) -> list[RuleRow]:
    times = language.times
    letter = rf"|{SPACE}?(?:{times.hour_letter}){SPACE}?" if times.hour_letter else ""
    suffix = rf"{times.hour_letter}|{times.suffix}" if times.hour_letter else times.suffix

    def say(match: re.Match[str]) -> str | None:
        mark, end = match["mark"], match["suffix"] or ""
        if mark in (None, ".") and not end:
            return None
        second = int(match["second"]) if match["second"] else None
        words = times.say(int(match["hour"]), int(match["minute"] or 0), second, end)
        if match["to"]:
            return f"{words} {times.to} "
        if not match["hour2"]:
            return words
        until = times.say(int(match["hour2"]), int(match["minute2"] or 0), None, end)
        return f"{words} {times.to} {until}"

    return [
        (
            "time",
            rf"(?<![\w:.,/])(?P<hour>{_HOUR})(?!\d)(?:(?P<mark>[:.]{letter})(?P<minute>{_MINUTE})"
            rf"(?::(?P<second>{_MINUTE}))?(?!\d))?"
            rf"(?:{DASH}(?P<hour2>{_HOUR})(?!\d)(?:(?:[:.]{letter})(?P<minute2>{_MINUTE}))?"
            rf"(?=[^\d:]|$))?(?:{SPACE}?(?P<suffix>{suffix})(?!\w))?(?!\d|:\d)"
            rf"(?P<to>{DASH}(?={_HOUR}(?:[:.]{_MINUTE}|{SPACE}?(?:{suffix})(?![^\W\d]))))?",
            say,
        ),
    ]
