"""German and French normalization beside their tables: any text, spans, kinds left alone, time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.european_match import roman_value
from f5serve.text.normalization.european_numbers import split_number
from f5serve.text.normalization.normalizer import normalize

NOTHING: frozenset[str] = frozenset()
PIECES = [
    "0", "1", "2", "3", "21", "90", "1999", "2024", "1.234", "12,50", "1.299,99", "1,299.99",
    "007", "14:30", "17h30", "3.", "1er", "2e", "½", "1/2", "€", "$", "%", "‰", "°C", "§", "&",
    "+", "-", "–", "×", "=", "<", ">", "~", "@", "#", "/", ":", ".", ",", ";", "!", "?", "(", ")",
    "'", '"', "²", "km", "km/h", "kg", "h", "m", "Uhr", "EUR", "am", "der", "die", "vom", "bis",
    "Mai", "mai", "le", "du", "und", "et", "Dr.", "M.", "z.", "B.", "Nr.", "n°", "S.", "p.",
    "Str.", "usw.", "etc.", "av.", "EU", "USA", "GmbH", "NATO", "XIV", "XX", "siècle", "Kapitel",
    "Ludwig", "Louis", "IV", "Hund", "Katze", "pages", "STOP", "v2.1", " ", " ", " ", "\xa0",
    "\u202f", "🙂", "www.a.de", "a@b.fr", "ä", "é", "ß", "漢", "aBc", "I",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
LANGUAGES = pytest.mark.parametrize("language", ["de", "fr"])
SECONDS = 2.0
"""For 10,000 characters: ten times what a quiet machine takes; the square of it takes minutes."""

PUMPED = [
    *["1", "1,", "1.", "1 ", "1-", "1/", "1:", "(1", "$", "$1-", "5%-", "111 ", "111.", "a.", "@a"],
    *[
        "a@a.",
        "http://",
        "www.a.",
        "+1 ",
        "12:30 ",
        "1h",
        "1. Mai ",
        "½",
        "²",
        "AB ",
        "XIV ",
        "z. B. ",
    ],
]


def spoken(text: str, language: str, off: frozenset[str] = NOTHING) -> str:
    return normalize(MappedText.of(text), language, off).mapped.text


@LANGUAGES
@given(text=TEXTS)
def test_any_text_is_spoken_without_digits_and_twice_is_once(language: str, text: str) -> None:
    mapped = normalize(MappedText.of(text), language).mapped
    assert not any("0" <= character <= "9" for character in mapped.text)
    assert len(mapped.text) == len(mapped.spans)
    assert all(0 <= start <= end <= len(text) for start, end in mapped.spans)
    assert spoken(mapped.text, language) == mapped.text


@pytest.mark.parametrize(
    ("language", "text", "part"),
    [
        ("de", "Das kostet 1.299,99 € mehr.", "1.299,99 €"),
        ("de", "Er wiegt 2,5 kg heute.", "2,5 kg"),
        ("de", "Es war am 03.04.2025 kalt.", "03.04.2025"),
        ("fr", "Ça coûte 12,50 € ici.", "12,50 €"),
        ("fr", "Le 14/07/1789 à Paris", "14/07/1789"),
    ],
)
def test_what_a_rule_rewrites_is_one_span(language: str, text: str, part: str) -> None:
    start = text.index(part)
    mapped = normalize(MappedText.of(text), language).mapped
    whole = (start, start + len(part))
    assert whole in mapped.spans
    inside = {s for s in mapped.spans if s[0] >= whole[0] and s[1] <= whole[1]}
    assert inside == {whole}


@pytest.mark.parametrize(
    ("language", "kind", "text", "kept"),
    [
        ("de", "money", "Es kostet 12,50 € am 3. Mai.", "12,50 €"),
        ("de", "date", "Es kostet 12,50 € am 3. Mai.", "3. Mai"),
        ("de", "abbreviation", "Dr. Müller ist 40.", "Dr."),
        ("fr", "time", "À 17h30 il reste 2 places.", "17h30"),
        ("fr", "roman", "Louis XIV a 5 ans.", "XIV"),
        ("fr", "acronym", "La SNCF a 5 trains.", "SNCF"),
    ],
)
def test_a_kind_that_is_off_is_left_alone(language: str, kind: str, text: str, kept: str) -> None:
    assert kept in spoken(text, language, frozenset([kind]))
    assert kept not in spoken(text, language)


@LANGUAGES
@pytest.mark.parametrize("unit", PUMPED)
def test_time_is_bounded_for_any_run(language: str, unit: str) -> None:
    text = MappedText.of("x" + unit * (10_000 // len(unit)) + "x")
    normalize(MappedText.of("1"), language)
    began = time.thread_time()
    normalize(text, language)
    assert time.thread_time() - began < SECONDS


@pytest.mark.parametrize(
    ("text", "value"), [("XIV", 14), ("MCMXC", 1990), ("IIII", 0), ("VX", 0), ("", 0), ("I", 1)]
)
def test_roman_numerals_have_one_spelling(text: str, value: int) -> None:
    assert roman_value(text) == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.234", ("", "1234", "", "")),
        ("1.234,5", ("", "1234", ",", "5")),
        ("1\u202f299,99", ("", "1299", ",", "99")),
        ("1,299.99", ("", "1299", ".", "99")),
        ("-3,14", ("-", "3", ",", "14")),
        ("3.14", ("", "3", ".", "14")),
        ("0.500", ("", "0", ".", "500")),
    ],
)
def test_written_numbers_are_split(text: str, parts: tuple[str, str, str, str]) -> None:
    assert split_number(text) == parts
