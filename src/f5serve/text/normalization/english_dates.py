"""Dates, times, years and decades in written English; a numeric date has its month first."""

from __future__ import annotations

import re

from f5serve.text import numbers
from f5serve.text.normalization.english_patterns import APOSTROPHE, INT, Table, alternatives, closed
from f5serve.text.normalization.english_tables import MONTHS, WEEKDAYS

_SHORT = {month[:3]: month for month in MONTHS if month != "May"} | {"Sept": "September"}
_NAMES = {**{month: month for month in MONTHS}, **_SHORT}
_DAYS_AND_MONTHS = {**WEEKDAYS, **_SHORT}
_NAME = alternatives(_NAMES)
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_SUFFIX = "(?:st|nd|rd|th)"
_YEAR = r"(?:1\d{3}|20\d\d)(?![\d:])"
_NOON = r"(?:[ap]\.m\.|[AP]\.M\.|[ap]m\b|[AP]M\b)"
_BEFORE_A_MONTH = (
    "in|In|since|Since|until|Until|by|By|last|Last|next|Next|from|From|of|early|late|mid"
)
_BEFORE_A_DAY = "on|On|by|By|until|Until|since|Since|due|Due|before|Before|after|After"
_BOOKS = (
    "Genesis|Exodus|Leviticus|Deuteronomy|Joshua|Samuel|Kings|Psalms?|Proverbs|Ecclesiastes|Isaiah"
    "|Jeremiah|Ezekiel|Daniel|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians|Ephesians"
    "|Philippians|Colossians|Thessalonians|Timothy|Hebrews|James|Peter|Revelation"
)


_NUMERIC = r"(?<![-/.:])\b(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d\d)(?![\d/-]|\.\d)"
_DAY_AND_MONTH = rf"\b({_BEFORE_A_DAY})\s(\d{{1,2}})/(\d{{1,2}})(?![\d/]|[.,]\d|\sof\b|\scup)"


def dates() -> Table:
    """Rules for dates and names of months and weekdays."""
    return [*_full_dates(), *_names_alone()]


def day_first_dates() -> Table:
    """Rules that come before the others where numeric dates have their day first."""
    return [
        ("date", _NUMERIC, _say_numeric_day_first),
        ("date", _DAY_AND_MONTH, _say_day_and_month),
    ]


def _full_dates() -> Table:
    return [
        (
            "date",
            r"(?<![-/.])\b([12]\d{3})([-/.])(\d\d?)\2(\d\d?)(?:(?![\d/-]|\.\d)(?<!.T)|(?=T\d))"
            r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::\d\d)?(?:\.\d++)?(?:Z\b|[+-]\d\d:?\d\d\b)?)?",
            _say_iso,
        ),
        (
            "date",
            _NUMERIC,
            _say_numeric,
        ),
        (
            "date",
            r"(\d(?<![\w/.,-]\d)\d?)/((?:19|20)\d\d)(?![\d/-]|[.,]\d)",
            _say_month_and_year,
        ),
        (
            "date",
            _DAY_AND_MONTH,
            _say_month_and_day,
        ),
        (
            "date",
            rf"\b(?P<month>{_NAME})\.?\s(?P<day>{_DAY}){_SUFFIX}?(?:\s?[-–]\s?(?P<last>{_DAY}){_SUFFIX}?)?"
            rf"(?![\w%°/-]|[:.,]\d)(?:,?\s(?P<year>{_YEAR}))?",
            _say_month_first,
        ),
        (
            "date",
            rf"(?P<day>\d(?<![\w.,:/$€£-]\d)\d?){_SUFFIX}?\s(?:of\s)?"
            rf"(?P<month>{_NAME})\b\.?(?:,?\s(?P<year>{_YEAR}))?",
            _say_day_first,
        ),
    ]


