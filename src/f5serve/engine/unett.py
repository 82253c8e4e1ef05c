"""E2-TTS's flat U-Net transformer: the time point is one more token, put in front of the mel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_MELS, ModelConfig
from f5serve.engine.modules import FeedForward, InputEmbedding, SelfAttention, TextEmbedding
from f5serve.engine.ops import PLAIN, Normed, Ops
from f5serve.engine.packing import BatchLayout, PackedSequences, StepConditioning


def rms_eps(dtype: torch.dtype) -> float:
    """Keeps the norm of a frame finite that is all zero."""
    return 1e-12 if dtype.itemsize > 2 else 1e-7


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.ops: Ops = PLAIN

    def forward(self, x: Tensor, branch: Tensor | None) -> Normed:
        """x [m d] and what is to be added first -> their sum, and its norm."""
        return self.ops.rms_norm(x, branch, self.weight, rms_eps(x.dtype))


class UNetTBlock(nn.Module):
    """Pre-norm block; in the second half it first takes in the output of its mirror block."""

    def __init__(self, config: ModelConfig, has_skip: bool) -> None:
        super().__init__()
        self.skip = nn.Linear(2 * config.dim, config.dim, bias=False) if has_skip else None
        self.attn_norm = RMSNorm(config.dim)
        self.attn = SelfAttention(config)
        self.ff_norm = RMSNorm(config.dim)
        self.ff = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        branch: Tensor | None,
        skip: Tensor | None,
        packing: PackedSequences,
        attend: Attention,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The block, whose last sum is left to the norm that follows.

        Args:
            x: [m d].
            branch: what is still to be added to it [m d].
            skip: what the mirror block took in [m d], in the second half.

        Returns:
            What this one took in, and x and branch as the next one takes them.
        """
        if self.skip is not None and skip is not None:
            whole = x if branch is None else x + branch
            x, branch = self.skip(torch.cat([whole, skip], dim=-1)), None
        taken, y = self.attn_norm(x, branch)
        x, y = self.ff_norm(taken, self.attn(y, packing, attend))
        return taken, x, self.ff(y)


class UNetT(nn.Module):
    """Velocity of the noised mel, for packed sequences."""

    has_time_token = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = TextEmbedding(config)
        self.input = InputEmbedding(config)
        half = config.depth // 2
        self.blocks = nn.ModuleList(
            UNetTBlock(config, has_skip=i >= half) for i in range(config.depth)
        )
        self.norm_out = RMSNorm(config.dim)
        self.proj_out = nn.Linear(config.dim, N_MELS)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        timestep: StepConditioning,
        layout: BatchLayout,
        attend: Attention,
    ) -> Tensor:
        """Velocity of all sequences; as for `DiT`, but a modulation [1 d] is the time token."""
        assert layout.mel_indices is not None
        mel = self.input(x, condition, layout)
        h = mel.new_empty(len(layout.tokens.positions), mel.shape[1])
        h[layout.mel_indices] = mel
        h[layout.tokens.cu_seqlens[:-1]] = timestep.per_sequence()[..., 0, :]
        skips: list[Tensor] = []
        branch = None
        for i, block in enumerate(self.blocks):
            first_half = i < len(self.blocks) // 2
            skip = None if first_half else skips.pop()
            taken, h, branch = block(h, branch, skip, layout.tokens, attend)
            if first_half:
                skips.append(taken)
        _, y = self.norm_out(h, branch)
        return self.proj_out(y[layout.mel_indices])
