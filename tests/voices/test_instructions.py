"""Instructions choose a style by what they ask for, and never by what they deny."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.voices.instructions import WORDS, style_for

STYLES = ("angry", "calm", "excited", "fearful", "happy", "sad", "serious", "whisper")


@pytest.mark.parametrize(
    ("instructions", "style"),
    [
        ("Happy.", "happy"),
        ("Speak in a cheerful and positive tone.", "happy"),
        ("SPEAK SADLY", "sad"),
        ("Please whisper.", "whisper"),
        ("Use a very quiet voice, as in a library.", "whisper"),
        ("Say it under your breath", "whisper"),
        ("Voice: calm, composed, and reassuring.\nTone: happy.", "calm"),
        ("Don’t sound sad; be joyful.", "happy"),
        ("Not sad, but excited.", "excited"),
        ("Don't be angry, be calm.", "calm"),
        ("Not only sad but angry.", "sad"),
        ("Nothing but anger.", "angry"),
        ("Rather than calm. Furious!", "angry"),
        ("Avoid:\n- anger\n- sadness\n\nTone: serious", "serious"),
        ("- not too fast\n- cheerful", "happy"),
        ("Sprich fröhlich.", "happy"),
        ("Nicht traurig, sondern ruhig.", "calm"),
        ("D'un ton joyeux, s'il te plaît.", "happy"),
        ("Pas triste, mais calme.", "calm"),
        ("No suenes triste, sino alegre.", "happy"),
        ("Con voce sussurrata: sussurrando.", "whisper"),
        ("Não triste, mas feliz.", "happy"),
        ("请用非常高兴的语气说。", "happy"),
        ("不要悲伤，要高兴。", "happy"),
        ("特别生气地说", "angry"),
        ("悲しい声ではなく、楽しそうに話して。", "happy"),
        ("ささやいてください", "whisper"),
    ],
)
def test_what_is_asked_for_is_chosen(instructions: str, style: str) -> None:
    assert style_for(instructions, STYLES) == style


@pytest.mark.parametrize(
    "instructions",
    [
        "",
        "Speak like a pirate.",
        "Not sad.",
        "Don't sound angry.",
        "Do not sound angry or sad, or whisper",
        "don't sound sad, angry or scared",
        "Never, ever sound like an angry person",
        "I would not want you to sound sad",
        "You shouldn't be so furious.",
        "anything but sad",
        "without anger",
        "Avoid whispering.",
        "less excited",
        "Instead of a happy voice take your own",
        "Avoid:\n- anger\n- sadness",
        "Nicht traurig.",
        "keine Wut, ohne zornig zu klingen",
        "Ne sois pas triste.",
        "Ne rends pas ma voix triste",
        "No suenes triste ni enojado.",
        "Senza rabbia",
        "Não soe mais triste",
        "不高兴",
        "别生气",
        "悲しくない声で",
        "悲しそうに話さないで",
        "unhappiness",
        "shadows, madame, Sadie",
    ],
)
def test_what_is_denied_or_not_said_is_not_chosen(instructions: str) -> None:
    assert style_for(instructions, STYLES) == ""


def test_only_styles_of_the_voice_are_chosen() -> None:
    assert style_for("Happy, then sad.", ["sad"]) == "sad"
    assert style_for("Happy.", ["sad"]) == ""
    assert style_for("Happy.", []) == ""


def test_a_style_with_a_name_of_its_own_is_chosen_by_it() -> None:
    assert style_for("As a Radio Host would.", ["radio-host", "radio_ad"]) == "radio-host"
    assert style_for("radio-host", ["radio-host"]) == "radio-host"
    assert style_for("Not as a radio host.", ["radio-host"]) == ""
    assert style_for("very very sad", ["sad", "very_sad"]) == "very_sad"
    assert style_for("take 2", ["2"]) == "2"


def test_the_own_name_counts_before_the_usual_words() -> None:
    assert style_for("cheerful", ["cheerful", "happy"]) == "cheerful"
    assert style_for("joyful", ["cheerful", "happy"]) == "happy"
    assert style_for("joyful", ["cheerful"]) == "cheerful"
    assert style_for("freundlich", ["warm"]) == "warm"


def test_no_word_has_two_meanings() -> None:
    words = [word for line in WORDS for word in set(line.split())]
    assert sorted(words) == sorted({*words})


@given(st.text(max_size=200), st.sampled_from(["not ", "don't be ", "never "]))
def test_any_text_is_read(text: str, negation: str) -> None:
    assert style_for(text, STYLES) in ("", *STYLES)
    assert style_for(f"{negation}sad", STYLES) == ""
