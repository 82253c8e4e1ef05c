"""The CTC aligner: its search against brute force, its times on words at known places."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.alignment import aligners as aligners_module
from f5serve.alignment.aligners import AUTO, Aligners
from f5serve.alignment.ctc import Ctc, forced_align
from f5serve.alignment.encoder import Encoder
from f5serve.errors import ModelUnavailable
from f5serve.types import Wave
from tests.alignment.tiny_onnx import VOCABULARY, random_model, tone_model, tones, write

NOISE = Wave(np.random.default_rng(1).standard_normal(8_000).astype(np.float32), 16_000)


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


class Certain:
    """An encoder that finds "ab cd" in 20 frames of 20 ms, each letter at a known place."""

    vocabulary = VOCABULARY
    blank = 0
    hop = 320
    PLACES = ((2, "a"), (4, "b"), (7, "|"), (10, "c"), (12, "d"), (13, "d"))

    def log_probs(self, samples: np.ndarray, tokens: list[int], check: object) -> np.ndarray:
        probabilities = np.full((20, len(VOCABULARY)), 0.001)
        probabilities[:, 0] = 1
        for frame, letter in self.PLACES:
            probabilities[frame, 0] = 0.001
            probabilities[frame, VOCABULARY[letter]] = 1
        normed = probabilities / probabilities.sum(axis=1, keepdims=True)
        return np.log(normed[:, tokens]).astype(np.float32)


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


def test_words_in_tones_are_found_within_a_frame(tmp_path: Path) -> None:
    """All of it: onnxruntime, windows (the recording is longer than one), the search, the times."""
    text = " ".join(["abc de", "fighl mno", "pq rstu vw xyz"] * 5)
    samples, edges = tones(text, letter_s=0.25, pause_s=0.5)
    assert len(samples) > 45 * 16_000
    found = Ctc(Encoder(write(tmp_path, tone_model()))).align(Wave(samples, 16_000), text, "xx")
    assert [word.word for word in found.words] == text.split()
    assert [edge for word in found.words for edge in (word.start_s, word.end_s)] == pytest.approx(
        edges, abs=0.0201
    )
    assert found.confidence > 0.9


def test_what_is_not_spelled_is_not_computed(tmp_path: Path) -> None:
    encoder = Encoder(write(tmp_path, random_model()))
    encoder.log_probs = pytest.fail  # type: ignore[method-assign, assignment]
    assert Ctc(encoder).align(NOISE, "привет мир", "ru").words == ()


def test_a_folder_of_models_serves_other_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligners_module, "_is_installed", lambda *_: False)  # takes seconds to load
    write(tmp_path / "tiny", random_model())
    for name in (AUTO, "tiny", str(tmp_path / "tiny")):
        aligners = Aligners(name, tmp_path)
        assert aligners.identity["model"] == "tiny"
        assert aligners.align(NOISE, "guten tag", "de").words == ()  # it is noise
        assert "could not be found" in aligners.unavailable_reason("guten tag", "de")
    alone = Aligners(AUTO, tmp_path / "nothing")
    assert alone.align(NOISE, "guten tag", "de").words == ()
    reason = alone.unavailable_reason("guten tag", "de")
    assert "No aligner is installed for the language 'de': run f5serve models pull al" in reason


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelUnavailable, match="'nowhere'") as caught:
        Aligners("nowhere", Path("/nonexistent"))
    assert caught.value.code == "ALIGNER_MISSING"


def test_a_damaged_folder_is_found_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "tiny", random_model()).joinpath("vocab.json").unlink()
    aligners = Aligners("tiny", tmp_path)
    aligners.load()
    assert "lacks vocab.json or tokens.txt" in caplog.text
    assert aligners.align(NOISE, "hi", "de").words == ()
