"""Normalizes Japanese: numbers, dates, money, units and signs become words, in Han and kana.

Numbers are written in Han characters; how they sound before a counter is left to the model.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization import cjk
from f5serve.text.normalization.cjk import DASH, HAN, KANA, NUMBER, SIGN, START, Table
from f5serve.text.normalization.japanese_tables import (
    CURRENCIES,
    POSTCODE,
    TELEPHONE,
    UNITS,
    cardinal,
    number,
    read_digits,
    read_row,
    signed,
)
from f5serve.text.normalization.rules import Rule, apply_rules, make_rules

_ANYTHING_TO_SAY = re.compile(
    rf"\d|[{cjk.SUPERSCRIPTS}{cjk.VULGAR[1:-1]}\u2160-\u216b]|[IVX]"
    r"|[^\w\s。、！？「」『』（）・ー…,.!?;:'\"()]"
)
_TO = r"(?:\s?[-–—~～〜∼－]\s?|から)"
_HAN_NUMBER = "一二三四五六七八九十百千ゼ"
_MONEY = r"(?:(?:US|HK|NT)\$|[¥￥$＄€£￡₩₽₹฿₫])"
_SCALE = "(?P<scale>[百十]?万|[億兆千])?"
_CLOCK = r"(?P<{0}h>[01]?\d|2[0-4])[:：](?P<{0}m>[0-5]\d)(?:[:：](?P<{0}s>[0-5]\d))?(?![\d:：])"
_DAY = (
    r"(?<![\d./-])(?P<y>[12]\d{3})(?P<dash>[-/.])(?P<m>\d{1,2})(?P=dash)(?P<d>\d{1,2})"
    r"(?![\d/-]|\.\d)日?"
)
_RESULT = "で(?:勝|負|敗|快勝|辛勝|完勝|大勝|引き分)|の(?:勝利|スコア|引き分)"


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What Japanese is spoken as; letters, marks and other scripts stay as they are."""
    if not _ANYTHING_TO_SAY.search(mapped.text):
        return mapped
    return apply_rules(cjk.with_plain_digits(mapped), _rules(), off)


@lru_cache(maxsize=1)
def _rules() -> tuple[Rule, ...]:
    table = [*_codes(), *_dates(), *_amounts(), *_numbers(), *_signs(), *_plain_numbers()]
    return make_rules(table)


def _dotted(match: re.Match[str]) -> str:
    parts = match[0].split(".")
    return "点".join(cardinal(p) if len(p) < 3 else read_digits(p) for p in parts)


def _block(match: re.Match[str]) -> str:
    """District, block and house of an address."""
    return "の".join(map(cardinal, match[0].split("-")))


def _phone(match: re.Match[str]) -> str:
    words = read_row(re.sub(r"\(|[)＋+]\s?", "-", match[0]))
    return f"プラス{words}" if match[0][0] in "+＋" else words


def _codes() -> Table:
    """Digits that are names: each is spoken on its own."""
    return [
        ("emoji", cjk.EMOJI, cjk.drop_emoji),
        ("cardinal", cjk.SPACES_OF_NUMBERS, lambda m: ""),
        ("cardinal", cjk.GROUPED_BY_SPACES, lambda m: "".join(m[0].split())),
        ("cardinal", cjk.LONG_ROW, lambda m: read_digits(m[0])),
        ("postcode", POSTCODE, lambda m: f"郵便番号{read_row(m[0])}"),
        ("phone", TELEPHONE, _phone),
        ("date", _DAY, _day),
        ("postcode", r"(?<![\d.-])\d{1,3}(?:-\d{1,4}){2}(?![\d-]|\.\d)", _block),
        (
            "version",
            cjk.ADDRESSES,
            lambda m: "点".join(map(read_digits, m[0].split("."))),
        ),
        ("version", cjk.DOTTED, _dotted),
        (
            "phone",
            r"(?:番号|電話|暗証番号|パスワード|認証コード)(?:は|が|[:：])?\s?(?P<row>\d{4,15})(?![\d.,/:-])",
            _labelled_row,
        ),
    ]


def _labelled_row(match: re.Match[str]) -> str:
    start = match.start("row") - match.start()
    return match[0][:start] + read_digits(match["row"])


def _day(match: re.Match[str]) -> str | None:
    if not cjk.is_date(match):
        return None
    year, month, day = (cardinal(str(int(match[part]))) for part in "ymd")
    return f"{year}年{month}月{day}日"


