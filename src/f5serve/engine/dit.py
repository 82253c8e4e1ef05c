"""F5-TTS's diffusion transformer: blocks whose norms and gates are set by the time point.

Scale, shift and gate of every block depend on nothing but the time point. They come in as rows of
a table (schedule.py), so 42 % of the published weights are not needed while sampling.
"""

from __future__ import annotations

from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_MELS, ModelConfig
from f5serve.engine.layers import (
    FeedForward,
    InputEmbedding,
    SelfAttention,
    TextEmbedding,
)
from f5serve.engine.ops import PLAIN, Branch, Ops
from f5serve.engine.packing import BatchLayout, PackedSequences, StepConditioning

N_MODULATIONS = 6
"""Table rows of a block: shift, scale, gate of attention, then of feed-forward."""
N_FINAL_MODULATIONS = 2
"""Table rows behind the last block: scale, shift."""
Rows = tuple[tuple[Tensor, ...], Tensor | None]
"""`Ops.rows`, and the places that they are for."""


class Block(nn.Module):
    """adaLN-zero transformer block."""

    def __init__(self, arch: ModelConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(arch)
        self.ff = FeedForward(arch)
        self.ops: Ops = PLAIN

    def forward(
        self,
        x: Tensor,
        branch: Branch | None,
        rows: Rows,
        packing: PackedSequences,
        attend: Attention,
    ) -> tuple[Tensor, Branch]:
        """x [m d] and what is still to be added to it; so is the result.

        A norm follows each sum, and both are one operation.
        """
        (shift, scale, gate, ff_shift, ff_scale, ff_gate), place = rows
        x, y = self.ops.modulate(x, branch, scale, shift, place)
        branch = self.attn(y, packing, attend), gate
        x, y = self.ops.modulate(x, branch, ff_scale, ff_shift, place)
        return x, (self.ff(y), ff_gate)


class DiT(nn.Module):
    """Velocity of the noised mel, for packed rows."""

    def __init__(self, arch: ModelConfig) -> None:
        super().__init__()
        self.text = TextEmbedding(arch)
        self.input = InputEmbedding(arch)
        self.blocks = nn.ModuleList(Block(arch) for _ in range(arch.depth))
        self.proj_out = nn.Linear(arch.dim, N_MELS)
        self.ops: Ops = PLAIN

    @staticmethod
    def scale_indices(depth: int) -> list[int]:
        """Table rows that hold scales: 1 is added to them once, when a table is made ready."""
        blocks = [N_MODULATIONS * i + k for i in range(depth) for k in (1, 4)]
        return [*blocks, N_MODULATIONS * depth]

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        timestep: StepConditioning,
        layout: BatchLayout,
        attend: Attention,
    ) -> Tensor:
        """Velocity of all rows, each at its own time point.

        Args:
            x: noised mel [k N_MELS], k <= m: rows with guidance come first and share it.
            condition: `InputEmbedding.embed_condition` of all rows, packed: [m d].
            timestep: tables [6 * depth + 2, d], 1 added to the scales.

        Returns:
            [m N_MELS]
        """
        h = self.input(x, condition, layout)
        place = timestep.per_token(layout.tokens)

        def rows(first: int, count: int) -> Rows:
            return self.ops.rows(timestep.modulation[..., first : first + count, :], place), place

        branch = None
        for i, block in enumerate(self.blocks):
            h, branch = block(
                h, branch, rows(N_MODULATIONS * i, N_MODULATIONS), layout.tokens, attend
            )
        (scale, shift), _ = rows(N_MODULATIONS * len(self.blocks), N_FINAL_MODULATIONS)
        _, y = self.ops.modulate(h, branch, scale, shift, place)
        return self.proj_out(y)
