"""Where the sequences of a batch lie, and at which time points they are.

Lengths flow in, index tensors flow out; neither weights nor noise are known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from f5serve.engine.config import HEAD_DIM, ROPE_THETA
from f5serve.engine.transfers import onto

CONV_REACH = 15
"""Frames that the position convolution looks to either side."""
GPU_CONV_SIZES = 128
"""On GPUs it gets multiples of so many: cuDNN makes a plan for each size, which takes long."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Sequences one behind the other.

    Attributes:
        lengths: tokens of each sequence, in order; a sequence may be empty.
        runs: (first token, sequences, tokens each) of neighbours of equal length.
        longest: no sequence is longer.
        positions: int64 [m], place of each token in its sequence.
        sequence: int64 [m], which sequence each token belongs to.
        starts: int32 [b + 1], cumulative lengths.
        rotary: complex64 [m 1 1 HEAD_DIM/2], e^(i * position * frequency) of each token.
    """

    lengths: tuple[int, ...]
    runs: tuple[tuple[int, int, int], ...]
    longest: int
    positions: Tensor
    sequence: Tensor
    starts: Tensor
    rotary: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Packing:
        """Packing of sequences of these lengths."""
        runs, first = [], 0
        for length, group in groupby(lengths):
            count = len(list(group))
            if length:
                runs.append((first, count, length))
            first += count * length
        longest = max(lengths)
        # Only where sequences start comes from here; the rest is made on the device.
        starts = onto(device, torch.tensor([0, *lengths]).cumsum(0))
        order = torch.arange(sum(lengths), device=device)
        sequence = torch.searchsorted(starts[1:], order, right=True)
        positions = order - starts[sequence]
        rotary = _rotary_table(longest, device)[positions, None, None]
        return cls(
            tuple(lengths),
            tuple(runs),
            longest,
            positions,
            sequence,
            starts.to(torch.int32),
            rotary,
        )

    def with_gaps(self) -> Gaps:
        """Where tokens lie when `CONV_REACH` empty places are between sequences."""
        count = len(self.sequence)
        device = self.sequence.device
        places = torch.arange(count, device=device) + self.sequence * CONV_REACH
        size = count + (len(self.lengths) - 1) * CONV_REACH
        if device.type == "cuda":
            size = -(-size // GPU_CONV_SIZES) * GPU_CONV_SIZES
        empty = torch.ones(size, dtype=torch.bool, device=device)
        return Gaps(places, empty.index_fill_(0, places, False))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, in an order of their own."""
        return self.positions, self.sequence, self.starts, self.rotary


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Tokens with gaps between their sequences.

    Attributes:
        places: int64 [m], of each token.
        empty: bool [m + gaps], the places where none is; on GPUs a multiple of `GPU_CONV_SIZES`.
    """

    places: Tensor
    empty: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A batch as a backbone sees it.

    Attributes:
        mel: the mel frames of all rows.
        tokens: what the transformer works on: the mel, for E2-TTS with a time token before each.
        mel_places: int64 [m], where the mel lies among the tokens; None when they are the same.
        gaps: `Packing.with_gaps` of the mel; None on CPUs when all rows have one length.
    """

    mel: Packing
    tokens: Packing
    mel_places: Tensor | None
    gaps: Gaps | None

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        device: torch.device,
        time_token: bool,
        always_gaps: bool = False,
    ) -> Layout:
        """Layout of rows of these lengths."""
        mel = Packing.of(lengths, device)
        tokens = Packing.of([n + 1 for n in lengths], device) if time_token else mel
        # Before each mel frame lie those before it, and the time tokens up to its own.
        order = torch.arange(len(mel.sequence), device=device)
        places = order + mel.sequence + 1 if time_token else None
        always_gaps = always_gaps or device.type == "cuda"
        gaps = mel.with_gaps() if always_gaps or len(mel.runs) > 1 else None
        return cls(mel, tokens, places, gaps)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them; those of two layouts of one shape correspond."""
        found = [*self.mel.tensors, *self.tokens.tensors]
        found += [] if self.mel_places is None else [self.mel_places]
        found += [] if self.gaps is None else [self.gaps.places, self.gaps.empty]
        return tuple({id(tensor): tensor for tensor in found}.values())


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """The time points of one step.

    Attributes:
        table: what the time point decides (schedule.py): [rows d] when all sequences are at the
            same one, else [t rows d], one of each.
        places: int64 [b], which of them each sequence is at; None when all are at the same.
    """

    table: Tensor
    places: Tensor | None = None

    def halves(self) -> tuple[Moment, Moment]:
        """Those of the first half of the sequences, and of the second."""
        if self.places is None:
            return self, self
        first, second = self.places.chunk(2)
        return Moment(self.table, first), Moment(self.table, second)

    def of_sequences(self) -> Tensor:
        """[rows d], or [b rows d]"""
        return self.table if self.places is None else self.table[self.places]

    def of_tokens(self, packing: Packing) -> Tensor | None:
        """`places` of each token: int64 [m]"""
        return None if self.places is None else self.places[packing.sequence]


def _rotary_table(length: int, device: torch.device) -> Tensor:
    exponents = torch.arange(0, HEAD_DIM, 2, device=device).float() / HEAD_DIM
    angles = torch.outer(torch.arange(length, device=device).float(), ROPE_THETA**-exponents)
    return torch.polar(torch.ones_like(angles), angles)