def _clock(match: re.Match[str], of: str = "") -> str:
    hour, minute, second = (match[of + part] for part in "hms")
    words = f"{cardinal(str(int(hour)))}時"
    if int(minute) or second:
        words += f"{cardinal(str(int(minute)))}分"
    return words + (f"{cardinal(str(int(second)))}秒" if second else "")


def _clock_of_day(match: re.Match[str]) -> str:
    half = (match["half"] or "").lower()
    return {"a": "午前", "p": "午後"}.get(half, "") + _clock(match)


def _lasting(match: re.Match[str]) -> str:
    hours, minutes, seconds = (cardinal(str(int(match[part]))) for part in "hms")
    return f"{match['label']}{hours}時間{minutes}分{seconds}秒"


def _score(match: re.Match[str]) -> str:
    return "対".join(map(number, re.split("[:：-]", match["score"])))


def _dates() -> Table:
    """Scores before times, since both have a colon."""
    clocks = rf"(?<![\d:：]){_CLOCK.format('a')}{_TO}{_CLOCK.format('b')}"
    return [
        (
            "ratio",
            rf"(?<![\d:：-])(?P<score>\d{{1,3}}[:：-]\d{{1,3}})(?={_RESULT})",
            _score,
        ),
        (
            "time",
            r"(?P<label>(?:記録|タイム|所要時間|再生時間)[はがを:：]?\s?)"
            r"(?P<h>\d{1,2})[:：](?P<m>[0-5]\d)[:：](?P<s>[0-5]\d)(?![\d:：])",
            _lasting,
        ),
        ("time", clocks, lambda m: f"{_clock(m, 'a')}から{_clock(m, 'b')}"),
        (
            "time",
            rf"(?<![\d:：]){_CLOCK.format('')}(?:\s?(?P<half>[AaPp])[Mm](?![A-Za-z]))?",
            _clock_of_day,
        ),
        (
            "time",
            r"(?<!\d)(\d{1,3})['′](\d{1,2})[\"″]",
            lambda m: f"{cardinal(m[1])}分{cardinal(str(int(m[2])))}秒",
        ),
    ]


