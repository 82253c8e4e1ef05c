"""Words with times become characters with times: each character once, in order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.alignment.words import spoken_form
from f5serve.http.elevenlabs.alignment import (
    CharacterAligner,
    CharacterAlignment,
    align_characters,
)
from f5serve.text.clean import clean_text
from f5serve.text.normalization.english import normalize_english
from f5serve.types import WordTiming

PIECES = st.sampled_from(
    [
        *("Hello", "there.", " ", "  ", "\n\n", "$3.50", "12", "3rd", "[pause:1s]", "[laughs]"),
        *("<break time='1s'/>", "你好。", "こんにちは", "😀", "e\u0301", "Ａ", "½", "-", "«oui»"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, min_size=1, max_size=12).map("".join), st.text(min_size=1))


def check(text: str, found: CharacterAlignment, duration_s: float) -> None:
    """Each character of the text once, and times that never go back."""
    assert "".join(found.characters) == text
    assert list(map(len, found.characters)) == [1] * len(text)
    starts, ends = found.character_start_times_seconds, found.character_end_times_seconds
    assert len(starts) == len(ends) == len(text)
    assert starts[0] >= 0
    assert ends[-1] <= duration_s
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert all(end <= start for end, (_, start) in zip(ends, pairwise(starts), strict=False))


@st.composite
def timed(draw: st.DrawFn) -> tuple[str, list[WordTiming], float]:
    """A text, its words as an aligner tells them, and how long it lasts."""
    text = draw(TEXTS)
    words = [word.text for word in spoken_form(text, "en").words] + draw(
        st.lists(TEXTS, max_size=2)
    )
    times = sorted(
        draw(st.lists(st.floats(0, 60), min_size=2 * len(words), max_size=2 * len(words)))
    )
    found = [
        WordTiming(word, *times[2 * place : 2 * place + 2]) for place, word in enumerate(words)
    ]
    return text, found, draw(st.floats(0, 60)) if draw(st.booleans()) else max([0.0, *times])


@given(timed())
def test_every_character_has_its_time_once(case: tuple[str, list[WordTiming], float]) -> None:
    text, words, duration_s = case
    found = align_characters(text, words, duration_s)
    assert (found is None) == (not words)
    if found is not None:
        check(text, found, duration_s)


@given(timed(), st.integers(0, 12))
def test_parts_are_the_whole(case: tuple[str, list[WordTiming], float], cut: int) -> None:
    text, words, _ = case
    duration_s = max([0.0, *(word.end_s for word in words)])
    aligner = CharacterAligner(text)
    parts = [aligner.take(words[:cut]), aligner.rest(words[cut:], duration_s)]
    joined = CharacterAlignment(
        characters=[], character_start_times_seconds=[], character_end_times_seconds=[]
    )
    for part in filter(None, parts):
        joined.characters += part.characters
        joined.character_start_times_seconds += part.character_start_times_seconds
        joined.character_end_times_seconds += part.character_end_times_seconds
    check(text, joined, duration_s + 0.001)


def test_words_have_their_own_times_and_spaces_the_gaps() -> None:
    words = [WordTiming("Hi", 0.5, 0.9), WordTiming("you.", 1.0, 1.4)]
    found = align_characters("Hi you. ", words, 2.0)
    assert found is not None
    assert found.character_start_times_seconds == [0.5, 0.7, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]
    assert found.character_end_times_seconds == [0.7, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 2.0]


def test_what_is_spoken_otherwise_lies_between_its_neighbours() -> None:
    words = [WordTiming("It", 0, 0.2), WordTiming("costs", 0.2, 0.6), WordTiming("$3.50", 0.6, 2),
             WordTiming("today.", 2, 2.4)]  # fmt: skip
    spoken = normalize_english("It costs $3.50 today.").text
    found = align_characters(spoken, words, 2.5)
    assert found is not None
    start = spoken.index("three")
    assert found.character_start_times_seconds[start] == pytest.approx(0.6, abs=0.06)
    assert found.character_start_times_seconds[spoken.index("today")] == 2.0


def test_markup_between_words_is_passed_over() -> None:
    text = 'One. <break time="1.5s" /> [voice:ana] Two “words”.'
    words = [WordTiming("One.", 0, 1), WordTiming("Two", 3, 4), WordTiming("“words”.", 4, 5)]
    found = align_characters(text, words, 5.0)
    assert found is not None
    assert found.character_start_times_seconds[text.index("Two")] == 3.0
    assert clean_text(text, 1_000) != text
