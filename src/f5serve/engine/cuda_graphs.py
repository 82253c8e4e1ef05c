"""CUDA graphs of ODE steps: captured once, then replayed, one launch for hundreds.

A replayed step returns the same as a computed one. What cannot be captured, was not yet, or failed
its validation is computed as without this module. The capturer is injected; the engine loop decides
when there is time to capture.

What a step computes is given by tensors alone: how much of a bucket is used, by which sequences, at
which time points. So one graph serves every mixture that fits into its bucket. The rest of a bucket
is a sequence of zeros that belongs to no utterance, then empty ones; neither touches another.
"""

from __future__ import annotations

import logging
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS
from f5serve.engine.cuda import CapturedGraph, GraphCapturer, GraphLimits, is_out_of_memory
from f5serve.engine.packing import BatchLayout, PackedSequences, StepConditioning
from f5serve.types import MAX_DURATION_FRAMES

log = logging.getLogger(__name__)

TOKEN_STEPS = ((2048, 128), (4096, 256), (8192, 512))
"""(up to so many tokens, buckets are multiples of): at most an eighth is padding beyond 1024."""
MAX_TOKENS = TOKEN_STEPS[-1][0]
"""Beyond, launching kernels takes less than their work, and padding would only add to it."""
SEQUENCES = (4, 8, 16, 32, 64)
CAPTURE_AFTER = 8
"""Steps of a bucket after which it is captured: more than a warm-up takes, about one request."""
CAPTURE_OVERDUE = 64
"""Steps of a bucket after which callers wait for its capture, should there never be a pause."""
USUAL_TOKENS = (1280, 2304)
"""Of sequences with CFG of 7 and of 12 s, reference included: captured at the start."""
MAX_FAILURES = 2
"""After so many failures nothing is captured any more."""
TOLERANCE = {torch.float16: 3e-3, torch.bfloat16: 4e-2, torch.float32: 1e-4}
"""Largest relative difference between a replayed step and the same step computed."""
FP8_TOLERANCE = 0.15
"""The same in fp8. A graph has other sizes, for which libraries take other kernels. One sum that is
rounded otherwise changes the roundings of all layers behind it, so the two differ by nearly as much
as fp8 does from fp32: 0.04 to 0.07. A graph that is wrong is off by about 1."""
COUNTED = ("graph_steps", "eager_steps", "graph_captures", "graph_failures", "padding_frames")
_FAULTS = (RuntimeError, TypeError, ValueError, AttributeError, ImportError, AssertionError)

Forward = Callable[[Tensor, Tensor, StepConditioning, BatchLayout], Tensor]
"""A backbone: (x, condition, timestep, layout) -> [m N_MELS]"""


class Bucket(NamedTuple):
    """A shape.

    Attributes:
        tokens: mel frames of all sequences, padding included.
        sequences: how many there are, the padding and empty ones included.
        mixed: whether they are at time points of their own.
    """

    tokens: int
    sequences: int
    mixed: bool