def _names_alone() -> Table:
    return [
        (
            "date",
            rf"\b({alternatives(_DAYS_AND_MONTHS)})\.?\s?(?:[-–]|&|to)\s?"
            rf"({alternatives(_DAYS_AND_MONTHS)})\b(?!['’-])\.?",
            _say_names,
        ),
        (
            "date",
            rf"\b({alternatives(_SHORT)})\.?\s['’](\d\d)(?!\w)",
            lambda m: f"{_SHORT[m[1]]} {_two_digits(m[2])}",
        ),
        ("date", rf"\b({alternatives(_SHORT)})\.?\s(?=\d{{4}}\b)", lambda m: f"{_SHORT[m[1]]} "),
        (
            "date",
            rf"\b({_BEFORE_A_MONTH})\s({alternatives(_SHORT)})\.",
            lambda m: closed(m, f"{m[1]} {_SHORT[m[2]]}"),
        ),
        (
            "date",
            rf"\b([Oo]n|[Nn]ext|[Ll]ast|[Ee]very|[Bb]y|[Uu]ntil)\s({alternatives(WEEKDAYS)})\.",
            lambda m: closed(m, f"{m[1]} {WEEKDAYS[m[2]]}"),
        ),
        (
            "date",
            rf"\b({alternatives(WEEKDAYS)})\.(?=,|\s?[-–]\s?[A-Z]|\s\d|\s(?:at|{'|'.join(MONTHS)})\b)",
            lambda m: WEEKDAYS[m[1]],
        ),
    ]


def times() -> Table:
    """Rules for times of the day."""
    to = r"(?P<to>\s?[-–—]\s?(?=[012]?\d(?:(?::[0-5]\d)|\s?[ap]\.?m)))?"
    return [
        (
            "ratio",
            rf"\b({_BOOKS})\s(\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?(?![\d:])",
            _say_verse,
        ),
        ("ratio", r"(\b[Rr]atio\s(?:of\s|is\s)?)(\d++):(\d++)(?!:)", _say_named_ratio),
        (
            "time",
            r"(?P<hour>\d(?<![\w.:,]\d)\d?):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:])"
            rf"(?:\s?(?P<noon>{_NOON}))?{to}",
            _say_time,
        ),
        (
            "time",
            r"(?P<hour>\d(?<![\w.:,$£€]\d)\d?(?:\s?[-–]\s?\d\d?)?)"
            rf"\s?(?P<noon>{_NOON}){to}",
            _say_hour,
        ),
    ]


def years() -> Table:
    """Rules for decades, spans of years and single years."""
    return [
        (
            "year",
            rf"['’‘](?<!\w['’‘])(?=\d0{APOSTROPHE}?s\b)",
            lambda m: "",
        ),
        ("year", rf"(\d(?<![\w.,$£€]\d)(?:\d\d)?0){APOSTROPHE}?s\b", _say_decade),
        ("year", r"['’](?<!\w['’])(\d\d)(?![\w%'’]|[.,]\d)", lambda m: _two_digits(m[1])),
        (
            "year",
            r"\b([Ii]n|[Ss]ince|[Yy]ear|[Uu]ntil|[Cc]irca)\s(10\d\d)(?!\w|[.,]\d|\s?%)",
            lambda m: f"{m[1]} {numbers.year(m[2])}",
        ),
        (
            "year",
            r"(\d(?<![\w.,-]\d)\d{3})\s?[-–—]\s?(1\d{3}|20\d\d|\d\d)(?![\d-]|[.,]\d|%)",
            _say_years,
        ),
    ]


def ordinals() -> Table:
    """Rules for places in a row: "1st", "1,000th"."""
    return [
        (
            "ordinal",
            rf"({INT}(?:,\d{{3}}(?!\d))*+)(?:st|nd|rd|th|ST|ND|RD|TH)\b",
            lambda m: numbers.ordinal(m[1].replace(",", "")),
        ),
    ]


def _say_year(text: str) -> str:
    return numbers.year(text) if len(text) == 4 else _two_digits(text)


def _two_digits(text: str) -> str:
    return f"oh {numbers.digits(text[1])}" if text[0] == "0" else numbers.cardinal(text)


def _say_date(month: int, day: int, year: str = "") -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    words = f"{MONTHS[month - 1]} {numbers.ordinal(str(day))}"
    return f"{words}, {_say_year(year)}" if year else words


def _say_iso(match: re.Match[str]) -> str | None:
    words = _say_date(int(match[3]), int(match[4]), match[1])
    if words is None or match["hour"] is None:
        return words
    return f"{words}, {_clock(match['hour'], match['minute'])}"


def _say_numeric(match: re.Match[str]) -> str | None:
    first, second, year = int(match[1]), int(match[3]), match[4]
    if match[2] != "/" and len(year) == 2:
        return None
    if match[2] == ".":  # as Europeans write it
        first, second = second, first
    return _say_date(first, second, year) or _say_date(second, first, year)


