"""From what is written to what is spoken, in all languages: spans, kinds left out, scripts."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.clean import clean_text
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_rules import LexiconRule
from f5serve.text.normalization.normalizer import LANGUAGES
from f5serve.text.pinyin import show_pinyin
from f5serve.text.spoken import SpokenText, as_written, spoken_text, unnormalized_kinds
from f5serve.text_kinds import TEXT_KINDS

ALL = sorted(LANGUAGES)

texts = st.text(
    st.one_of(
        st.sampled_from("0123456789.,:;/-–+%$€£¥°²½#@&()[]'\"!?' \u00a0abcdeIVXLCDM"),
        st.sampled_from("äöüßéèñçãõ你好三点年月日、。「」はのがア"),
        st.characters(exclude_categories=["Cs", "Co", "Cn"]),
    ),
    max_size=60,
)
pieces = st.lists(
    st.sampled_from(
        [
            *(
                "1",
                "12",
                "1990",
                "2005",
                "3.50",
                "1,299.99",
                "1.299,99",
                "03/04/2025",
                "14:30",
                "½",
            ),
            *("$", "€", "£", "%", "kg", "km/h", "°C", "Dr.", "No.", "St.", "e.g.", "etc.", "Mr."),
            *("XIV", "Louis", "NASA", "FBI", "https://a.example/b?c=1", "a@b.example", "#TagOne"),
            *(
                "-",
                "–",
                "/",
                ":",
                ".",
                ",",
                " ",
                " ",
                " ",
                "(",
                ")",
                "x",
                "+",
                "=",
                "&",
                "1st",
                "2e",
            ),
            *(
                "你好",
                "5个",
                "第3章",
                "3本",
                "2024年3月5日",
                "am 1. Mai",
                "el 2.º",
                "siècle",
                "v2.10.3",
            ),
        ]
    ),
    max_size=12,
).map("".join)


def clean(text: str) -> str:
    try:
        return clean_text(text, 10_000)
    except InvalidRequest:
        return ""


def spans_are_sound(spoken: SpokenText) -> None:
    """Spans are in order, lie in the text, and are equal or apart."""
    written = spoken.written
    for start, end in spoken.mapped.spans:
        assert 0 <= start <= end <= len(written)
    for left, right in pairwise(spoken.mapped.spans):
        assert left == right or left[1] <= right[0], (spoken.mapped, left, right)
    heard = {place for span in spoken.mapped.spans for place in range(*span)}
    lost = [char for place, char in enumerate(written) if place not in heard and char.isalnum()]
    assert not lost, f"{lost} of {written!r} are lost in {spoken.mapped.text!r}"


@pytest.mark.parametrize("language", [*ALL, "ru", "th", "xx", ""])
@given(st.one_of(texts, pieces).map(clean))
def test_nothing_raises_nothing_is_lost_and_twice_changes_nothing(language: str, text: str) -> None:
    once = spoken_text(text, language)
    spans_are_sound(once)
    assert unicodedata.is_normalized("NFC", once.mapped.text)
    twice = spoken_text(once.mapped.text, once.language)  # new words may show another one
    assert twice.mapped.text == once.mapped.text


@pytest.mark.parametrize("language", ALL)
@given(pieces.map(clean))
def test_nothing_is_normalized_where_all_kinds_are_off(language: str, text: str) -> None:
    assert spoken_text(text, language, unnormalized=frozenset(TEXT_KINDS)).mapped.text == text


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        ("On 03/04/2025 it was $5.", "date", "03/04/2025"),
        ("On 03/04/2025 it was $5.", "money", "$5"),
        ("See https://a.example/b-1 at 10:30.", "address", "https://a.example/b-1"),
        ("See https://a.example/b-1 at 10:30.", "time", "10:30"),
        ("He ran 5 km/h, or 20%.", "measure", "5 km/h"),
        ("He ran 5 km/h, or 20%.", "percent", "20%"),
    ],
)
def test_a_kind_that_is_left_alone_stays_as_written(text: str, kind: str, kept: str) -> None:
    spoken = spoken_text(text, "en", unnormalized=frozenset([kind])).mapped.text
    assert kept in spoken
    assert not re.search(r"\d", spoken.replace(kept, "")), spoken


@pytest.mark.parametrize(
    ("language", "text", "item"),
    [
        ("en", "It costs $3.50 now.", "$3.50"),
        ("en", "On 03/04/2025 we met.", "03/04/2025"),
        ("de", "Es wiegt 2,5 kg.", "2,5 kg"),
        ("zh", "价格是￥99。", "￥99"),
        ("ja", "値段は¥1,250です。", "¥1,250"),
    ],
)
def test_an_item_is_one_span(language: str, text: str, item: str) -> None:
    spoken = spoken_text(text, language)
    start = text.index(item)
    place = (start, start + len(item))
    heard = "".join(
        char
        for char, span in zip(spoken.mapped.text, spoken.mapped.spans, strict=True)
        if span == place
    )
    assert len(heard.strip()) >= 3, spoken.mapped
    assert not re.search(r"\d", spoken.mapped.text)


def test_parts_of_another_script_are_read_in_their_language() -> None:
    assert "three hundred" in spoken_text("The word 三百 means 300.", "en").mapped.text
    assert "三百" in spoken_text("The word 三百 means 300.", "en").mapped.text
    chinese = spoken_text("他有3个apple和5个banana。", "zh").mapped.text
    assert "apple" in chinese
    assert "banana" in chinese
    assert not re.search(r"\d", chinese)


def test_the_language_comes_from_the_request_then_the_text_and_the_voice() -> None:
    assert spoken_text("12", "de").mapped.text == "zwölf"
    assert spoken_text("12", "", "de").mapped.text == "zwölf"
    assert spoken_text("Das sind 12 Äpfel und das ist gut.", "").language == "de"
    assert spoken_text("12 apples", "").mapped.text == "twelve apples"


def test_a_lexicon_goes_first_and_its_words_are_normalized() -> None:
    lexicon = Lexicon([LexiconRule("SQL", "sequel"), LexiconRule("X1", "model 1")])
    spoken = spoken_text("SQL for X1.", "en", lexicon=lexicon)
    assert spoken.mapped.text == "sequel for model one."
    assert spoken.written == "SQL for X1."


def test_marked_pinyin_is_written_as_its_character() -> None:
    spoken = spoken_text('他<say-as pinyin="dao3">倒</say-as>了5次', "zh")
    assert spoken.written == "他倒了5次"
    spans_are_sound(spoken)
    assert as_written(spoken.mapped.text, spoken.written, spoken.mapped.spans) == "他倒了五次"
    with pytest.raises(InvalidRequest) as error:
        spoken_text("[pinyin:qwx9]", "zh")
    assert error.value.code == "BAD_PINYIN"


@pytest.mark.parametrize(
    "marked", ["[pinyin:chong2 qing4]", "<say-as pinyin='chong2 qing4'>重庆</say-as>"]
)
def test_marked_pinyin_passes_cleaning_and_decides_no_language(marked: str) -> None:
    spoken = spoken_text(clean_text(f"我在{marked}。", 500))
    assert show_pinyin(spoken.mapped.text) == "我在[pinyin:chong2 qing4]。"
    assert spoken.language == "zh"


def test_what_normalize_takes() -> None:
    assert unnormalized_kinds("auto") == unnormalized_kinds("on") == frozenset()
    assert unnormalized_kinds("off") == frozenset(TEXT_KINDS)
    assert unnormalized_kinds("date, money") == unnormalized_kinds(["money", "date"])
    with pytest.raises(InvalidRequest, match="dates"):
        unnormalized_kinds(["dates"])


def test_what_is_left_alone_is_named() -> None:
    assert spoken_text("At 5 it began.", "en").warnings == ()
    assert spoken_text("Xyz 5 qqq", "xx").warnings


def test_the_region_of_english_decides_the_order_of_a_date() -> None:
    assert "March fourth" in spoken_text("On 03/04/2025.", "en").mapped.text
    assert "March fourth" in spoken_text("On 03/04/2025.", "en-US").mapped.text
    assert "April third" in spoken_text("On 03/04/2025.", "en-GB").mapped.text
    assert "April third" in spoken_text("On 03/04/2025 we met.", "", "en-AU").mapped.text
    assert "May sixteenth" in spoken_text("On 05/16/2025.", "en-GB").mapped.text
    assert spoken_text("On 3/4 we met.", "en-GB").mapped.text == "On April third we met."
    assert spoken_text("On 03/04/2025.", "en-GB").language == "en"