def bucket_of(lengths: Sequence[int], mixed: bool) -> Bucket | None:
    """The smallest bucket for sequences of these lengths; None when they are too much for any."""
    total, count = sum(lengths), len(lengths) + 1
    sequences = next((n for n in SEQUENCES if n >= count), None)
    width = next((width for most, width in TOKEN_STEPS if total <= most), None)
    if sequences is None or width is None:
        return None
    return Bucket(-(-total // width) * width, sequences, mixed)


def padded_lengths(bucket: Bucket, lengths: Sequence[int]) -> list[int]:
    """Lengths with those of the sequences that are padding."""
    rest = bucket.tokens - sum(lengths)
    return [*lengths, rest, *[0] * (bucket.sequences - len(lengths) - 1)]


class ModelSizes(NamedTuple):
    """What the static inputs of a model have in common.

    Attributes:
        width: of the transformer.
        n_modulations: vectors of one time point.
        time_token: as `BatchLayout.of` takes it.
    """

    width: int
    n_modulations: int
    time_token: bool
    device: torch.device
    dtype: torch.dtype


@dataclass(slots=True, eq=False)
class StaticInputs:
    """Inputs and output of the steps of one bucket; they stay where they are.

    Attributes:
        x, condition, timestep, layout: as the backbone takes them, x for every sequence apart.
        out: velocity, [tokens N_MELS].
        loaded: the condition that they hold, and whose layout.
    """

    bucket: Bucket
    x: Tensor
    condition: Tensor
    timestep: StepConditioning
    layout: BatchLayout
    out: Tensor
    loaded: weakref.ref[Tensor] | None = field(default=None, init=False)

    @classmethod
    def of(cls, bucket: Bucket, sizes: ModelSizes) -> StaticInputs:
        """Zeros, with sequences of nearly one length."""
        tokens, sequences, mixed = bucket
        even = [(i + 1) * tokens // sequences - i * tokens // sequences for i in range(sequences)]
        layout = BatchLayout.of(even, sizes.device, sizes.time_token, pad_convs=True)

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=sizes.device, dtype=sizes.dtype)

        modulation = zeros(*[sequences] * mixed, sizes.n_modulations, sizes.width)
        indices = torch.zeros(sequences, device=sizes.device, dtype=torch.int64)
        return cls(
            bucket,
            zeros(tokens, N_MELS),
            zeros(tokens, sizes.width),
            StepConditioning(modulation, indices if mixed else None),
            _bounded(layout, min(tokens, MAX_DURATION_FRAMES)),
            zeros(tokens, N_MELS),
        )

    @property
    def memory(self) -> int:
        """Bytes."""
        held = [self.x, self.condition, self.out, self.timestep.modulation, *self.layout.tensors]
        return sum(tensor.nbytes for tensor in held)

    def copy_from(
        self, condition: Tensor, layout: BatchLayout, timestep: StepConditioning, x: Tensor
    ) -> None:
        """Take over a step; what stays the same from step to step only once.

        Args:
            condition, layout, timestep, x: as the backbone takes them.
        """
        total = len(condition)
        if self.loaded is None or self.loaded() is not condition:
            self._copy_layout(condition, layout)
            self.loaded = weakref.ref(condition)
        self.x[: len(x)] = x
        self.x[len(x) : total] = x[: total - len(x)]
        if timestep.indices is None or self.timestep.indices is None:
            self.timestep.modulation.copy_(timestep.modulation)
        else:
            self.timestep.modulation[: len(timestep.modulation)] = timestep.modulation
            self.timestep.indices[: len(timestep.indices)] = timestep.indices

    def _copy_layout(self, condition: Tensor, layout: BatchLayout) -> None:
        total = len(condition)
        new = BatchLayout.of(
            padded_lengths(self.bucket, layout.mel.lengths),
            condition.device,
            layout.mel_indices is not None,
            pad_convs=True,
        )
        for mine, theirs in zip(self.layout.tensors, new.tensors, strict=True):
            mine.copy_(theirs)
        self.condition[:total] = condition
        self.condition[total:] = 0
        self.x[total:] = 0
        if self.timestep.indices is not None:
            self.timestep.indices.zero_()


def _bounded(layout: BatchLayout, longest: int) -> BatchLayout:
    """The same layout, for sequences up to that length."""

    def bound(packing: PackedSequences, most: int) -> PackedSequences:
        return PackedSequences((), (), most, *packing.tensors)

    mel = bound(layout.mel, longest)
    tokens = mel if layout.mel_indices is None else bound(layout.tokens, longest + 1)
    return BatchLayout(mel, tokens, layout.mel_indices, layout.conv_padding)


@dataclass(slots=True, eq=False)
class _Entry:
    """A graph and its inputs; used once a replay was compared."""

    inputs: StaticInputs
    graph: CapturedGraph
    is_validated: bool = False

    @property
    def memory(self) -> int:
        return self.inputs.memory + self.graph.memory


class CudaGraphCache:
    """The graphs of one model, by bucket. Called by the device's thread alone.

    Args:
        forward: computes a step.
        sizes: of the model.
        tolerance: of the validation; None goes by the type of what is computed.
    """

    def __init__(
        self,
        forward: Forward,
        sizes: ModelSizes,
        capturer: GraphCapturer,
        limits: GraphLimits,
        tolerance: float | None = None,
    ) -> None:
        self.off = False
        self._tolerance = tolerance or TOLERANCE.get(sizes.dtype, min(TOLERANCE.values()))
        self._forward = forward
        self._sizes = sizes
        self._capturer = capturer
        self._limits = limits
        self._max_tokens = MAX_TOKENS
        self._entries: OrderedDict[Bucket, _Entry] = OrderedDict()
        self._missed: Counter[Bucket] = Counter()
        self._evicted = 0
        self._totals = Counter(dict.fromkeys(COUNTED, 0))

    def velocity(
        self, x: Tensor, condition: Tensor, timestep: StepConditioning, layout: BatchLayout
    ) -> Tensor:
        """What `forward` returns for these."""
        step = x, condition, timestep, layout
        bucket = bucket_of(layout.mel.lengths, timestep.indices is not None)
        entry = None if bucket is None else self._entries.get(bucket)
        if bucket is None or entry is None:
            if bucket is not None and not self.off:
                self._missed[bucket] += 1
            self._totals["eager_steps"] += 1
            return self._forward(*step)
        self._entries.move_to_end(bucket)
        if not entry.is_validated:
            return self._validate(entry, *step)
        replayed = self._replay(entry, *step)
        if replayed is None:
            return self._forward(*step)
        padding = (bucket.tokens - len(condition)) * len(x) // len(condition)
        self._totals.update(graph_steps=1, padding_frames=padding)
        return replayed

    def _validate(
        self, entry: _Entry, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor:
        """Compute the step, replay it as well, and compare."""
        expected = self._forward(*step)
        self._totals["eager_steps"] += 1
        if not torch.isfinite(expected).all():
            return expected  # a sequence that is not finite says nothing about the graph
        replayed = self._replay(entry, *step)
        if replayed is not None:
            difference = (replayed.float() - expected.float()).norm() / expected.float().norm()
            if difference <= self._tolerance:
                entry.is_validated = True
            else:
                self._fail(entry.inputs.bucket, f"is off by {difference:.1e} when replayed")
        return expected

    def _replay(
        self, entry: _Entry, *step: *tuple[Tensor, Tensor, StepConditioning, BatchLayout]
    ) -> Tensor | None:
        """The velocity by replay; None, and no more replays, when that failed."""
        x, condition, timestep, layout = step
        try:
            entry.inputs.copy_from(condition, layout, timestep, x)
            entry.graph.replay()
            return entry.inputs.out[: len(condition)].clone()
        except _FAULTS as error:
            if is_out_of_memory(error):  # as in any step
                raise
            self._fail(entry.inputs.bucket, f"failed in replay: {_first_line(error)}")
            return None

    def capture_pending(self) -> bool:
        """Capture what was missed most, in a pause; whether there was anything to do."""
        return self._capture_most_missed(CAPTURE_AFTER)

    def capture_overdue(self) -> bool:
        """The same while callers wait, for what was missed so often that they gain as well."""
        return self._capture_most_missed(CAPTURE_OVERDUE)

    def request_usual(self) -> None:
        """Have the usual steps captured with the first one that is taken."""
        for tokens in USUAL_TOKENS:
            bucket = bucket_of([tokens // 2 - 1] * 2, mixed=False)
            assert bucket is not None
            self._missed[bucket] = CAPTURE_OVERDUE

    def _capture_most_missed(self, at_least: int) -> bool:
        wanted = [
            (count, bucket)
            for bucket, count in self._missed.items()
            if count >= at_least and bucket.tokens <= self._max_tokens
        ]
        if self.off or not wanted:
            return False
        _, bucket = max(wanted)
        del self._missed[bucket]
        self._capture(bucket)
        return True

    @torch.inference_mode()
    def _capture(self, bucket: Bucket) -> None:
        try:
            inputs = StaticInputs.of(bucket, self._sizes)

            def work() -> None:
                i = inputs
                i.out.copy_(self._forward(i.x, i.condition, i.timestep, i.layout))

            entry = _Entry(inputs, self._capturer.capture(work))
        except (MemoryError, *_FAULTS) as error:
            if is_out_of_memory(error):
                self._no_larger(bucket)
            else:
                self._fail(bucket, f"could not be recorded: {_first_line(error)}")
        else:
            self._keep(bucket, entry)

    def _keep(self, bucket: Bucket, entry: _Entry) -> None:
        self._totals["graph_captures"] += 1
        if len(self._entries) >= self._limits.number:
            _, oldest = self._entries.popitem(last=False)
            self._evicted += oldest.graph.memory
        self._entries[bucket] = entry
        # What a graph took of the pool that all share stays there when it goes, and is only freed
        # with the last of them.
        held = self._evicted + sum(entry.memory for entry in self._entries.values())
        if held > self._limits.memory:
            self._no_larger(bucket)
            self._drop()

    def shrink(self) -> None:
        """Memory is short: give all of it back, and ask for less the next time."""
        largest = max((bucket.tokens for bucket in self._entries), default=0)
        self._drop()
        if largest:
            self._max_tokens = min(self._max_tokens, largest // 2)

    def counters(self) -> dict[str, float]:
        """See `types.Engine.counters`."""
        return {**self._totals, "graphs": len(self._entries)}

    def _no_larger(self, bucket: Bucket) -> None:
        """Memory does not suffice for another one of this size."""
        log.info("no memory for recorded steps of %d tokens", bucket.tokens)
        self._max_tokens = bucket.tokens - 1

    def _drop(self) -> None:
        self._entries.clear()
        self._missed.clear()
        self._evicted = 0
        self._capturer.clear()

    def _fail(self, bucket: Bucket, reason: str) -> None:
        """Drop a graph; its bucket may be captured again, after `MAX_FAILURES` in all nothing."""
        self._totals["graph_failures"] += 1
        entry = self._entries.pop(bucket, None)
        if entry is not None:
            self._evicted += entry.graph.memory
        if self._totals["graph_failures"] < MAX_FAILURES:
            log.warning("a recorded step of %s %s; it is tried once more", bucket, reason)
            return
        self.off = True
        self._drop()
        log.warning(
            "CUDA graphs are off, which costs speed alone: a step of %s %s. "
            "F5_CUDA_GRAPHS=off avoids the try.",
            bucket,
            reason,
        )


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]
