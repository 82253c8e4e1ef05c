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
from f5serve.engine.packing import Layout, Packing

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
        """x [m d], rows [BLOCK_ROWS d] with 1 already added to the scales -> [m d]"""
        shift, scale, gate, ff_shift, ff_scale, ff_gate = rows
        width = x.shape[-1:]
        y = self.attn(F.layer_norm(x, width, scale, shift, NORM_EPS), packing, attend)
        x = torch.addcmul(x, gate, y)
        return torch.addcmul(
            x, ff_gate, self.ff(F.layer_norm(x, width, ff_scale, ff_shift, NORM_EPS))
        )


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
        self, x: Tensor, constant: Tensor, table: Tensor, layout: Layout, attend: Attention
    ) -> Tensor:
        """Velocity at one time point.

        Args:
            x: noised mel [m/copies N_MELS]; conditional and unconditional rows share it.
            constant: `InputMix.constant` of all rows, packed: [m d].
            table: modulations of this time point [6 * depth + 2, d], scales with 1 added.

        Returns:
            [m N_MELS]
        """
        h = self.input(x, constant, layout)
        for block, rows in zip(self.blocks, table.split(BLOCK_ROWS), strict=False):
            h = block(h, rows, layout.tokens, attend)
        scale, shift = table[-FINAL_ROWS:]
        return self.proj_out(F.layer_norm(h, h.shape[-1:], scale, shift, NORM_EPS))
