"""Text to phonemes: nothing too long for the model, no word lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.fallback import phonemes
from f5serve.fallback.phonemes import has_sound

WORDS = [
    "river",
    "seven",
    "window",
    "morning",
    "quietly",
    "apple",
    "people",
    "understand",
    "nothing",
    "yellow",
]


def pronounce(text: str, longest: int) -> list[str]:
    return [piece.text for piece in phonemes.pronounce(text, longest)]


def count_words(pieces: list[str]) -> int:
    return sum(has_sound(group) for piece in pieces for group in piece.split())


@pytest.mark.parametrize("joint", [" ", ", ", ". "])
def test_long_text_is_cut_and_keeps_every_word(joint: str) -> None:
    pieces = pronounce(joint.join(WORDS * 30), longest=500)
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= 500
    assert count_words(pieces) == 300


def test_cuts_fall_between_clauses_where_there_are_any() -> None:
    clause = "people understand nothing, "
    pieces = pronounce(clause * 40, longest=200)
    assert len(pieces) > 2
    assert all(piece.rstrip().endswith(",") for piece in pieces)


def test_pieces_together_are_the_whole() -> None:
    text = " ".join(WORDS * 3)
    (whole,) = pronounce(text, longest=500)
    assert " ".join(pronounce(text, longest=60)) == whole


def test_numbers_that_grow_when_spoken_are_cut_as_well() -> None:
    pieces = pronounce(" ".join(["987654321987"] * 20), longest=500)
    assert max(map(len, pieces)) <= 500
    assert sum(piece.count("tɹˈɪljən") + piece.count("bˈɪljən") for piece in pieces) == 20


def test_a_word_that_the_dictionary_leaves_silent_is_spelled() -> None:
    (alone,) = pronounce("Hm, 12345678901234567890 st", longest=500)
    assert count_words([alone]) == 22


@pytest.mark.parametrize("text", ["", "...", "🙂", "( ) — !"])
def test_decoration_alone_makes_no_pieces(text: str) -> None:
    assert pronounce(text, longest=500) == []


@settings(max_examples=40)
@given(st.text(st.characters(max_codepoint=0x17F), max_size=80))
def test_any_latin_text_is_pronounced_without_error(text: str) -> None:
    assert all(0 < len(piece) <= 100 for piece in pronounce(text, longest=100))
