"""E2-TTS's flat U-Net transformer: the time point is one more token, put in front of the mel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.attention import Attention
from f5serve.engine.config import N_MELS, Architecture
from f5serve.engine.layers import (
    FeedForward,
    InputMix,
    SelfAttention,
    TextEmbedding,
)
from f5serve.engine.packing import Layout, Moment, Packing


def rms_eps(dtype: torch.dtype) -> float:
    """What keeps the norm of a frame finite that is all zero."""
    return 1e-12 if dtype.itemsize > 2 else 1e-7


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:  # [m d] -> [m d]
        return F.rms_norm(x, x.shape[-1:], self.weight, eps=rms_eps(x.dtype))


class Layer(nn.Module):
    """Pre-norm block; in the second half it first takes in the output of its mirror layer."""

    def __init__(self, arch: Architecture, joins_skip: bool) -> None:
        super().__init__()
        self.skip = nn.Linear(2 * arch.dim, arch.dim, bias=False) if joins_skip else None
        self.attn_norm = RMSNorm(arch.dim)
        self.attn = SelfAttention(arch)
        self.ff_norm = RMSNorm(arch.dim)
        self.ff = FeedForward(arch)

    def forward(
        self, x: Tensor, skip: Tensor | None, packing: Packing, attend: Attention
    ) -> Tensor:
        """x [m d], skip [m d] of the mirror layer in the second half -> [m d]"""
        if self.skip is not None and skip is not None:
            x = self.skip(torch.cat([x, skip], dim=-1))
        x = x + self.attn(self.attn_norm(x), packing, attend)
        return x + self.ff(self.ff_norm(x))


class UNetT(nn.Module):
    """Velocity of the noised mel, for packed rows."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.text = TextEmbedding(arch)
        self.input = InputMix(arch)
        half = arch.depth // 2
        self.blocks = nn.ModuleList(Layer(arch, joins_skip=i >= half) for i in range(arch.depth))
        self.norm_out = RMSNorm(arch.dim)
        self.proj_out = nn.Linear(arch.dim, N_MELS)

    def forward(
        self, x: Tensor, constant: Tensor, moment: Moment, layout: Layout, attend: Attention
    ) -> Tensor:
        """Velocity of all rows; arguments as for `DiT`, a table [1 d] is the time token."""
        assert layout.mel_places is not None
        mel = self.input(x, constant, layout)
        h = mel.new_empty(len(layout.tokens.positions), mel.shape[1])
        h[layout.mel_places] = mel
        h[layout.tokens.starts[:-1]] = moment.of_sequences()[..., 0, :]
        skips: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            first_half = i < len(self.blocks) // 2
            if first_half:
                skips.append(h)
            h = block(h, None if first_half else skips.pop(), layout.tokens, attend)
        return self.proj_out(self.norm_out(h[layout.mel_places]))