def _say_numeric_day_first(match: re.Match[str]) -> str | None:
    first, second, year = int(match[1]), int(match[3]), match[4]
    if match[2] != "/" and len(year) == 2:
        return None
    return _say_date(second, first, year) or _say_date(first, second, year)


def _say_day_and_month(match: re.Match[str]) -> str | None:
    words = _say_date(int(match[3]), int(match[2]))
    return words and f"{match[1]} {words}"


def _say_month_and_day(match: re.Match[str]) -> str | None:
    words = _say_date(int(match[2]), int(match[3]))
    return words and f"{match[1]} {words}"


def _say_month_and_year(match: re.Match[str]) -> str | None:
    month = int(match[1])
    return f"{MONTHS[month - 1]} {_say_year(match[2])}" if 1 <= month <= 12 else None


def _say_month_first(match: re.Match[str]) -> str:
    words = f"{_NAMES[match['month']]} {_ordinal(match['day'])}"
    if match["last"]:
        words += f" to {_ordinal(match['last'])}"
    return f"{words}, {_say_year(match['year'])}" if match["year"] else words


def _say_day_first(match: re.Match[str]) -> str | None:
    if not 1 <= int(match["day"]) <= 31:
        return None
    has_article = match.string[max(0, match.start() - 4) : match.start()].lower() == "the "
    article = "" if has_article else "the "
    words = f"{article}{_ordinal(match['day'])} of {_NAMES[match['month']]}"
    return f"{words}, {_say_year(match['year'])}" if match["year"] else words


def _ordinal(day: str) -> str:
    return numbers.ordinal(numbers.plain(day))


def _say_named_ratio(match: re.Match[str]) -> str:
    return f"{match[1]}{numbers.cardinal(match[2])} to {numbers.cardinal(match[3])}"


def _say_names(match: re.Match[str]) -> str:
    first, last = _DAYS_AND_MONTHS[match[1]], _DAYS_AND_MONTHS[match[2]]
    return closed(match, f"{first} {'and' if '&' in match[0] else 'to'} {last}")


def _say_verse(match: re.Match[str]) -> str:
    words = f"{match[1]} {numbers.cardinal(match[2])} {numbers.cardinal(match[3])}"
    return f"{words} to {numbers.cardinal(match[4])}" if match[4] else words


def _clock(hour: str, minute: str) -> str:
    """ "10", "05" -> "ten oh five"; "06", "00" -> "six o'clock"."""
    hour = numbers.cardinal(str(int(hour)))
    return f"{hour} o'clock" if minute == "00" else f"{hour} {_two_digits(minute)}"


def _say_time(match: re.Match[str]) -> str | None:
    hour, minute = match["hour"], match["minute"]
    if int(hour) > 24:
        return None
    words = _clock(hour, minute)
    if minute == "00" and (match["noon"] or match["second"]):
        words = numbers.cardinal(str(int(hour)))
    if match["second"]:
        seconds = str(int(match["second"]))
        words += f" and {numbers.cardinal(seconds)} second{'' if seconds == '1' else 's'}"
    return f"{words}{_noon(match)}"


def _say_hour(match: re.Match[str]) -> str | None:
    hours = re.findall(r"\d+", match["hour"])
    if not all(1 <= int(hour) <= 12 for hour in hours):
        return None
    return " to ".join(numbers.cardinal(numbers.plain(hour)) for hour in hours) + _noon(match)


def _noon(match: re.Match[str]) -> str:
    """Capitals, because "am" is a word."""
    noon = match["noon"] or ""
    spoken = noon if "." in noon else ".".join(noon.upper())
    return f"{' ' if noon else ''}{spoken}{' to' if match['to'] else ''}"


def _say_decade(match: re.Match[str]) -> str | None:
    number = match[1]
    if len(number) == 4:
        return numbers.plural(numbers.year(number)) if number[0] in "12" else None
    return numbers.plural(numbers.cardinal(number)) if number != "00" else "two thousands"


def _say_years(match: re.Match[str]) -> str | None:
    first, last = match[1], match[2]
    if not "1000" <= first <= "2099":
        return None
    if len(last) == 2 and last <= first[2:]:
        return f"{MONTHS[int(last) - 1]} {_say_year(first)}" if "01" <= last <= "12" else None
    return f"{_say_year(first)} to {_say_year(last)}"
