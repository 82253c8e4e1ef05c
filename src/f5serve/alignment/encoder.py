"""A CTC model on onnxruntime: 16 kHz samples to log probabilities of tokens [t v].

A model is a folder with model.int8.onnx or model.onnx, and vocab.json (as `transformers` saves it)
or tokens.txt (as sherpa-onnx does: a token and its id a line). Its graph takes normalised samples
[b n] or [b 1 n], as all of the wav2vec2 family do, and gives logits or log probabilities [b t v].
What else it wants (lengths, a mask) and its frame rate are found out when it is loaded.

Long waves are cut into overlapping windows, so that memory does not grow with the square of the
length. Windows of one length run together, without padding: exports differ in how they mask it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from f5serve.errors import ModelUnavailable
from f5serve.process import Check, never_cancelled
from f5serve.settings import disable_onnxruntime_telemetry
from f5serve.types import FloatArray

SAMPLE_RATE = 16_000
WINDOW_S = 30.0
OVERLAP_S = 2.0
"""Sound around the frames of each window, on either side."""

BATCH = 2
"""Windows that run together; a vocabulary of 10,000 takes 70 MB for each."""

MODELS = ("model.int8.onnx", "model.onnx")
VOCABULARIES = ("vocab.json", "tokens.txt", "vocab.txt")

_PROBE = 16_000
_PROBE_STEP = 38_400
"""More samples of a second probe; the hops of all models that are known divide it."""

_SAME = 0.1
"""Largest difference of a probability between a batch and its singles; int8 differs a little."""

_BLANKS = ("<blk>", "<blank>")
_PADS = ("<pad>", "[PAD]")
_TOKEN_LINE = re.compile(r"(.*)[ \t](\d+)\s*")
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


def find_model(folder: Path) -> Path | None:
    """The graph in a folder, None where there is none."""
    return next((folder / name for name in MODELS if (folder / name).is_file()), None)


class Encoder:
    """Computes log probabilities of tokens; for one thread at a time.

    Args:
        folder: with the files above.
        threads: of the CPU, for one window.

    Attributes:
        vocabulary: token -> id.
        blank: the id that stands for no token.
        hop: samples from one frame to the next.

    Raises:
        ModelUnavailable: ALIGNER_MISSING or ALIGNER_UNSUITED.
        ImportError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        model = find_model(folder)
        found = (folder / name for name in VOCABULARIES if (folder / name).is_file())
        vocabulary = next(found, None)
        if model is None or vocabulary is None:
            missing = " or ".join(VOCABULARIES if model else MODELS)
            raise ModelUnavailable(
                f"The aligner {folder.name!r} lacks {missing}.",
                code="ALIGNER_MISSING",
                hint="Run f5serve models pull aligner, or put an ONNX export of a CTC model there.",
            )
        self.vocabulary, self.blank = _read_vocabulary(vocabulary)
        self._graph = _Graph(model, threads)
        self.hop, self._reach, self._batch = self._probe(folder.name)

    def log_probs(
        self, samples: FloatArray, tokens: Sequence[int], check: Check = never_cancelled
    ) -> FloatArray:
        """Log probabilities [t len(tokens)] of 16 kHz samples; no frames for a very short wave.

        Args:
            tokens: which of them; half an hour of all 10,000 would take 4 GB.
            check: called before each batch; what it raises comes out.

        Raises:
            ModelUnavailable: ALIGNER_FAILED.
        """
        parts = [np.zeros((0, len(tokens)), np.float32)]
        if len(samples) >= self._reach:
            for batch in self._batches(_normed(samples)):
                check()
                rows = self._graph.run(np.stack([window.samples for window in batch]))
                parts += [
                    _log_softmax(row[window.skip : window.skip + window.keep], tokens)
                    for window, row in zip(batch, rows, strict=True)
                ]
        return np.concatenate(parts)

    def _probe(self, name: str) -> tuple[int, int, int]:
        """Hop, samples that one frame needs (up to a hop more), and windows that may run together.

        Exports of omniASR declare a batch axis, but were traced with a batch of one: it is tried.
        """
        noise = np.random.default_rng(0).random((2, _PROBE + _PROBE_STEP), np.float32)
        short, long = self._graph.run(noise[1:, :_PROBE]), self._graph.run(noise[1:])
        frames = long.shape[1] - short.shape[1]
        if frames <= 0 or _PROBE_STEP % frames or short.shape[2] <= max(self.vocabulary.values()):
            raise _unsuited(name, f"it gave {short.shape} for a second")
        hop = _PROBE_STEP // frames
        batch = BATCH if self._has_batches(noise[:, :_PROBE], short[0]) else 1
        return hop, _PROBE - (short.shape[1] - 1) * hop, batch

    def _has_batches(self, pair: FloatArray, second: FloatArray) -> bool:
        """Whether the second of a pair comes out as it did alone."""
        if not self._graph.is_batched:
            return False
        try:
            found = self._graph.run(pair)
        except ModelUnavailable:
            return False
        if found.shape != (2, *second.shape):
            return False
        tokens = range(second.shape[1])
        differences = np.exp(_log_softmax(found[1], tokens)) - np.exp(_log_softmax(second, tokens))
        return bool(np.abs(differences).max() < _SAME)

    def _batches(self, samples: FloatArray) -> Iterator[list[_Window]]:
        """The windows of a wave in order; neighbours of one length together."""
        batch: list[_Window] = []
        for window in self._windows(samples):
            full = len(batch) == self._batch
            if batch and (full or len(window.samples) != len(batch[0].samples)):
                yield batch
                batch = []
            batch.append(window)
        yield batch

    def _windows(self, samples: FloatArray) -> Iterator[_Window]:
        """The wave in windows that begin at whole frames."""
        own = int(WINDOW_S * SAMPLE_RATE) // self.hop
        beyond = int(OVERLAP_S * SAMPLE_RATE) // self.hop
        for first in range(0, -(-len(samples) // self.hop), own):
            begin = max(0, first - beyond)
            end = (first + own + beyond) * self.hop + self._reach
            yield _Window(samples[begin * self.hop : end], first - begin, own)


@dataclass(frozen=True, slots=True)
class _Window:
    """Samples of one window, and which of their frames are kept, at most."""

    samples: FloatArray
    skip: int
    keep: int


class _Graph:
    """A session of onnxruntime, and how its inputs are filled.

    Attributes:
        is_batched: whether the graph says that it takes several waves.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._name = path.parent.name
        self._session = _open_session(path, threads)
        inputs = self._session.get_inputs()
        sound = next((one for one in inputs if one.type == "tensor(float)"), None)
        self._others = [one for one in inputs if one is not sound]
        shape: list[int | str | None] = sound.shape if sound is not None else []
        takes_samples = len(shape) in (2, 3) and not isinstance(shape[-1], int)
        if sound is None or not takes_samples or (len(shape) == 3 and shape[1] != 1):
            raise _unsuited(self._name, f"its input is {shape}")
        if any(one.type not in _INTEGERS or len(one.shape) not in (1, 2) for one in self._others):
            raise _unsuited(self._name, f"it wants {', '.join(one.name for one in inputs)}")
        self._sound, self._is_nested = sound.name, len(shape) == 3
        self._output = self._session.get_outputs()[0].name
        self.is_batched = not isinstance(shape[0], int)

    def run(self, samples: FloatArray) -> FloatArray:
        """[b n] -> [b t v].

        Raises:
            ModelUnavailable: ALIGNER_FAILED.
        """
        feeds = {self._sound: samples[:, None] if self._is_nested else samples}
        for one in self._others:
            full, value = (samples.shape, 1) if len(one.shape) == 2 else samples.shape
            feeds[one.name] = np.full(full, value, _INTEGERS[one.type])
        try:
            found = self._session.run([self._output], feeds)[0]
        except Exception as error:  # its errors have no base class of their own
            raise ModelUnavailable(
                f"The aligner {self._name!r} failed.",
                code="ALIGNER_FAILED",
                hint=str(error).splitlines()[0][:200],
            ) from error
        return np.asarray(found, np.float32)


def _open_session(path: Path, threads: int) -> Any:
    disable_onnxruntime_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base class of their own
        raise _unsuited(path.parent.name, str(error).splitlines()[0][:200]) from error


def _read_vocabulary(path: Path) -> tuple[dict[str, int], int]:
    """The id of each token, and of the blank."""
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            vocabulary = {str(token): int(index) for token, index in json.loads(text).items()}
            config = path.with_name("config.json")
            config_text = config.read_text("utf-8") if config.is_file() else "{}"
            named = json.loads(config_text).get("pad_token_id")
        else:
            # Not by splitlines: some tokens are separators of lines. A space may have been cut off.
            lines = [_TOKEN_LINE.fullmatch(line) for line in text.split("\n") if line.strip()]
            vocabulary = {line[1] or " ": int(line[2]) for line in lines if line}
            named = None
        blanks = _BLANKS + (_PADS if path.suffix == ".json" else ())
        # In tokens.txt of omniASR a <pad> is 1 and the blank is <s>, the first.
        blank = next((vocabulary[token] for token in blanks if token in vocabulary), 0)
        if not vocabulary:
            raise ValueError("it is empty")
        return vocabulary, blank if named is None else int(named)
    except (ValueError, TypeError, AttributeError) as error:
        raise _unsuited(path.parent.name, f"{path.name} cannot be read: {error}") from None


def _unsuited(name: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The aligner {name!r} is no CTC model that takes samples: {reason}.",
        code="ALIGNER_UNSUITED",
        hint="Take an ONNX export of the wav2vec2 family: f5serve models pull aligner.",
    )


def _normed(samples: FloatArray) -> FloatArray:
    """Zero mean and unit variance, as such models are trained."""
    centred = samples - samples.mean()
    return np.asarray(centred / np.sqrt(np.square(centred).mean() + 1e-7), np.float32)


def _log_softmax(logits: FloatArray, tokens: Sequence[int]) -> FloatArray:
    """Log probabilities [t len(tokens)] of logits [t v]; log probabilities stay what they are."""
    most = logits.max(axis=1, keepdims=True)
    total = most + np.log(np.exp(logits - most).sum(axis=1, keepdims=True))
    return np.asarray(logits[:, list(tokens)] - total, np.float32)
