"""Packed batches: where the sequences of a batch lie, and at which time points they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from f5serve.engine.config import HEAD_DIM, ROPE_THETA
from f5serve.engine.cuda import to_device

CONV_PADDING = 15
"""Frames that the position convolution sees to either side."""
GPU_CONV_MULTIPLE = 128
"""On GPUs it gets multiples of so many: cuDNN makes a plan for each size, which takes long."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedSequences:
    """Sequences one behind the other.

    Attributes:
        lengths: tokens of each sequence, in order; a sequence may be empty.
        groups: (first token, sequences, tokens each) of neighbours of equal length.
        max_seqlen: no sequence is longer.
        positions: int64 [m], place of each token in its sequence.
        seq_ids: int64 [m], which sequence each token belongs to.
        cu_seqlens: int32 [b + 1], cumulative lengths.
        rotary: complex64 [m 1 1 HEAD_DIM/2], e^(i * position * frequency) of each token.
    """

    lengths: tuple[int, ...]
    groups: tuple[tuple[int, int, int], ...]
    max_seqlen: int
    positions: Tensor
    seq_ids: Tensor
    cu_seqlens: Tensor
    rotary: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> PackedSequences:
        """Sequences of these lengths."""
        groups, first = [], 0
        for length, group in groupby(lengths):
            count = len(list(group))
            if length:
                groups.append((first, count, length))
            first += count * length
        max_seqlen = max(lengths)
        # Only the cumulative lengths are copied to the device; the rest is made there.
        cu_seqlens = to_device(device, torch.tensor([0, *lengths]).cumsum(0))
        order = torch.arange(sum(lengths), device=device)
        seq_ids = torch.searchsorted(cu_seqlens[1:], order, right=True)
        positions = order - cu_seqlens[seq_ids]
        return cls(
            tuple(lengths),
            tuple(groups),
            max_seqlen,
            positions,
            seq_ids,
            cu_seqlens.to(torch.int32),
            _rotary_table(max_seqlen, device)[positions, None, None],
        )

    def conv_padding(self) -> ConvPadding:
        """Where tokens lie with `CONV_PADDING` zeros between sequences."""
        count = len(self.seq_ids)
        device = self.seq_ids.device
        indices = torch.arange(count, device=device) + self.seq_ids * CONV_PADDING
        size = count + (len(self.lengths) - 1) * CONV_PADDING
        if device.type == "cuda":
            size = -(-size // GPU_CONV_MULTIPLE) * GPU_CONV_MULTIPLE
        mask = torch.ones(size, dtype=torch.bool, device=device)
        return ConvPadding(indices, mask.index_fill_(0, indices, False))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All index tensors, in a fixed order."""
        return self.positions, self.seq_ids, self.cu_seqlens, self.rotary


@dataclass(frozen=True, slots=True, eq=False)
class ConvPadding:
    """Tokens with padding between their sequences.

    Attributes:
        indices: int64 [m], of each token.
        mask: bool [m + padding], where the padding is; on GPUs a multiple of `GPU_CONV_MULTIPLE`.
    """

    indices: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class BatchLayout:
    """A batch as a backbone sees it.

    Attributes:
        mel: the mel frames of all sequences.
        tokens: what the transformer works on: the mel, for E2-TTS with a time token before each.
        mel_indices: int64 [m], where the mel lies among the tokens; None when they are the same.
        conv_padding: of the mel; None on CPUs when all sequences have one length.
    """

    mel: PackedSequences
    tokens: PackedSequences
    mel_indices: Tensor | None
    conv_padding: ConvPadding | None

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        device: torch.device,
        time_token: bool,
        pad_convs: bool = False,
    ) -> BatchLayout:
        """Layout of sequences of these lengths; `pad_convs` even where it is not needed."""
        mel = PackedSequences.of(lengths, device)
        tokens = PackedSequences.of([n + 1 for n in lengths], device) if time_token else mel
        # Before each mel frame lie those before it, and the time tokens up to its own.
        order = torch.arange(len(mel.seq_ids), device=device)
        mel_indices = order + mel.seq_ids + 1 if time_token else None
        pad_convs = pad_convs or device.type == "cuda" or len(mel.groups) > 1
        return cls(mel, tokens, mel_indices, mel.conv_padding() if pad_convs else None)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All index tensors; those of two layouts of one shape correspond."""
        found = [*self.mel.tensors, *self.tokens.tensors]
        found += [] if self.mel_indices is None else [self.mel_indices]
        padding = self.conv_padding
        found += [] if padding is None else [padding.indices, padding.mask]
        return tuple({id(tensor): tensor for tensor in found}.values())


@dataclass(frozen=True, slots=True, eq=False)
class StepConditioning:
    """The time points of one step.

    Attributes:
        modulation: vectors of the time point (schedule.py): [r d] when all sequences are at the
            same one, else [t r d], one of each.
        indices: int64 [b], which of them each sequence is at; None when all are at the same.
    """

    modulation: Tensor
    indices: Tensor | None = None

    def split_cfg(self) -> tuple[StepConditioning, StepConditioning]:
        """Those of the first half of the sequences, and of the second."""
        if self.indices is None:
            return self, self
        first, second = self.indices.chunk(2)
        return StepConditioning(self.modulation, first), StepConditioning(self.modulation, second)

    def per_sequence(self) -> Tensor:
        """[r d], or [b r d]"""
        return self.modulation if self.indices is None else self.modulation[self.indices]

    def per_token(self, packing: PackedSequences) -> Tensor | None:
        """`indices` of each token: int64 [m]"""
        return None if self.indices is None else self.indices[packing.seq_ids]


def _rotary_table(length: int, device: torch.device) -> Tensor:
    exponents = torch.arange(0, HEAD_DIM, 2, device=device).float() / HEAD_DIM
    angles = torch.outer(torch.arange(length, device=device).float(), ROPE_THETA**-exponents)
    return torch.polar(torch.ones_like(angles), angles)
