"""Small CTC models in ONNX, written byte by byte: Conv, square, MatMul, LogSoftmax.

onnxruntime reads them, so they are what an export is. `frames` computes the same by numpy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from f5serve.types import FloatArray

HOP, KERNEL = 320, 400
LETTERS = "|abcdefghijklmnopqrstuvwxyz'"
VOCABULARY = {"<pad>": 0, **{letter: index for index, letter in enumerate(LETTERS, 1)}}

_OPSET = 12
_FLOAT, _INT64 = 1, 7
_INTS = 7


@dataclass(frozen=True)
class Model:
    """What is to be written.

    Attributes:
        conv: [c 1 k].
        weights, bias: [c v], [v].
        inputs: name, element type and shape; the samples first.
        batch: what the graph makes of the batch axis; 0 keeps it, 1 is traced with one wave.
    """

    conv: FloatArray
    weights: FloatArray
    bias: FloatArray
    inputs: Sequence[tuple[str, int, Sequence[int | str]]] = (("x", _FLOAT, ("N", "samples")),)
    batch: int = 0
    vocabulary: Mapping[str, int] = field(default_factory=lambda: VOCABULARY)

    def with_inputs(self, *inputs: tuple[str, int, Sequence[int | str]]) -> Model:
        return replace(self, inputs=inputs)

    def frames(self, samples: FloatArray) -> FloatArray:
        """Log probabilities [t v] of the whole wave [n], normalised as the encoder does."""
        normed = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        cut = np.lib.stride_tricks.sliding_window_view(normed, self.conv.shape[2])[::HOP]
        logits = np.square(cut @ self.conv[:, 0].T) @ self.weights + self.bias
        return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)), np.float32)


def random_model(seed: int = 7) -> Model:
    """Small numbers that are the same on every machine."""
    random = np.random.default_rng(seed)
    shapes = ((8, 1, KERNEL), (8, len(VOCABULARY)), (len(VOCABULARY),))
    conv, weights, bias = (random.normal(0, 0.05, shape).astype(np.float32) for shape in shapes)
    return Model(conv, weights * 10, bias)


def tone_hz(letter: str) -> float:
    """The tone of a letter: whole periods in a kernel, so that tones do not sound alike."""
    return 16_000 / KERNEL * 3 * VOCABULARY[letter]


def tone_model() -> Model:
    """Finds a letter where its tone sounds; silence is blank, or a little less likely `|`."""
    letters = LETTERS[1:]
    times = np.arange(KERNEL) / 16_000
    phases = np.stack([2 * np.pi * tone_hz(letter) * times for letter in letters])
    waves = np.concatenate([np.sin(phases), np.cos(phases)]) * 2 / KERNEL
    weights = np.zeros((len(waves), len(VOCABULARY)))
    for index, letter in enumerate(letters):
        weights[[index, index + len(letters)], VOCABULARY[letter]] = 40
    bias = np.zeros(len(VOCABULARY))
    bias[:2] = 8, 7
    return Model(*(np.asarray(a, np.float32) for a in (waves[:, None], weights, bias)))


def tones(text: str, letter_s: float = 0.1, pause_s: float = 0.2) -> tuple[FloatArray, list[float]]:
    """Words in tones with pauses around them, at 16 kHz, and the edges of the words in seconds."""
    pause = np.zeros(round(pause_s * 16_000))
    times = np.arange(round(letter_s * 16_000)) / 16_000
    parts, edges = [pause], []
    for word in text.split():
        edges.append(sum(map(len, parts)) / 16_000)
        parts += [np.sin(2 * np.pi * tone_hz(letter) * times) for letter in word]
        edges.append(sum(map(len, parts)) / 16_000)
        parts.append(pause)
    return np.concatenate(parts).astype(np.float32), edges


def write(folder: Path, model: Model, name: str = "model.onnx") -> Path:
    """The model as a folder, with vocab.json."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("vocab.json").write_text(json.dumps(dict(model.vocabulary)))
    folder.joinpath(name).write_bytes(_model(model))
    return folder


def _model(model: Model) -> bytes:
    sound = model.inputs[0][0]
    ints = np.array([model.batch, 1, -1])
    graph = [
        (1, _node("Reshape", [sound, "nested"], "waves")),
        (1, _node("Conv", ["waves", "conv"], "found", strides=[HOP])),
        (1, _node("Mul", ["found", "found"], "power")),
        (1, _node("Transpose", ["power"], "frames", perm=[0, 2, 1])),
        (1, _node("MatMul", ["frames", "weights"], "scores")),
        (1, _node("Add", ["scores", "bias"], "logits")),
        (2, b"tiny"),
        (5, _tensor("nested", ints.astype(np.int64), _INT64)),
        (5, _tensor("conv", model.conv, _FLOAT)),
        (5, _tensor("weights", model.weights, _FLOAT)),
        (5, _tensor("bias", model.bias, _FLOAT)),
        *((11, _value(*one)) for one in model.inputs),
        (12, _value("logits", _FLOAT, ("N", "frames", len(model.bias)))),
    ]
    return _message((1, 7), (8, _message((2, _OPSET))), (7, _message(*graph)))


def _node(kind: str, inputs: Sequence[str], output: str, **ints: Sequence[int]) -> bytes:
    attributes = [
        (5, _message((1, name.encode()), *((8, value) for value in values), (20, _INTS)))
        for name, values in ints.items()
    ]
    given = [(1, name.encode()) for name in inputs]
    return _message(*given, (2, output.encode()), (4, kind.encode()), *attributes)


def _tensor(name: str, values: np.ndarray, kind: int) -> bytes:
    dims = [(1, size) for size in values.shape]
    return _message(*dims, (2, kind), (8, name.encode()), (9, values.tobytes()))


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = [(1, _message((2, d.encode()) if isinstance(d, str) else (1, d))) for d in shape]
    tensor = _message((1, kind), (2, _message(*dims)))
    return _message((1, name.encode()), (2, _message((1, tensor))))


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    """Fields of protocol buffers: numbers as varints, everything else with its length."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += _varint(number << 3) + _varint(value)
        else:
            found += _varint(number << 3 | 2) + _varint(len(value)) + value
    return found


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
