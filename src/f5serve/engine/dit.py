"""F5-TTS's diffusion transformer: blocks whose norms and gates are set by the time point (adaLN).

Scale, shift and gate of every block depend on nothing but the time point. They come in as its
modulation (schedule.py), so 42 % of the published weights are not needed while sampling.
"""

from __future__ import annotations

from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_FINAL_MODULATIONS, N_MELS, N_MODULATIONS, ModelConfig
from f5serve.engine.modules import FeedForward, InputEmbedding, SelfAttention, TextEmbedding
from f5serve.engine.ops import PLAIN, Branch, Ops
from f5serve.engine.packing import BatchLayout, PackedSequences, StepConditioning

Modulation = tuple[tuple[Tensor, ...], Tensor | None]
"""`Ops.modulation`, and which time point each token is at."""


class DiTBlock(nn.Module):
    """adaLN-zero transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(config)
        self.ff = FeedForward(config)
        self.ops: Ops = PLAIN

    def forward(
        self,
        x: Tensor,
        branch: Branch | None,
        modulation: Modulation,
        packing: PackedSequences,
        attend: Attention,
    ) -> tuple[Tensor, Branch]:
        """x [m d] and the branch that is still to be added to it; so is the result.

        A norm follows each sum, and both are one operation.
        """
        (shift, scale, gate, ff_shift, ff_scale, ff_gate), index = modulation
        x, y = self.ops.modulate(x, branch, scale, shift, index)
        branch = self.attn(y, packing, attend), gate
        x, y = self.ops.modulate(x, branch, ff_scale, ff_shift, index)
        return x, (self.ff(y), ff_gate)


class DiT(nn.Module):
    """Velocity of the noised mel, for packed sequences."""

    has_time_token = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEmbedding(config)
        self.input = InputEmbedding(config)
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.proj_out = nn.Linear(config.dim, N_MELS)
        self.ops: Ops = PLAIN

    @staticmethod
    def scale_indices(depth: int) -> list[int]:
        """Which vectors of a modulation are scales: 1 is added to them when it is made ready."""
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
        """Velocity of all sequences, each at its own time point.

        Args:
            x: noised mel [k N_MELS], k <= m: sequences with CFG come first, and both of their
                branches have it.
            condition: `InputEmbedding.embed_condition` of all sequences, packed: [m d].
            timestep: modulation [6 * depth + 2, d], 1 added to the scales.

        Returns:
            [m N_MELS]
        """
        h = self.input(x, condition, layout)
        index = timestep.per_token(layout.tokens)

        def modulation(first: int, count: int) -> Modulation:
            vectors = timestep.modulation[..., first : first + count, :]
            return self.ops.modulation(vectors, index), index

        branch = None
        for i, block in enumerate(self.blocks):
            vectors = modulation(N_MODULATIONS * i, N_MODULATIONS)
            h, branch = block(h, branch, vectors, layout.tokens, attend)
        (scale, shift), _ = modulation(N_MODULATIONS * len(self.blocks), N_FINAL_MODULATIONS)
        _, y = self.ops.modulate(h, branch, scale, shift, index)
        return self.proj_out(y)
