"""Chinese and Japanese rules: any text, kinds that are left alone, spans, time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization import chinese, chinese_tables, japanese, japanese_tables
from f5serve.text.normalization.cjk import split_scripts
from f5serve.text_kinds import TEXT_KINDS as KINDS

Verbalize = Callable[[MappedText, frozenset[str]], MappedText]
LANGUAGES: dict[str, Verbalize] = {"zh": chinese.verbalize, "ja": japanese.verbalize}
PIECES = [
    *(
        "0",
        "1",
        "2",
        "12",
        "2024",
        "3.5",
        "1,234",
        "００",
        "½",
        "Ⅳ",
        "²",
        " ",
        "-",
        "~",
        "至",
        "から",
    ),
    *(
        ":",
        "/",
        ".",
        ",",
        "%",
        "‰",
        "℃",
        "°",
        "￥",
        "$",
        "#",
        "+",
        "=",
        "×",
        "<",
        "km/h",
        "kg",
        "pm",
    ),
    *(
        "年",
        "月",
        "日",
        "点",
        "时",
        "時",
        "分",
        "秒",
        "个",
        "個",
        "第",
        "打",
        "电话",
        "電話",
        "番号は",
    ),
    *(
        "以",
        "获胜",
        "で勝",
        "元",
        "円",
        "万",
        "后",
        "A",
        "x",
        "C",
        "中",
        "の",
        "，",
        "。",
        "\U0001f600",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


def spoken(text: str, language: str, *off: str) -> str:
    return LANGUAGES[language](MappedText.of(text), frozenset(off)).text


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=TEXTS)
def test_any_text_loses_its_digits_and_stays_then(language: str, text: str) -> None:
    once = LANGUAGES[language](MappedText.of(text), frozenset())
    assert not re.search(r"\d", once.text)
    assert len(once.spans) == len(once.text)
    assert all(0 <= start <= end <= len(text) for start, end in once.spans)
    assert spoken(once.text, language) == once.text


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=TEXTS)
def test_what_is_switched_off_altogether_stays(language: str, text: str) -> None:
    assert spoken(text, language, *KINDS) == text or re.search("[０-９]", text)


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=st.text(st.characters(exclude_categories=["Cs", "N", "S", "P"])))
def test_letters_stay(language: str, text: str) -> None:
    kept = spoken(text, language)
    assert kept == text


@pytest.mark.parametrize(
    ("language", "kind", "item"),
    [
        *(("zh", "cardinal", "12"), ("zh", "decimal", "3.5"), ("zh", "fraction", "1/2")),
        *(("zh", "date", "2024-03-05"), ("zh", "time", "14:30"), ("zh", "money", "￥99")),
        *(("zh", "percent", "5%~10%"), ("zh", "phone", "13800138000"), ("zh", "range", "3-5")),
        *(("zh", "ratio", "16:9"), ("zh", "temperature", "-5℃"), ("zh", "measure", "60km/h")),
        *(("zh", "version", "2.10.3"), ("zh", "roman", "Ⅳ"), ("zh", "sign", "3+5=8")),
        *(("zh", "emoji", "\U0001f600"), ("zh", "handle", "#春节#"), ("zh", "ordinal", "№5")),
        *(("ja", "cardinal", "12"), ("ja", "decimal", "3.5"), ("ja", "fraction", "½")),
        *(("ja", "date", "2024/3/5"), ("ja", "time", "14:30"), ("ja", "money", "¥1,250")),
        *(("ja", "percent", "3.5%"), ("ja", "phone", "03-1234-5678"), ("ja", "range", "10〜15")),
        *(("ja", "ratio", "16:9"), ("ja", "temperature", "36.5℃"), ("ja", "measure", "60kg")),
        *(("ja", "version", "2.10.3"), ("ja", "roman", "Ⅳ"), ("ja", "sign", "3+5=8")),
        *(("ja", "postcode", "〒100-0001"), ("ja", "ordinal", "#5"), ("ja", "emoji", "\U0001f600")),
    ],
)
def test_a_kind_that_is_switched_off_is_left_alone(language: str, kind: str, item: str) -> None:
    text = f"今日{item}。"
    assert spoken(text, language) != text
    assert spoken(text, language, kind) == text


def test_a_year_that_is_switched_off_is_left_alone() -> None:
    assert spoken("他2024年来，有3个。", "zh", "year") == "他2024年来，有三个。"
    assert (
        spoken("他2024年来，2000年前，1500年前。", "zh")
        == "他二零二四年来，两千年前，一千五百年前。"
    )


@pytest.mark.parametrize(
    ("language", "text", "item", "words"),
    [
        ("zh", "价格是￥99，好。", "￥99", "九十九元"),
        ("zh", "定在2024-03-05吧", "2024-03-05", "二零二四年三月五日"),
        ("zh", "今天-5℃很冷", "-5℃", "零下五摄氏度"),
        ("ja", "値段は¥1,250です", "¥1,250", "千二百五十円"),
        ("ja", "今は14:30だ", "14:30", "十四時三十分"),
    ],
)
def test_an_item_is_one_span(language: str, text: str, item: str, words: str) -> None:
    mapped = LANGUAGES[language](MappedText.of(text), frozenset())
    start = mapped.text.index(words)
    place = text.index(item), text.index(item) + len(item)
    assert set(mapped.spans[start : start + len(words)]) == {place}
    assert mapped.spans[0] == (0, 1)
    assert mapped.spans[-1] == (len(text) - 1, len(text))


@given(st.integers(min_value=0, max_value=10**16 - 1))
def test_numbers_are_read_back(value: int) -> None:
    assert value_of(chinese_tables.cardinal(str(value)), "亿", "万") == value
    assert value_of(japanese_tables.cardinal(str(value)), "兆", "億", "万") == value


def value_of(words: str, *scales: str) -> int:
    """The number that words in Han characters are."""
    powers = {"万": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
    for scale in scales:
        if scale in words:
            head, _, tail = words.rpartition(scale)
            return value_of(head, *scales) * powers[scale] + value_of(tail, *scales)
    total = digit = 0
    for char in words.replace("ゼロ", "").replace("零", "").replace("两", "二"):
        if char in "十百千":
            total += (digit or 1) * 10 ** ("十百千".index(char) + 1)
            digit = 0
        else:
            digit = "〇一二三四五六七八九".index(char)
    return total + digit


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("限速60km/h，重2 kg。", [("限速60km/h，重2 kg。", "zh")]),
        ("5G网络", [("5", "zh"), ("G", "en"), ("网络", "zh")]),
        ("用GPT-4写", [("用", "zh"), ("GPT-", "en"), ("4写", "zh")]),
        ("看https://a.com/2024。", [("看", "zh"), ("https://a.com/2024", "en"), ("。", "zh")]),
        ("有US$20，第IV章½", [("有US$20，第IV章½", "zh")]),
        ("说hello, 5 friends吧", [("说", "zh"), ("hello, 5 friends", "en"), ("吧", "zh")]),
    ],
)
def test_scripts_are_parted_with_units_left_to_their_numbers(
    text: str, parts: list[tuple[str, str]]
) -> None:
    found = [(part.text, of) for part, of in split_scripts(MappedText.of(text), "zh")]
    assert [part for part in found if part[0]] == parts


ADVERSARIAL = [
    *(
        "1",
        "1,",
        "$",
        "1/",
        "1-",
        "(1",
        "1 ",
        "@a",
        "1:",
        "1.",
        "1%",
        "1~",
        "1,111,",
        "½",
        "1½",
        "0",
    ),
    *("年1", "2024-", "第I", "打1", "1:00-", "¥1-", "1+1=", "1=", "1km", "1 个", "010-", "1×", "Ⅳ"),
    *("电话1", "電話1", "以1:1", "#你", "元/", "1 1", "个2", "A-", "A1-"),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_with_the_text(language: str, unit: str) -> None:
    """Eight times the text: 8 times as long where it is linear, 64 times where it is not."""

    def work(length: int) -> float:
        text = MappedText.of(unit * (length // len(unit)))
        began = time.thread_time()
        LANGUAGES[language](text, frozenset())
        list(split_scripts(text, language))
        return time.thread_time() - began

    work(100)
    for _ in range(5):
        small, large = work(1_000), work(8_000)
        if large < 0.02 or large < 24 * small:
            return
    pytest.fail(f"{1e3 * small:.1f} ms, then {1e3 * large:.1f} ms")
