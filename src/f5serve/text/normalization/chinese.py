"""Normalizes Chinese: numbers, dates, money, units and signs become words, in Han characters.

Rules of our own, not a weighted transducer: the tables of `wetext` take a millisecond for each
digit, and a kind that is left alone needs a pattern of its own in any case.
"""

from __future__ import annotations

import re
from functools import lru_cache

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization import cjk
from f5serve.text.normalization.chinese_amounts import amounts, numbers, plain_numbers, signs
from f5serve.text.normalization.chinese_tables import (
    DIGITS,
    DURATION,
    MEASURE_WORDS,
    MODEL_NAMES,
    ROW_OF_DIGITS,
    SERVICE_BEFORE_ITS_NAME,
    SERVICE_BEHIND_A_VERB,
    SINCE,
    SPOKEN_ROW,
    TELEPHONE,
    TO,
    TO_TRADITIONAL,
    TRADITIONAL,
    WON,
    cardinal,
    number,
    read_digits,
    score,
)
from f5serve.text.normalization.cjk import DASH, HAN, NUMBER, Table
from f5serve.text.normalization.rules import Rule, apply_rules, make_rules

_ANYTHING_TO_SAY = re.compile(
    rf"\d|[{cjk.SUPERSCRIPTS}{cjk.VULGAR[1:-1]}\u2160-\u216b]|[IVX]|[^\w\s，。！？；：、“”‘’（）《》—…,.!?;:'\"()]"
)
_CLOCK = r"(?P<{0}h>[01]?\d|2[0-4])[:：](?P<{0}m>[0-5]\d)(?:[:：](?P<{0}s>[0-5]\d))?(?![\d:：])"
_DAY = (
    r"(?<![\d./-])(?P<y>[12]\d{3})(?P<dash>[-/.])(?P<m>\d{1,2})(?P=dash)(?P<d>\d{1,2})"
    r"(?![\d/-]|\.\d)日?"
)


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What Chinese is spoken as; letters, marks and other scripts stay as they are."""
    if not _ANYTHING_TO_SAY.search(mapped.text):
        return mapped
    mapped = cjk.with_plain_digits(mapped)
    return apply_rules(mapped, _rules(TRADITIONAL.search(mapped.text) is not None), off)


@lru_cache(maxsize=2)
def _rules(is_traditional: bool) -> tuple[Rule, ...]:
    table = [*_codes(), *_dates(), *amounts(), *numbers(), *signs(), *plain_numbers()]
    if is_traditional:
        table = [(kind, what, cjk.translated(say, TO_TRADITIONAL)) for kind, what, say in table]
    return make_rules(table)


def _row(match: re.Match[str]) -> str:
    """The digits of a telephone number."""
    plus = "加" if match[0][0] in "+＋" else ""
    return plus + read_digits(match[0], SPOKEN_ROW)


def _service(match: re.Match[str]) -> str:
    return re.sub(r"\d", lambda digit: read_digits(digit[0], SPOKEN_ROW), match[0])


def _labelled_row(match: re.Match[str]) -> str:
    start = match.start("row") - match.start()
    is_phone = match[0][0] in "电電手热熱传傳身号號"
    return match[0][:start] + read_digits(match["row"], SPOKEN_ROW if is_phone else DIGITS)


def _dotted(match: re.Match[str]) -> str:
    parts = match[0].split(".")
    return "点".join(cardinal(p) if len(p) < 3 else read_digits(p) for p in parts)


def _codes() -> Table:
    """Digits that are names: each is spoken on its own."""
    return [
        ("emoji", cjk.EMOJI, cjk.drop_emoji),
        ("cardinal", cjk.SPACES_OF_NUMBERS, lambda m: ""),
        ("cardinal", cjk.GROUPED_BY_SPACES, lambda m: "".join(m[0].split())),
        ("phone", ROW_OF_DIGITS, _labelled_row),
        ("cardinal", cjk.LONG_ROW, lambda m: read_digits(m[0])),
        ("phone", TELEPHONE, _row),
        ("phone", SERVICE_BEHIND_A_VERB, _service),
        ("phone", SERVICE_BEFORE_ITS_NAME, _service),
        ("date", _DAY, _day),
        (
            "version",
            cjk.ADDRESSES,
            lambda m: "点".join(read_digits(part) for part in m[0].split(".")),
        ),
        ("version", cjk.DOTTED, _dotted),
        (
            "cardinal",
            rf"(?P<letters>{cjk.CODE_LETTERS})(?P<row>\d{{3,4}})",
            lambda m: m["letters"] + read_digits(m["row"], SPOKEN_ROW),
        ),
        (
            "date",
            rf"(?<![\d/])(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}})(?=[{HAN}]{{0,3}}[节節])",
            lambda m: cardinal(m["m"]) + cardinal(m["d"]) if cjk.is_date(m) else None,
        ),
        (
            "cardinal",
            r"(?<=波音|空客)(?P<type>\d{3})(?:-(?P<of>\d{2,4})(?![\d-]))?",
            lambda m: read_digits(m["type"]) + (f"杠{cardinal(m['of'])}" if m["of"] else ""),
        ),
        ("sign", rf"(?P<name>{MODEL_NAMES})[-－—](?=\d)", lambda m: m["name"]),
        ("handle", rf"#(?P<tag>[{HAN}]{{1,30}})#", lambda m: m["tag"]),
    ]


def _day(match: re.Match[str]) -> str | None:
    if not cjk.is_date(match):
        return None
    year = read_digits(match["y"])
    return f"{year}年{cardinal(str(int(match['m'])))}月{cardinal(str(int(match['d'])))}日"


def _clock(match: re.Match[str], of: str = "") -> str:
    hour, minute, second = (match[of + part] for part in "hms")
    words = f"{cardinal(str(int(hour)), is_count=True)}点"
    if int(minute) or second:
        words += f"{cardinal(minute) if int(minute) else '零'}分"
    return words + (f"{cardinal(second) if int(second) else '零'}秒" if second else "")


def _clock_of_day(match: re.Match[str]) -> str:
    half = (match["half"] or "").lower()
    return {"a": "上午", "p": "下午"}.get(half, "") + _clock(match)


def _years(match: re.Match[str]) -> str:
    return f"{read_digits(match[1])}到{read_digits(match[2])}"


def _year(match: re.Match[str]) -> str | None:
    """A year; None for a number of years, such as 3000年 and 1500年前."""
    year = match["y"]
    behind = match.string, match.end()
    is_long = DURATION.match(*behind) or (year.endswith("00") and SINCE.match(*behind))
    if is_long or (year.endswith("000") and year != "2000"):
        return None
    return read_digits(year)


def _score(match: re.Match[str]) -> str:
    return (match["before"] or "") + score(match)


def _dates() -> Table:
    """Scores before times, since both have a colon."""
    digits_of_year = r"(?P<y>[1-9]\d{3})(?=\s?年|/\d\d年)"
    clocks = rf"(?<![\d:：]){_CLOCK.format('a')}{TO}{_CLOCK.format('b')}"
    return [
        (
            "ratio",
            rf"(?P<before>比分[为為是]?|比例尺?[为為是约]?|比率[为為是]?)"
            rf"(?P<score>{NUMBER}(?:[:：-]{NUMBER}){{1,3}})(?![\d:：-])",
            _score,
        ),
        (
            "ratio",
            rf"(?P<before>以)?(?<![\d:：-])(?P<score>\d{{1,3}}[:：-]\d{{1,3}})(?={WON})",
            _score,
        ),
        ("time", clocks, lambda m: f"{_clock(m, 'a')}到{_clock(m, 'b')}"),
        (
            "time",
            rf"(?<![\d:：]){_CLOCK.format('')}(?:\s?(?P<half>[AaPp])[Mm](?![A-Za-z]))?",
            _clock_of_day,
        ),
        (
            "time",
            r"(?<![\d])(\d{1,3})['′](\d{1,2})[\"″]",
            lambda m: f"{number(m[1])}分{number(m[2])}秒",
        ),
        ("year", rf"(?<!\d)([12]\d{{3}}){DASH}([12]\d{{3}})(?=\s?年)", _years),
        (
            "year",
            rf"(?<![\d.-])((?:19|20)\d\d){DASH}((?:19|20)\d\d)(?![\d.-]|{MEASURE_WORDS})",
            _years,
        ),
        (
            "year",
            r"(?<!\d)(?:1[5-9]|20)\d0['’]?s(?![A-Za-z])",
            lambda m: read_digits(m[0]) + "年代",
        ),
        (
            "year",
            r"(?P<era>公元前?|西元前?)(?P<y>\d{1,4})(?=年)",
            lambda m: m["era"] + read_digits(m["y"]),
        ),
        (
            "year",
            rf"(?<![\d.,]){digits_of_year}",
            _year,
        ),
        ("year", r"(?<![\d.])\d\d(?=年\d{1,2}月)", lambda m: read_digits(m[0])),
        (
            "year",
            rf"(?<![\d.])[05-9][05](?=后(?![\d{HAN}]|$)|[后後](?:[都的们們和、，]|出生))",
            lambda m: read_digits(m[0]),
        ),
    ]
