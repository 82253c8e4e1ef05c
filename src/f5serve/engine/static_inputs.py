"""Static inputs of CUDA graphs: the shapes that steps are captured in, and their tensors.

What a step computes is given by tensors alone: how much of a bucket is used, by which sequences, at
which time points. So one graph serves every mixture that fits into its bucket. The rest of a bucket
is a sequence of zeros that belongs to no utterance, then empty ones; neither touches another.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS
from f5serve.engine.packing import BatchLayout, PackedSequences, StepConditioning
from f5serve.units import MAX_DURATION_FRAMES

TOKEN_STEPS = ((2048, 128), (4096, 256), (8192, 512))
"""(up to so many tokens, buckets are multiples of): at most an eighth is padding beyond 1024."""
MAX_TOKENS = TOKEN_STEPS[-1][0]
"""Beyond, launching kernels takes less than their work, and padding would only add to it."""
SEQUENCES = (4, 8, 16, 32, 64)


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
