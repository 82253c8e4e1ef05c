"""Shapes that recorded steps have, and the memory that such a step reads and writes.

What a step computes is given by tensors alone: how much of a bucket is filled, by which sequences,
at which time points. So one recording serves every mixture that fits into its bucket. The rest of
a bucket is a sequence of zeros that belongs to nobody, then empty ones; neither touches a row.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS
from f5serve.engine.packing import Layout, Moment, Packing
from f5serve.units import MAX_DURATION_FRAMES

TOKEN_STEPS = ((2048, 128), (4096, 256), (8192, 512))
"""(up to so many tokens, buckets are multiples of): at most an eighth is filled beyond 1024."""
MOST_TOKENS = TOKEN_STEPS[-1][0]
"""Beyond, launching kernels takes less than their work, and filling would only add to it."""
SEQUENCES = (4, 8, 16, 32, 64)


class Bucket(NamedTuple):
    """A shape.

    Attributes:
        tokens: mel frames of all sequences, filled up.
        sequences: how many there are, the one that fills and empty ones included.
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


def filled(bucket: Bucket, lengths: Sequence[int]) -> list[int]:
    """Lengths with those of the sequences that fill the bucket."""
    rest = bucket.tokens - sum(lengths)
    return [*lengths, rest, *[0] * (bucket.sequences - len(lengths) - 1)]


class Sizes(NamedTuple):
    """What the buffers of a model have in common.

    Attributes:
        width: of the transformer.
        table_rows: of one time point.
        time_token: as `Layout.of` takes it.
    """

    width: int
    table_rows: int
    time_token: bool
    device: torch.device
    dtype: torch.dtype


@dataclass(slots=True, eq=False)
class Buffers:
    """Inputs and output of the steps of one bucket; they stay where they are.

    Attributes:
        x, constant, moment, layout: as the backbone takes them, x for every sequence apart.
        out: velocity, [tokens N_MELS].
        loaded: whose constants and layout they hold.
    """

    bucket: Bucket
    x: Tensor
    constant: Tensor
    moment: Moment
    layout: Layout
    out: Tensor
    loaded: weakref.ref[Tensor] | None = field(default=None, init=False)

    @classmethod
    def of(cls, bucket: Bucket, sizes: Sizes) -> Buffers:
        """Zeros, with sequences of nearly one length."""
        tokens, sequences, mixed = bucket
        even = [(i + 1) * tokens // sequences - i * tokens // sequences for i in range(sequences)]
        layout = Layout.of(even, sizes.device, sizes.time_token, always_gaps=True)

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=sizes.device, dtype=sizes.dtype)

        table = zeros(*[sequences] * mixed, sizes.table_rows, sizes.width)
        places = torch.zeros(sequences, device=sizes.device, dtype=torch.int64)
        return cls(
            bucket,
            zeros(tokens, N_MELS),
            zeros(tokens, sizes.width),
            Moment(table, places if mixed else None),
            _bounded(layout, min(tokens, MAX_DURATION_FRAMES)),
            zeros(tokens, N_MELS),
        )

    @property
    def memory(self) -> int:
        """Bytes."""
        held = [self.x, self.constant, self.out, self.moment.table, *self.layout.tensors]
        return sum(tensor.nbytes for tensor in held)

    def load(self, constant: Tensor, layout: Layout, moment: Moment, x: Tensor) -> None:
        """Take over a step; what stays the same from step to step only once.

        Args:
            constant, layout, moment, x: as the backbone takes them.
        """
        total = len(constant)
        if self.loaded is None or self.loaded() is not constant:
            self._lay_out(constant, layout)
            self.loaded = weakref.ref(constant)
        self.x[: len(x)] = x
        self.x[len(x) : total] = x[: total - len(x)]
        if moment.places is None or self.moment.places is None:
            self.moment.table.copy_(moment.table)
        else:
            self.moment.table[: len(moment.table)] = moment.table
            self.moment.places[: len(moment.places)] = moment.places

    def _lay_out(self, constant: Tensor, layout: Layout) -> None:
        total = len(constant)
        new = Layout.of(
            filled(self.bucket, layout.mel.lengths),
            constant.device,
            layout.mel_places is not None,
            always_gaps=True,
        )
        for mine, theirs in zip(self.layout.tensors, new.tensors, strict=True):
            mine.copy_(theirs)
        self.constant[:total] = constant
        self.constant[total:] = 0
        self.x[total:] = 0
        if self.moment.places is not None:
            self.moment.places.zero_()


def _bounded(layout: Layout, longest: int) -> Layout:
    """The same layout, for sequences up to that length."""

    def bound(packing: Packing, most: int) -> Packing:
        return Packing((), (), most, *packing.tensors)

    mel = bound(layout.mel, longest)
    tokens = mel if layout.mel_places is None else bound(layout.tokens, longest + 1)
    return Layout(mel, tokens, layout.mel_places, layout.gaps)
