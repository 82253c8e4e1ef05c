"""Spanish, Italian and Portuguese: properties that hold for any text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.normalizer import normalize
from f5serve.text_kinds import TEXT_KINDS as KINDS

LANGUAGES = ["es", "it", "pt"]
PIECES = [
    *["1", "2", "21", "100", "1.299,99", "1,299.99", "1/2", "½", "03/04/2025", "14:30", "14h30"],
    *["€", "$", "R$", "%", "°C", "km/h", "º", ".ª", "n.º", "Sr.", "EE. UU.", "XXI", "VI", "siglo"],
    *["secolo", "Felipe", "de", "mayo", "maggio", "casas", "case", "a", "é", "ñ", "l'", "@", "#"],
    *[" ", " ", "-", "–", "/", ".", ",", ":", "'", '"', "(", ")", "+", "=", "&", "\u00a0", "www."],
]


def say(text: str, language: str, off: frozenset[str] = frozenset()) -> str:
    return normalize(MappedText.of(text), language, off).mapped.text


@given(st.sampled_from(LANGUAGES), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_is_taken_and_leaves_no_digit(language: str, text: str) -> None:
    assert not re.search(r"\d", say(text, language))


@given(st.sampled_from(LANGUAGES), st.text("aeinosñçã 'ABC", max_size=60))
def test_small_letters_stay(language: str, text: str) -> None:
    letters = re.sub(r"\W", "", text.lower())
    assert re.sub(r"\W", "", say(text, language).lower()) == letters


@given(st.sampled_from(LANGUAGES), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_each_word_has_a_place_in_order(language: str, text: str) -> None:
    mapped = normalize(MappedText.of(text), language).mapped
    assert len(mapped.text) == len(mapped.spans)
    assert all(0 <= start <= end <= len(text) for start, end in mapped.spans)
    assert [start for start, _ in mapped.spans] == sorted(start for start, _ in mapped.spans)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_kinds_off_change_nothing(language: str) -> None:
    text = "1.299,99 €, 14:30, Sr. 50 % XXI"
    assert say(text, language, frozenset(KINDS)) == text


@pytest.mark.parametrize(
    ("language", "text", "kind", "kept"),
    [
        ("es", "Cuesta 12,50 € hoy a las 14:30.", "money", "12,50 €"),
        ("it", "Sono le 14:30 del 1/5/1999.", "time", "14:30"),
        ("pt", "Em 03/04/2025, o Dr. Rui.", "date", "03/04/2025"),
        ("pt", "Em 03/04/2025, o Dr. Rui.", "abbreviation", "Dr."),
    ],
)
def test_a_kind_that_is_off_stays(language: str, text: str, kind: str, kept: str) -> None:
    assert kept in say(text, language, frozenset({kind}))
    assert kept not in say(text, language)


@pytest.mark.parametrize(
    ("language", "text", "word", "written"),
    [
        ("es", "Pagó $3.50 ayer.", "dólares", "$3.50"),
        ("it", "Il 03/04/2025 parto.", "aprile", "03/04/2025"),
        ("pt", "Pesa 2,5 kg hoje.", "quilogramas", "2,5 kg"),
        ("es", "Añade 1/2 kg de pan.", "medio", "1/2 kg"),
    ],
)
def test_a_word_points_to_all_that_was_written(
    language: str, text: str, word: str, written: str
) -> None:
    mapped = normalize(MappedText.of(text), language).mapped
    start, end = dict(mapped.find(re.compile(r"\w+")))[word]
    assert text[start:end] == written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "unit",
    [
        *[
            "1",
            "1,",
            "1.",
            "1/",
            "1-",
            "(1",
            "1 ",
            "1:",
            "$",
            "$1",
            "€ ",
            "a.",
            "@a",
            "#a",
            "A",
            "I",
        ],
        *["XX ", "1º", "½", "1 1/2 ", "1 kg ", "D. ", "S. A", "14:30 ", "1 h ", "Sr. ", "'1", "1'"],
        *["de 1 ", "1.000", "01310-", "(11) ", "+1 ", "n.", "el 1 de ", "a@", "www.", "1%-", "& "],
    ],
)
def test_time_is_linear(language: str, unit: str) -> None:
    say("21 casas, 1/2 kg, 1.º", language)
    begun = time.thread_time()
    say(unit * (5_000 // len(unit)), language)
    assert time.thread_time() - begun < 2.0
