"""English words found in real speech, and wrong text that is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.alignment.sphinx import Sphinx, confidence, pronunciation, spelled
from f5serve.audio.decode import decode
from f5serve.types import Wave
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording


@pytest.fixture(scope="module")
def sphinx() -> Sphinx:
    return Sphinx()


@pytest.fixture(scope="module")
def wave() -> Wave:
    return decode(recording())


def test_every_word_has_its_place(sphinx: Sphinx, wave: Wave) -> None:
    found = sphinx.align(wave, WORDS, "en")
    assert [word.word for word in found.words] == WORDS.split()
    assert found.method == "pocketsphinx"
    assert 0.4 < found.confidence <= 1
    edges = [edge for word in found.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < 0.6
    assert wave.duration_s - 0.6 < edges[-1] <= wave.duration_s


def test_silence_in_front_moves_all_words_alike(sphinx: Sphinx, wave: Wave) -> None:
    silence = np.zeros(24_000, np.float32)
    early = sphinx.align(wave, WORDS, "en")
    late = sphinx.align(Wave(np.concatenate([silence, wave.samples])), WORDS, "en")
    moved = [b.start_s - a.start_s for a, b in zip(early.words, late.words, strict=True)]
    assert np.median(moved) == pytest.approx(1.0, abs=0.02)


def test_another_text_is_not_found(sphinx: Sphinx, wave: Wave) -> None:
    for text in (OTHER_WORDS, "The quick brown fox jumps over the lazy dog.", "x " * 400):
        assert sphinx.align(wave, text, "en").words == ()


@pytest.mark.parametrize(
    "samples", [np.zeros(0), np.zeros(10), np.zeros(24_000), np.full(24_000, 1e9)]
)
def test_what_is_no_speech_has_no_words(sphinx: Sphinx, samples: np.ndarray) -> None:
    silent = Wave(samples.astype(np.float32))
    assert sphinx.align(silent, "Hello.", "en").words == ()
    assert sphinx.align(silent, "", "en").words == ()


@settings(max_examples=40)
@given(st.text(st.characters(max_codepoint=0x17F), max_size=60))
def test_any_text_can_be_asked_for(sphinx: Sphinx, wave: Wave, text: str) -> None:
    sphinx.align(Wave(wave.samples[:12_000]), text, "en")


def test_threads_take_turns_and_get_their_own_words(sphinx: Sphinx, wave: Wave) -> None:
    other = decode(other_recording())
    asked = [(wave, WORDS), (other, OTHER_WORDS)] * 6
    alone = [sphinx.align(w, t, "en") for w, t in asked[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: sphinx.align(pair[0], pair[1], "en"), asked))
    assert found == alone * 6


@pytest.mark.parametrize(
    ("word", "phones"),
    [("church", "CH ER CH"), ("kubernetes", "K UW B ER N IY T S"), ("oil", "OY L")],
)
def test_pronunciation(word: str, phones: str) -> None:
    assert pronunciation(word) == phones


def test_letters_have_names() -> None:
    assert spelled("XyZ") == "EH K S W AY Z IY"
    assert spelled("''") == ""


def test_confidence_is_a_share() -> None:
    assert [confidence(score) for score in (0.0, -0.02, -0.065, -0.11, -9.0)] == pytest.approx(
        [1.0, 1.0, 0.5, 0.0, 0.0]
    )
