"""Rules of Chinese for numbers that are amounts, and for the signs between them."""

from __future__ import annotations

import re
import unicodedata

from f5serve.text.normalization import cjk
from f5serve.text.normalization.chinese_tables import (
    CURRENCIES,
    MEASURE_WORDS,
    PER,
    TO,
    UNITS,
    cardinal,
    number,
    score,
    sign_word,
    signed,
)
from f5serve.text.normalization.cjk import DASH, HAN, NUMBER, SIGN, START, Table

_HAN_NUMBER = "零一二两兩三四五六七八九十百千负"
_MONEY = r"(?:(?:US|HK|NT)\$|[¥￥$＄€£￡₩₽₹฿₫])"
_SCALE = "(?P<scale>百万|千万|万亿|[万亿萬億千百])?"


def _money(match: re.Match[str]) -> str:
    currency = CURRENCIES[match["currency"]]
    first = number(_without_zeros(match["a"]), is_count=True)
    last = f"到{number(_without_zeros(match['b']), is_count=True)}" if match["b"] else ""
    sign = sign_word(match["sign"])
    return f"{sign}{first}{last}{match['scale'] or ''}{currency}"


def _without_zeros(text: str) -> str:
    """An amount without zeros behind the point, which are not spoken: 12.50 -> 12.5."""
    return text.rstrip("0").rstrip(".．") if "." in text or "．" in text else text


def _percent(match: re.Match[str]) -> str:
    name = {"%": "百分之", "％": "百分之", "‰": "千分之", "‱": "万分之"}[match["unit"]]

    def part(sign: str | None, text: str) -> str:
        whole = "百" if text == "100" and name == "百分之" else number(text)
        return sign_word(sign) + name + whole

    first = part(match["sign"], match["a"])
    if not match["b"]:
        return first
    return f"{first}到{part(None, match['b']) if match['unit_a'] else number(match['b'])}"


def _temperature(match: re.Match[str]) -> str:
    scale = {"℃": "摄氏度", "C": "摄氏度", "℉": "华氏度", "F": "华氏度"}[match["unit"][-1]]
    words = signed(match["sign"], match["a"], minus="零下")
    if match["b"]:
        words += f"到{signed(match['sign_b'], match['b'], minus='零下')}"
    return words + scale


def _measure(match: re.Match[str]) -> str:
    words = number(match["a"], is_count=True)
    if match["b"]:
        words += f"到{number(match['b'], is_count=True)}"
    return sign_word(match["sign"]) + words + UNITS.say(match["unit"])


def amounts() -> Table:
    """Numbers with a currency, a unit or a sign that says what they are."""
    first, last = f"(?P<sign>{SIGN})(?P<a>{NUMBER})", f"(?P<b>{NUMBER})"
    return [
        (
            "money",
            rf"(?P<sign>(?<![A-Za-z\d)）])[-−+])?(?P<currency>{_MONEY})\s?(?P<a>{NUMBER})"
            rf"(?:{TO}{_MONEY}?{last})?{_SCALE}(?:[元圆圓块塊]|美元|美金|港元|港币|欧元|英镑)?",
            _money,
        ),
        (
            "percent",
            rf"{START}{first}(?:\s?(?P<unit_a>[%％‰])?{TO}{last})?\s?(?P<unit>[%％‰‱])",
            _percent,
        ),
        (
            "temperature",
            rf"{START}{first}(?:\s?(?:℃|°C)?{TO}(?P<sign_b>[-−])?{last})?\s?(?P<unit>℃|℉|°[CF](?![A-Za-z]))",
            _temperature,
        ),
        ("measure", rf"{START}{first}(?:{TO}{last})?\s?(?P<unit>{cjk.UNIT})", _measure),
        (
            "measure",
            rf"{START}(?P<a>{NUMBER})°(?:\s?(?P<b>\d{{1,2}})[′'])?",
            lambda m: f"{number(m['a'])}度" + (f"{number(m['b'])}分" if m["b"] else ""),
        ),
        ("measure", PER, lambda m: "每"),
        (
            "cardinal",
            rf"{START}(?P<a>{NUMBER})[wW](?=[{HAN}])",
            lambda m: f"{number(m['a'], True)}万",
        ),
    ]


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = cjk.fraction_parts(match)
    words = f"{number(below)}分之{number(above)}"
    return f"{number(whole)}又{words}" if whole else words


def _range(match: re.Match[str]) -> str | None:
    """Two numbers as a range; two that go down are a score."""
    first, last = match["a"], match["b"]
    if float(cjk.plain(first)) >= float(cjk.plain(last)):
        is_score = match["dash"].strip() in "-:" and len(first) < 4 and not match["counted"]
        return f"{number(first)}比{number(last)}" if is_score else None
    is_count = match["counted"] is not None
    return f"{number(first, is_count)}到{number(last, is_count)}"