def _without_zeros(text: str) -> str:
    """An amount without zeros behind the point, which are not spoken: 3.50 -> 3.5."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _between(match: re.Match[str], first: str, last: str) -> str:
    return f"{first}から{last}" if match["b"] else first


def _money(match: re.Match[str]) -> str:
    first = signed(match["sign"], _without_zeros(match["a"]))
    words = _between(match, first, number(_without_zeros(match["b"])) if match["b"] else "")
    return words + (match["scale"] or "") + CURRENCIES[match["currency"]]


def _amount(match: re.Match[str], unit: str) -> str:
    first = signed(match["sign"], match["a"])
    return _between(match, first, number(match["b"]) if match["b"] else "") + unit


_PERCENT = {"%": "パーセント", "％": "パーセント", "‰": "パーミル"}


def _percent(match: re.Match[str]) -> str:
    name = _PERCENT[match["unit"]]
    if not match["unit_a"]:
        return _amount(match, name)
    return f"{signed(match['sign'], match['a'])}{name}から{number(match['b'])}{name}"


def _temperature(match: re.Match[str]) -> str:
    last = signed(match["sign_b"], match["b"]) if match["b"] else ""
    scale = "華氏" if match["unit"][-1] in "℉F" else ""
    return scale + _between(match, signed(match["sign"], match["a"]), last) + "度"


def _amounts() -> Table:
    """Numbers with a currency, a unit or a sign that says what they are."""
    first, last = f"(?P<sign>{SIGN})(?P<a>{NUMBER})", f"(?P<b>{NUMBER})"
    return [
        (
            "money",
            rf"(?P<sign>(?<![A-Za-z\d)）])[-−+])?(?P<currency>{_MONEY})\s?(?P<a>{NUMBER})"
            rf"(?:{_TO}{_MONEY}?{last})?{_SCALE}(?:円|ドル|ユーロ|ポンド)?",
            _money,
        ),
        (
            "percent",
            rf"{START}{first}(?:\s?(?P<unit_a>[%％‰])?{_TO}{last})?\s?(?P<unit>[%％‰])",
            _percent,
        ),
        (
            "temperature",
            rf"{START}{first}(?:\s?(?:℃|°C)?{_TO}(?P<sign_b>[-−])?{last})?"
            r"\s?(?P<unit>℃|℉|°[CF](?![A-Za-z]))",
            _temperature,
        ),
        (
            "measure",
            rf"{START}{first}(?:{_TO}{last})?\s?(?P<unit>{cjk.UNIT})",
            lambda m: _amount(m, UNITS.say(m["unit"])),
        ),
        ("measure", rf"{START}(?P<a>{NUMBER})°", lambda m: f"{number(m['a'])}度"),
    ]


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = cjk.fraction_parts(match)
    words = f"{number(below)}分の{number(above)}"
    return f"{number(whole)}と{words}" if whole else words


def _range(match: re.Match[str]) -> str | None:
    """Two numbers that go up."""
    first, last = match["a"], match["b"]
    if float(cjk.plain(first)) >= float(cjk.plain(last)):
        return None
    return f"{number(first)}から{number(last)}"


_OPERATORS = {
    **dict.fromkeys("-−－", "引く"), **dict.fromkeys("+＋", "足す"), **dict.fromkeys("÷/", "割る"),
    **dict.fromkeys("*×✕xX", "かける"), **dict.fromkeys("=＝", "は"), "≒": "約",
}  # fmt: skip


def _equation(match: re.Match[str]) -> str:
    return cjk.equation(match[0], _OPERATORS, "マイナス", number)


def _numbers() -> Table:
    """Several numbers that belong together."""
    operator = r"\s?[-−－+＋*×✕xX÷/]\s?"
    return [
        (
            "sign",
            rf"{START}{NUMBER}(?:{operator}{NUMBER}){{1,5}}\s?[=＝≒]\s?(?:[-−]?{NUMBER})?(?![A-Za-z])",
            _equation,
        ),
        ("fraction", cjk.FRACTION, _fraction),
        (
            "ratio",
            rf"(?<![\d.:：])(?P<score>{NUMBER}(?:[:：]{NUMBER}){{1,3}})(?![:：\d])",
            _score,
        ),
        (
            "range",
            rf"{START}(?<!\d[-–~～])(?P<a>{NUMBER}){DASH}(?P<b>{NUMBER})(?![-–~～/]?\d)",
            _range,
        ),
        (
            "range",
            rf"(?<=[年月日時分秒円度人個回番章節頁歳万])\s?[-–—~～〜]\s?(?=[\d第{_HAN_NUMBER}])",
            lambda m: "から",
        ),
        (
            "ordinal",
            r"(?:№\s?|(?<![A-Za-z\d#])[#＃])(\d{1,9}+)(?![\d.])",
            lambda m: f"{cardinal(m[1])}番",
        ),
    ]


def _roman(match: re.Match[str]) -> str | None:
    value = cjk.roman_value(match[0])
    return cardinal(str(value)) if value else None


def _power(match: re.Match[str]) -> str:
    return f"の{cardinal(unicodedata.normalize('NFKC', match[1] or match[2]))}乗"


def _signs() -> Table:
    say = {
        "≥": "以上", "≧": "以上", "≤": "以下", "≦": "以下", "≠": "ノットイコール", "≈": "約",
        "≒": "約", "±": "プラスマイナス", "√": "ルート", "∞": "無限大",
    }  # fmt: skip
    return [
        ("roman", cjk.ROMAN, _roman),
        ("sign", rf"[≥≧≤≦]\s?(?P<a>{NUMBER})", lambda m: number(m["a"]) + say[m[0][0]]),
        ("sign", f"[{''.join(say)}]", lambda m: say[m[0]]),
        ("sign", rf"(?<=\w)\s?[×✕]\s?(?=[\d{_HAN_NUMBER}])", lambda m: "かける"),
        ("sign", rf"(?<=\w)\s?÷\s?(?=[\d{_HAN_NUMBER}])", lambda m: "割る"),
        ("sign", r"(?<![^\w)²³])\s?[=＝]\s?(?=[\w(-])", lambda m: "イコール"),
        ("sign", rf"(?<=[\d²³{_HAN_NUMBER}])\s?[+＋]\s?(?=\d)|(?<=\d)[+＋]", lambda m: "プラス"),
        ("sign", r"(?<=\d)\^(\d{1,3}+)(?![\d.])|(?<![^A-Za-z\d])([⁰¹²³⁴-⁹][⁰¹²³⁴-⁹]?)", _power),
        ("sign", rf"(?<=[{HAN}{KANA}])\s?[&＆]\s?(?=[{HAN}{KANA}])", lambda m: "アンド"),
        (
            "sign",
            rf"(?<=[はがをにでと：:、,（(\s=])[-−]{NUMBER}|^[-−]{NUMBER}$",
            lambda m: f"マイナス{number(m[0][1:])}",
        ),
    ]


def _plain_numbers() -> Table:
    return [
        ("decimal", rf"{START}\d++\.\d++", lambda m: number(m[0])),
        ("cardinal", rf"{START}{NUMBER}", lambda m: number(m[0])),
        ("cardinal", r"\d++", lambda m: cardinal(m[0])),
    ]
