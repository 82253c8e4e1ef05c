"""Words as written and as spoken: every word once, in order, with its own times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.alignment.aligners import align_by_marks
from f5serve.alignment.words import split_words, spoken_form, written_times
from f5serve.text.normalization.english import normalize_english
from f5serve.text.numbers import number_speller
from f5serve.types import Wave, WordSpan


def pairs(text: str, language: str = "en") -> str:
    """Each word = what is said for it."""
    form = spoken_form(text, language)
    said: dict[int, list[str]] = {index: [] for index in range(len(form.words))}
    for word, index in zip(form.spoken, form.word_index, strict=True):
        said[index].append(word)
    told = (f"{word.text}={' '.join(said[index])}" for index, word in enumerate(form.words))
    return " | ".join(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hi, you!", "Hi,=Hi | you!=you"),
        ("It's $3.50.", "It's=It's | $3.50.=three dollars and fifty cents"),
        ("about $3 million now", "about=about | $3 million=three million dollars | now=now"),
        ("Dr. No — 🙂 at 5:30", "Dr.=Doctor | No — 🙂=No | at=at | 5:30=five thirty"),
        ("“Yes” 100% & more", "“Yes”=Yes | 100%=one hundred percent | &=and | more=more"),
        ("the 22nd of 1906", "the=the | 22nd=twenty second | of=of | 1906=nineteen oh six"),
        ("well-known 5 km", "well-known=well known | 5 km=five kilometers"),
        ("— hello", "— hello=hello"),
        ("café naïve", "café=cafe | naïve=naive"),
        ("... !", ""),
        ("", ""),
    ],
)
def test_english(text: str, told: str) -> None:
    assert pairs(text) == told


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        ("Es sind 21.", "de", "Es=Es | sind=sind | 21.=einundzwanzig"),
        ("1.203 Euro", "de", "1.203=eintausendzweihundertdrei | Euro=Euro"),
        ("Ça fait 3,5 m", "fr", "Ça=Ça | fait=fait | 3,5=trois cinq | m=m"),
        ("我有2元，好。", "zh", "我=我 | 有=有 | 2=二 | 元，=元 | 好。=好"),
        ("ok 7", "xx", "ok 7=ok"),
        ("नमस्ते, दुनिया", "hi", "नमस्ते,=नमस्ते | दुनिया=दुनिया"),
        ("می‌خواهم بروم", "fa", "می‌خواهم=می‌خواهم | بروم=بروم"),
        ("'tis ไก่", "xx", "'tis=tis | ไก่=ไก่"),
    ],
)
def test_other_languages(text: str, language: str, told: str) -> None:
    assert pairs(text, language) == told


@given(st.text(max_size=60), st.sampled_from(["en", "de", "zh", ""]))
def test_words_are_the_text(text: str, language: str) -> None:
    form = spoken_form(text, language)
    if form.words:
        assert "".join("".join(word.text.split()) for word in form.words) == "".join(text.split())
    assert list(form.word_index) == sorted(form.word_index)
    assert set(form.word_index) == set(range(len(form.words)))


@given(st.text(max_size=60))
def test_every_origin_is_inside_the_text(text: str) -> None:
    mapped = normalize_english(text)
    assert len(mapped.spans) == len(mapped.text)
    assert all(0 <= start < end <= len(text) for start, end in mapped.spans)


@given(st.text(max_size=40))
def test_splitting_loses_nothing(text: str) -> None:
    words = split_words(text)
    assert "".join(word.text for word in words) == "".join(text.split())
    assert all(text[word.start : word.end] == word.text for word in words)


def test_a_word_lasts_as_long_as_all_that_is_said_for_it() -> None:
    form = spoken_form("Pay $3.50", "en")
    times = [(float(i), i + 0.5, 1.0) for i in range(len(form.spoken))]
    pay, money = written_times(form, times)
    assert (pay.word, pay.start_s, pay.end_s) == ("Pay", 0.0, 0.5)
    assert (money.word, money.start_s, money.end_s) == ("$3.50", 1.0, 5.5)


def test_marks_become_words() -> None:
    marks = (WordSpan(0, 2, 0.1, 0.3), WordSpan(3, 8, 0.4, 0.6), WordSpan(3, 9, 0.6, 0.9))
    wave = Wave(np.zeros(24_000, np.float32), marks=marks)
    found = align_by_marks(wave, "Is $3.50? 🙂")
    assert [(w.word, w.start_s, w.end_s) for w in found.words] == [
        ("Is", 0.1, 0.3),
        ("$3.50? 🙂", 0.4, 0.9),
    ]
    assert (found.method, found.confidence) == ("exact", 1.0)
    assert align_by_marks(Wave(wave.samples), "Is").words == ()


def test_numbers_of_unknown_languages_are_not_guessed() -> None:
    assert number_speller("xx") is None
    german = number_speller("de")
    assert german is not None
    assert german("007") == "null null sieben"
    assert german("1,5") == "eins fünf"