_OPERATORS = {
    **dict.fromkeys("-−－", "减"), **dict.fromkeys("+＋", "加"), **dict.fromkeys("*×✕xX", "乘"),
    **dict.fromkeys("÷/", "除以"), **dict.fromkeys("=＝", "等于"), "≈": "约等于",
}  # fmt: skip


def _equation(match: re.Match[str]) -> str:
    return cjk.equation(match[0], _OPERATORS, "负", number)


def numbers() -> Table:
    """Several numbers that belong together."""
    operator = r"\s?[-−－+＋*×✕xX÷/]\s?"
    return [
        (
            "sign",
            rf"{START}{NUMBER}(?:{operator}{NUMBER}){{1,5}}\s?[=＝≈]\s?(?:[-−]?{NUMBER})?(?![A-Za-z])",
            _equation,
        ),
        ("fraction", cjk.FRACTION, _fraction),
        (
            "ratio",
            rf"(?<![\d.:：])(?P<score>{NUMBER}(?:[:：]{NUMBER}){{1,3}})(?![:：\d])",
            score,
        ),
        (
            "range",
            rf"{START}(?<![\d][-–~～])(?P<a>{NUMBER})(?P<dash>{DASH})(?P<b>{NUMBER})(?![-–~～/]?\d)"
            rf"(?P<counted>(?=\s?(?:多|来|來|余|餘)?{MEASURE_WORDS}))?",
            _range,
        ),
        (
            "range",
            rf"(?<=[年月日号號点點分秒元度时時天周章节節页頁])\s?[-–—~～〜]\s?(?=[\d第{_HAN_NUMBER}])",
            lambda m: "到",
        ),
        (
            "ordinal",
            r"(?:№\s?|(?<![A-Za-z\d#])[#＃])(\d{1,9}+)(?![\d.])",
            lambda m: f"第{cardinal(m[1])}",
        ),
    ]


def _roman(match: re.Match[str]) -> str | None:
    value = cjk.roman_value(match[0])
    return cardinal(str(value)) if value else None


def _minus(match: re.Match[str]) -> str:
    return f"负{number(match[0][1:])}"


def signs() -> Table:
    say = {
        "≥": "大于等于", "≤": "小于等于", "≠": "不等于", "≈": "约等于", "±": "正负", "√": "根号",
        "∞": "无穷大", "≧": "大于等于", "≦": "小于等于",
    }  # fmt: skip
    return [
        ("roman", cjk.ROMAN, _roman),
        ("sign", f"[{''.join(say)}]", lambda m: say[m[0]]),
        ("sign", rf"(?<=\w)\s?[×✕]\s?(?=[\d{_HAN_NUMBER}])", lambda m: "乘"),
        ("sign", rf"(?<=\w)\s?÷\s?(?=[\d{_HAN_NUMBER}])", lambda m: "除以"),
        ("sign", r"(?<![^\w)²³])\s?[=＝]\s?(?=[\w(-])", lambda m: "等于"),
        ("sign", r"(?<![^\w²³])\s?[<＜]\s?(?=\d)", lambda m: "小于"),
        ("sign", r"(?<![^\w²³])\s?[>＞]\s?(?=\d)", lambda m: "大于"),
        ("sign", rf"(?<=[\d²³{_HAN_NUMBER}])\s?[+＋]\s?(?=\d)|(?<=\d)[+＋]", lambda m: "加"),
        (
            "sign",
            r"(?<=\d)\^(\d{1,3}+)(?![\d.])|(?<=\d)([⁰¹⁴-⁹][⁰¹²³⁴-⁹]?)",
            lambda m: f"的{cardinal(unicodedata.normalize('NFKC', m[1] or m[2]))}次方",
        ),
        ("sign", r"(?<![^A-Za-z\d])²", lambda m: "的平方"),
        ("sign", r"(?<![^A-Za-z\d])³", lambda m: "的立方"),
        ("sign", rf"(?<=[{HAN}])\s?[&＆]\s?(?=[{HAN}])", lambda m: "和"),
        ("sign", rf"(?<=[是为為到至约約於于从從在：:，,、（(\s=])[-−]{NUMBER}", _minus),
        ("sign", rf"^[-−]{NUMBER}$|(?<=[{HAN}])[-−]{NUMBER}(?=[米度元])", _minus),
    ]


def _count(match: re.Match[str]) -> str:
    start, end = match.span()
    before, behind = match.string[max(0, start - 1) : start], match.string[end : end + 1]
    is_part = before in ("第", "年", "月") or (
        before in tuple("点點时時") and behind in ("分", "秒")
    )
    return number(match[0], match["counted"] is not None and not is_part)


def plain_numbers() -> Table:
    return [
        ("decimal", rf"{START}\d++[.．]\d++", lambda m: number(m[0])),
        ("cardinal", rf"{START}{NUMBER}(?P<counted>(?=(?:多|来|來)?{MEASURE_WORDS}))?", _count),
        ("cardinal", r"\d++", lambda m: cardinal(m[0])),
    ]
