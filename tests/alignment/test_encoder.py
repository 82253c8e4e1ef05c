"""CTC models on onnxruntime: numbers of small exports against numpy, and exports of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from f5serve.alignment.encoder import Encoder
from f5serve.errors import ModelUnavailable
from tests.alignment.tiny_onnx import LETTERS, VOCABULARY, Model, random_model, write

ALL = range(len(VOCABULARY))
INT64, INT32, FLOAT = 7, 6, 1
SAMPLES = ("N", "samples")


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(int(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize("batch", [0, 1])
def test_windows_and_batches_equal_the_whole(batch: int, tmp_path: Path) -> None:
    """An export that was traced with one wave says that it takes several, and does not."""
    model = replace(random_model(), batch=batch)
    encoder = Encoder(write(tmp_path, model))
    assert encoder.hop == 320
    long = noise(95)
    lengths = [len(group) for group in encoder._batches(long)]
    assert lengths == ([1, 1, 1, 1] if batch else [1, 2, 1])
    found = encoder.log_probs(long, ALL)
    assert found.shape == (95 * 50 - 1, len(VOCABULARY))
    assert np.allclose(found, model.frames(long), atol=1e-4)


@pytest.mark.parametrize("samples", [700, 16_000, 30 * 16_000 + 1, 30 * 16_000 + 399, 513_280])
def test_no_frame_is_missing_or_told_twice(samples: int, tmp_path: Path) -> None:
    model, sound = random_model(), noise(samples / 16_000 + 1)[:samples]
    found = Encoder(write(tmp_path, model)).log_probs(sound, ALL)
    assert np.allclose(found, model.frames(sound), atol=1e-4)


def test_only_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    model = random_model()
    found = Encoder(write(tmp_path, model)).log_probs(noise(1), [0, 5, 9])
    assert np.allclose(found, model.frames(noise(1))[:, [0, 5, 9]], atol=1e-4)


def test_sound_that_is_too_short_has_no_frames(tmp_path: Path) -> None:
    encoder = Encoder(write(tmp_path, random_model()))
    for samples in (0, 100):
        assert encoder.log_probs(np.zeros(samples, np.float32), ALL).shape == (0, len(VOCABULARY))


@pytest.mark.parametrize(
    "inputs",
    [
        [("audio", FLOAT, (1, 1, "samples"))],
        [("input_values", FLOAT, SAMPLES), ("attention_mask", INT64, SAMPLES)],
        [("x", FLOAT, SAMPLES), ("x_lens", INT32, ("N",))],
    ],
)
def test_inputs_are_filled_as_the_graph_wants_them(
    inputs: list[tuple[str, int, tuple[int | str, ...]]], tmp_path: Path
) -> None:
    model = random_model().with_inputs(*inputs)
    found = Encoder(write(tmp_path, model, "model.int8.onnx")).log_probs(noise(2), ALL)
    assert np.allclose(found, model.frames(noise(2)), atol=1e-4)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (random_model().with_inputs(("features", FLOAT, ("N", 80, "frames"))), "its input is"),
        (random_model().with_inputs(("x", FLOAT, (1, 16_000))), "its input is"),
        (random_model().with_inputs(*(("x", FLOAT, SAMPLES), ("y", FLOAT, (1,)))), "it wants x, y"),
        (replace(random_model(), vocabulary={"a": 0, "z": 29}), r"it gave \(1, 49, 29\)"),
        (replace(random_model(), vocabulary={}), "vocab.json cannot be read"),
    ],
)
def test_other_graphs_are_refused(model: Model, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        Encoder(write(tmp_path, model))
    assert caught.value.code == "ALIGNER_UNSUITED"


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    write(tmp_path, random_model()).joinpath("model.onnx").write_bytes(b"<html>")
    with pytest.raises(ModelUnavailable) as caught:
        Encoder(tmp_path)
    assert caught.value.code == "ALIGNER_UNSUITED"


@pytest.mark.parametrize(
    ("name", "text", "blank", "space"),
    [
        ("tokens.txt", "<s> 0\n<pad> 1\n  2\n\u2028 3\na 4\n", 0, 2),  # omniASR
        ("tokens.txt", "<s> 0\na 1\n 2\n<blk> 3\n", 3, 2),  # an editor has cut spaces off
        ("vocab.txt", "<unk>\t0\n▁a\t1\n▁\t2\n<blank>\t3", 3, None),
        ("vocab.json", '{"a": 0, " ": 1, "[PAD]": 2}', 2, 1),
    ],
)
def test_vocabularies(name: str, text: str, blank: int, space: int | None, tmp_path: Path) -> None:
    write(tmp_path, random_model()).joinpath("vocab.json").unlink()
    tmp_path.joinpath(name).write_text(text, "utf-8")
    encoder = Encoder(tmp_path)
    assert encoder.blank == blank
    assert encoder.vocabulary.get(" ") == space
    assert len(encoder.vocabulary) == len(set(encoder.vocabulary.values())) >= 3


def test_the_blank_of_transformers_is_its_pad_token(tmp_path: Path) -> None:
    write(tmp_path, random_model()).joinpath("config.json").write_text('{"pad_token_id": 7}')
    assert Encoder(tmp_path).blank == 7
    assert len(LETTERS) + 1 == len(VOCABULARY)


def test_the_reader_can_end_it_between_windows(tmp_path: Path) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Encoder(write(tmp_path, random_model())).log_probs(noise(95), ALL, check)
    assert len(calls) == 2
