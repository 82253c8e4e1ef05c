"""F5-TTS's diffusion transformer: blocks whose norms and gates are set by the time point.

Scale, shift and gate of every block depend on nothing but the time point. They come in as rows of
a table (schedule.py), so 42 % of the published weights are not needed while sampling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_MELS, Architecture
from f5serve.engine.layers import (
    NORM_EPS,
    FeedForward,
    InputMix,
    SelfAttention,
    TextEmbedding,
)
from f5serve.engine.packing import Layout, Moment, Packing

BLOCK_ROWS = 6
"""Table rows of a block: shift, scale, gate of attention, then of feed-forward."""
FINAL_ROWS = 2
"""Table rows behind the last block: scale, shift."""


class Block(nn.Module):
    """adaLN-zero transformer block."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.attn = SelfAttention(arch)
        self.ff = FeedForward(arch)

    def forward(self, x: Tensor, rows: Tensor, packing: Packing, attend: Attention) -> Tensor:
        """x [m d], rows [BLOCK_ROWS d] or [m BLOCK_ROWS d], 1 added to the scales -> [m d]"""
        shift, scale, gate, ff_shift, ff_scale, ff_gate = rows.unbind(-2)
        x = torch.addcmul(x, gate, self.attn(_modulated(x, scale, shift), packing, attend))
        return torch.addcmul(x, ff_gate, self.ff(_modulated(x, ff_scale, ff_shift)))


def _modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Layer norm of x [m d]; scale and shift are [d], or [m d] when time points are mixed."""
    if scale.dim() == 1:
        return F.layer_norm(x, x.shape[-1:], scale, shift, NORM_EPS)
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPS), scale)


class DiT(nn.Module):
    """Velocity of the noised mel, for packed rows."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.text = TextEmbedding(arch)
        self.input = InputMix(arch)
        self.blocks = nn.ModuleList(Block(arch) for _ in range(arch.depth))
        self.proj_out = nn.Linear(arch.dim, N_MELS)

    @staticmethod
    def scale_rows(depth: int) -> list[int]:
        """Table rows that hold scales: 1 is added to them once, when a table is made ready."""
        blocks = [BLOCK_ROWS * i + k for i in range(depth) for k in (1, 4)]
        return [*blocks, BLOCK_ROWS * depth]

    def forward(
        self, x: Tensor, constant: Tensor, moment: Moment, layout: Layout, attend: Attention
    ) -> Tensor:
        """Velocity of all rows, each at its own time point.

        Args:
            x: noised mel [k N_MELS], k <= m: rows with guidance come first and share it.
            constant: `InputMix.constant` of all rows, packed: [m d].
            moment: tables [6 * depth + 2, d], 1 added to the scales.

        Returns:
            [m N_MELS]
        """
        h = self.input(x, constant, layout)
        place = moment.of_tokens(layout.tokens)

        def rows(first: int, count: int) -> Tensor:
            part = moment.table[..., first : first + count, :]
            return part if place is None else part[place]

        for i, block in enumerate(self.blocks):
            h = block(h, rows(BLOCK_ROWS * i, BLOCK_ROWS), layout.tokens, attend)
        scale, shift = rows(BLOCK_ROWS * len(self.blocks), FINAL_ROWS).unbind(-2)
        return self.proj_out(_modulated(h, scale, shift))
