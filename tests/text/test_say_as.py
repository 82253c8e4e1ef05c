"""Words that are spoken otherwise than they are written: aliases, and values of say-as."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import InvalidRequest
from f5serve.text.aliases import KINDS, take_aliases
from f5serve.text.clean import clean, clean_text
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_rules import LexiconRule
from f5serve.text.mapped_text import MappedText
from f5serve.text.spoken import SpokenText, changes, spoken_text
from f5serve.text_kinds import TEXT_KINDS

WWW = '<sub alias="World Wide Web">WWW</sub>'


def speak(text: str, language: str = "en", lexicon: Lexicon | None = None) -> SpokenText:
    return spoken_text(clean_text(text, 2_000), language, lexicon=lexicon)


def say_as(kind: str, words: str, date_format: str = "") -> str:
    added = f' format="{date_format}"' if date_format else ""
    return f'<say-as interpret-as="{kind}"{added}>{words}</say-as>'


def test_an_alias_is_spoken_and_its_words_stay_written() -> None:
    spoken = speak(f"The {WWW} began in 1989.")
    assert spoken.written == "The WWW began in 1989."
    assert spoken.mapped.text == "The World Wide Web began in nineteen eighty nine."
    start = spoken.mapped.text.index("World")
    assert set(spoken.mapped.spans[start : start + len("World Wide Web")]) == {(4, 7)}
    assert [(one.written, one.spoken) for one in changes(spoken)] == [
        ("WWW", "World Wide Web"),
        ("1989", "nineteen eighty nine"),
    ]


@pytest.mark.parametrize(
    ("text", "written", "spoken"),
    [
        ('It costs <sub alias="$5">a fiver</sub>.', "It costs a fiver.", "It costs five dollars."),
        ("<sub alias='R&amp;D'>RD</sub> works.", "RD works.", "R and D works."),
        ('**<SUB alias = "X ray" >XR</SUB >** is on.', "XR is on.", "X ray is on."),
        ('a <sub alias="is below">&lt;</sub> b.', "a < b.", "a is below b."),
        ('a <sub alias="x > y">z</sub>.', "a z.", "a x greater than y."),
        ('H<sub>2</sub>O and <sub alias="">x</sub>.', "H2O and x.", "H two O and x."),
        ('x<sub alias="a"> </sub>y.', "x y.", "x y."),
        (f"# About {WWW}\n\nYes.", "About WWW. Yes.", "About World Wide Web. Yes."),
        (f"{WWW}{WWW}", "WWWWWW", "World Wide WebWorld Wide Web"),
    ],
)
def test_aliases_in_texts(text: str, written: str, spoken: str) -> None:
    found = speak(text)
    assert (found.written, found.mapped.text) == (written, spoken)


def test_an_alias_goes_through_the_lexicon_and_its_words_do_not() -> None:
    lexicon = Lexicon([LexiconRule("SQL", "sequel"), LexiconRule("WWW", "triple double u")])
    text = '<sub alias="SQL">DB</sub> on <sub alias="the web">WWW</sub>.'
    assert speak(text, lexicon=lexicon).mapped.text == "sequel on the web."


def test_pinyin_may_be_in_an_alias() -> None:
    spoken = spoken_text('<sub alias="[pinyin:chong2 qing4]">重庆</sub>市', "zh")
    assert (spoken.written, spoken.shown) == ("重庆市", "[pinyin:chong2 qing4]市")


def test_a_text_whose_alias_has_no_words_is_empty() -> None:
    with pytest.raises(InvalidRequest) as error:
        clean_text('<sub alias="!">WWW</sub>', 100)
    assert error.value.code == "EMPTY_TEXT"
    assert clean_text('<sub alias="plus">+</sub>', 100)


@pytest.mark.parametrize(
    ("kind", "words", "date_format", "spoken"),
    [
        ("characters", "W3C", "", "W three C"),
        ("spell-out", "nasa", "", "N A S A"),
        ("verbatim", "a_b@c.de", "", "A underscore B at C dot D E"),
        ("digits", "5K", "", "five K"),
        ("cardinal", "2024", "", "two thousand twenty four"),
        ("number", "1,299", "", "one thousand two hundred ninety nine"),
        ("ordinal", "3", "", "third"),
        ("ordinal", "22nd", "", "twenty second"),
        ("date", "3/4/2024", "dmy", "April third, twenty twenty four"),
        ("date", "3/4/2024", "mdy", "March fourth, twenty twenty four"),
        ("date", "3-4-69", "dmy", "April third, twenty sixty nine"),
        ("date", "3-4-70", "dmy", "April third, nineteen seventy"),
        ("date", "20240403", "yyyymmdd", "April third, twenty twenty four"),
        ("date", "3/4", "dm", "April third"),
        ("date", "4/2024", "my", "April twenty twenty four"),
        ("date", "2024", "y", "twenty twenty four"),
        ("date", "3", "d", "third"),
        ("date", "12", "m", "December"),
        ("date", "April 3, 2024", "mdy", "April third, twenty twenty four"),
        ("date", "3/4/2024", "", "March fourth, twenty twenty four"),
        ("telephone", "+1 (415) 555-0132", "",
         "plus one, four one five, five five five, zero one three two"),
        ("telephone", "1-800-CALL", "", "one, eight zero zero, C A L L"),
    ],
)  # fmt: skip
def test_english(kind: str, words: str, date_format: str, spoken: str) -> None:
    found = speak(f"{say_as(kind, words, date_format)} it is.")
    assert found.mapped.text == f"{spoken} it is."
    assert found.written == f"{words} it is."
    assert not found.warnings


@pytest.mark.parametrize(
    ("language", "characters", "third", "date", "day", "telephone"),
    [
        ("de", "W drei C Punkt", "dritte", "dritter April zweitausendvierundzwanzig",
         "dritter April", "null eins, drei"),
        ("fr", "W trois C point", "troisième", "trois avril deux mille vingt-quatre",
         "trois avril", "zéro un, trois"),
        ("es", "W tres C punto", "tercero", "tres de abril de dos mil veinticuatro",
         "tres de abril", "cero uno, tres"),
        ("it", "W tre C punto", "terzo", "tre aprile duemilaventiquattro", "tre aprile",
         "zero uno, tre"),
        ("pt", "W três C ponto", "terceiro", "três de abril de dois mil e vinte e quatro",
         "três de abril", "zero um, três"),
        ("zh", "W 三 C 点", "第三", "二零二四年四月三日", "四月三日", "零 幺, 三"),
        ("ja", "W 三 C ドット", "第三", "二千二十四年四月三日", "四月三日", "ゼロ 一, 三"),
    ],
)  # fmt: skip
def test_other_languages(
    language: str, characters: str, third: str, date: str, day: str, telephone: str
) -> None:
    def said(kind: str, words: str, date_format: str = "") -> str:
        return speak(say_as(kind, words, date_format), language).mapped.text

    assert said("characters", "W3C.") == characters
    assert said("ordinal", "3") == third
    assert said("date", "3/4/2024", "dmy") == date
    assert said("date", "4/3", "md") == day
    assert said("telephone", "01-3") == telephone


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", f"im {say_as('ordinal', '3')} Stock", "im dritten Stock"),
        ("de", f"Er wurde {say_as('ordinal', '3')} und froh.", "Er wurde dritte und froh."),
        ("de", f"am {say_as('date', '3/4', 'dm')}", "am dritten April"),
        ("fr", f"le {say_as('ordinal', '1')} mai", "le premier mai"),
        ("es", f"el {say_as('ordinal', '3')} piso", "el tercer piso"),
        ("zh", f"在{say_as('date', '2024', 'y')}年", "在二零二四年"),
        ("nl", f"de {say_as('ordinal', '3')} man", "de derde man"),
        ("ru", f"{say_as('ordinal', '3')} дом", "третий дом"),
        ("ko", f"{say_as('ordinal', '3')} 집", "세 번째 집"),
        ("pl", f"kod {say_as('characters', 'A7')}", "kod A siedem"),
    ],
)
def test_the_place_of_words_decides_their_form(language: str, text: str, spoken: str) -> None:
    assert speak(text, language).mapped.text == spoken


@pytest.mark.parametrize(
    ("kind", "words", "date_format"),
    [
        ("ordinal", "abc", ""),
        ("cardinal", "many", ""),
        ("telephone", "none", ""),
        ("date", "31/2/2024", "dmy"),
        ("date", "1/2", "dmy"),
        ("date", "1/2/3", "dxy"),
        ("date", "1/2/3", "ddd"),
        ("date", "99999999999", "y"),
        ("date", "0000-01-01", "ymd"),
    ],
)
def test_what_does_not_fit_is_spoken_as_written_and_named(
    kind: str, words: str, date_format: str
) -> None:
    found = speak(f"It is {say_as(kind, words, date_format)}.")
    assert f"{words!r} cannot be read as {kind}" in found.warnings[0]
    assert found.mapped.text == speak(f"It is {words}.").mapped.text


def test_ordinals_of_a_language_without_rules_are_left() -> None:
    assert "ordinal" in speak(f"To {say_as('ordinal', '3')} raz", "pl").warnings[0]


def test_characters_are_spelled_where_normalization_is_off() -> None:
    text = clean_text(say_as("characters", "W3C"), 100)
    assert spoken_text(text, "en", unnormalized=frozenset(TEXT_KINDS)).mapped.text == "W three C"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*KINDS, "sub", "other"]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        ),
        max_size=5,
    ),
    st.sampled_from(["en", "de", "zh", "pl", ""]),
)
def test_any_words_in_any_tag(items: list[tuple[str, str]], language: str) -> None:
    tags = [
        f'x <sub alias="y">{words}</sub> ' if kind == "sub" else f"x {say_as(kind, words, 'dmy')} "
        for kind, words in items
    ]
    try:
        text = clean(f"x {''.join(tags)}", 10_000).text
    except InvalidRequest:
        return
    spoken = spoken_text(text, language)
    for start, end in spoken.mapped.spans:
        assert 0 <= start <= end <= len(spoken.written)
    for left, right in pairwise(spoken.mapped.spans):
        assert left == right or left[1] <= right[0]


GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "ssml.md").read_text()
ROWS = re.findall(r"^\| (`[a-z].*) \| `(.+)` \| (.+) \|$", GUIDE, flags=re.MULTILINE)


def test_the_guide_names_all_kinds_and_what_they_say() -> None:
    named = set()
    for kinds, words, spoken in ROWS:
        date_format = re.findall(r'format="(\w+)"', kinds)
        for kind in re.findall(r"`([a-z-]+)`", kinds):
            named.add(kind)
            assert speak(say_as(kind, words, *date_format)).mapped.text == spoken
    assert named == set(KINDS)


def test_tags_that_are_not_closed_or_unknown_are_left_to_cleaning() -> None:
    for text in ['<sub alias="x">y', "<sub alias=x>y</sub>", '<sub alias="x">y</say-as>']:
        assert take_aliases(MappedText.of(text)) == (MappedText.of(text), [])
    assert clean_text('<say-as interpret-as="loudly">yes</say-as>', 100) == "yes"
