"""The CTC aligner: its search against brute force, its encoder against transformers' answers."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.alignment.aligners import AUTO, Aligners
from f5serve.alignment.ctc import Ctc, forced_align, to_token_ids
from f5serve.alignment.encoder import Encoder
from f5serve.errors import ModelUnavailable
from f5serve.types import Wave
from tests.alignment.tiny_ctc import KINDS, VOCABULARY, sounds, write

GOLDENS = Path(__file__).parents[1] / "data" / "ctc_goldens.npz"


def collapsed(path: tuple[int, ...]) -> list[int]:
    """The text that a path spells: repeats once, blanks not at all."""
    return [
        token for before, token in zip((0, *path), path, strict=False) if token not in (before, 0)
    ]


@settings(max_examples=150)
@given(st.integers(1, 6), st.lists(st.integers(1, 2), max_size=4), st.integers(0, 10_000))
def test_no_path_is_likelier(frames: int, tokens: list[int], seed: int) -> None:
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), frames))
    paths = (path for path in product(range(3), repeat=frames) if collapsed(path) == tokens)
    scores = [float(sum(log_probs[t, v] for t, v in enumerate(path))) for path in paths]
    found = forced_align(log_probs, tokens)
    if not scores:
        assert found is None
        return
    assert found is not None
    assert found.score == pytest.approx(max(scores))
    edges = [edge for span in found.spans for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= frames for span in found.spans)


def test_the_blank_may_be_any_token() -> None:
    log_probs = np.log([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    found = forced_align(log_probs, [0, 1], blank=2)
    assert found is not None
    assert [(span.start, span.end) for span in found.spans] == [(0, 1), (2, 3)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_hears_what_transformers_does(kind: str, tmp_path: Path) -> None:
    encoder = Encoder(write(tmp_path, kind), "cpu")
    with np.load(GOLDENS) as goldens:
        for index, sound in enumerate(sounds()):
            assert np.allclose(encoder.log_probs(sound), goldens[f"{kind}-{index}"], atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_singles(kind: str, tmp_path: Path) -> None:
    """Windows of one recording are computed together, shorter ones padded."""
    encoder = Encoder(write(tmp_path, kind), "cpu")
    windows = [window for sound in sounds() for window in encoder._windows(sound)]
    together = list(encoder._of_windows(windows))
    for window, found in zip(windows, together, strict=True):
        assert np.allclose(found, next(encoder._of_windows([window])), atol=1e-5)


def test_sound_that_is_too_short_has_no_frames(tmp_path: Path) -> None:
    encoder = Encoder(write(tmp_path, "layer"), "cpu")
    for samples in (0, 100):
        assert encoder.log_probs(np.zeros(samples, np.float32)).shape == (0, len(VOCABULARY))


def test_long_sound_is_heard_in_windows_and_no_frame_is_missing(tmp_path: Path) -> None:
    encoder = Encoder(write(tmp_path, "layer"), "cpu")
    long = np.random.default_rng(2).standard_normal(65 * 16_000).astype(np.float32)
    found = encoder.log_probs(long)
    assert found.shape == (65 * 50 - 1, len(VOCABULARY))
    assert np.isfinite(found).all()
    assert np.allclose(np.exp(found).sum(axis=1), 1, atol=1e-4)


class Certain:
    """An encoder that finds "ab cd" in 20 frames of 20 ms, each letter at a known place."""

    vocabulary = VOCABULARY
    blank = 0
    hop = 320
    PLACES = ((2, "a"), (4, "b"), (7, "|"), (10, "c"), (12, "d"), (13, "d"))

    def log_probs(self, samples: np.ndarray) -> np.ndarray:
        probabilities = np.full((20, len(VOCABULARY)), 0.001)
        probabilities[:, 0] = 1
        for frame, letter in self.PLACES:
            probabilities[frame, 0] = 0.001
            probabilities[frame, VOCABULARY[letter]] = 1
        normed = probabilities / probabilities.sum(axis=1, keepdims=True)
        return np.log(normed).astype(np.float32)


def test_words_are_where_their_characters_are() -> None:
    wave = Wave(np.zeros(6_400, np.float32), 16_000)
    found = Ctc(Certain()).align(wave, "Ab, cd!", "xx")
    assert [word.word for word in found.words] == ["Ab,", "cd!"]
    edges = [edge for word in found.words for edge in (word.start_s, word.end_s)]
    assert edges == pytest.approx([0.04, 0.10, 0.20, 0.28])
    assert found.method == "ctc"
    assert found.confidence > 0.9


@pytest.mark.parametrize("text", ["zz yy", "你好", "ab " * 40, "", "123"])
def test_what_is_not_heard_or_not_spelled_has_no_words(text: str) -> None:
    wave = Wave(np.zeros(6_400, np.float32), 16_000)
    assert Ctc(Certain()).align(wave, text, "xx").words == ()


def test_a_word_that_cannot_be_spelled_lies_between_its_neighbours() -> None:
    wave = Wave(np.zeros(6_400, np.float32), 16_000)
    found = Ctc(Certain()).align(wave, "ab δ cd", "xx")
    middle = found.words[1]
    assert (middle.word, middle.confidence) == ("δ", 0.0)
    assert (middle.start_s, middle.end_s) == pytest.approx((0.10, 0.20))


def test_spelling_takes_what_the_model_has() -> None:
    assert to_token_ids("É’a", VOCABULARY) == [VOCABULARY["e"], VOCABULARY["a"]]
    assert to_token_ids("Ab", {"A": 1, "B": 2}) == [1, 2]


def test_a_folder_of_models_serves_other_languages(tmp_path: Path) -> None:
    write(tmp_path / "tiny", "layer")
    for name in (AUTO, "tiny", str(tmp_path / "tiny")):
        aligners = Aligners(name, tmp_path, "cpu")
        assert aligners.identity["model"] == "tiny"
        noise = Wave(sounds()[0], 16_000)
        assert aligners.align(noise, "guten tag", "de").words == ()  # it is noise
        assert "could not be found" in aligners.unavailable_reason("guten tag", "de")
    alone = Aligners(AUTO, tmp_path / "nothing", "cpu")
    assert alone.align(noise, "guten tag", "de").words == ()
    assert "No aligner is installed for the language 'de'" in alone.unavailable_reason(
        "guten tag", "de"
    )


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelUnavailable, match="'nowhere'") as caught:
        Aligners("nowhere", Path("/nonexistent"))
    assert caught.value.code == "ALIGNER_MISSING"


def test_a_damaged_folder_is_found_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "tiny", "layer").joinpath("vocab.json").unlink()
    aligners = Aligners("tiny", tmp_path, "cpu")
    aligners.load()
    assert "lacks vocab.json" in caplog.text
    assert aligners.align(Wave(sounds()[0], 16_000), "hi", "de").words == ()
