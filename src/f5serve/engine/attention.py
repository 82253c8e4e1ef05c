"""Attention over packed sequences, by one backend that is chosen once.

SDPA takes the sequences in groups of equal length; on GPUs the variable-length kernel that ships
with torch takes all of them in one launch. flash-attn is not needed by either.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from f5serve.engine.packing import PackedSequences

Attention = Callable[[Tensor, PackedSequences], Tensor]
"""(qkv [m 3 h 64], packing) -> [m h*64]"""


def sdpa(qkv: Tensor, packing: PackedSequences) -> Tensor:
    """Full attention inside each sequence through `scaled_dot_product_attention`."""
    if len(packing.groups) == 1:
        _, count, length = packing.groups[0]
        return _batch(qkv, count, length).flatten(1)
    out = torch.empty_like(qkv[:, 0])  # [m h 64]
    for first, count, length in packing.groups:
        group = slice(first, first + count * length)
        out[group] = _batch(qkv[group], count, length)
    return out.flatten(1)


def _batch(qkv: Tensor, count: int, length: int) -> Tensor:
    """Sequences of one length: [m 3 h 64] -> [m h 64]."""
    q, k, v = qkv.unflatten(0, (count, length)).permute(2, 0, 3, 1, 4)  # [b h n 64]
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1)


def varlen(qkv: Tensor, packing: PackedSequences) -> Tensor:
    """The same through the flash kernel for sequences of any length: CUDA and 16 bit only.

    The operator itself: `torch.nn.attention.varlen` wraps it, imports torch's compiler for that
    (over a second of a cold start), and fills a tensor at each call that is never read.
    """
    q, k, v = qkv.unbind(1)
    max_seqlen, cu_seqlens = packing.max_seqlen, packing.cu_seqlens
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, 0.0, False, False
    )[0]
    return out.flatten(1)


def trial_input(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Queries, keys and values to compare backends with: [24 3 2 64].

    Drawn on the CPU: after a capture that failed, a GPU's own generator refuses to draw.
    """
    drawn = torch.randn(24, 3, 2, 64, generator=torch.Generator().manual_seed(0))
    return drawn.to(device, dtype)


def choose(device: torch.device, dtype: torch.dtype) -> tuple[str, Attention]:
    """Name and function of the backend for this device: varlen where a trial call agrees with SDPA.

    The trial costs a few milliseconds and replaces guesses about capability and build.
    """
    if device.type != "cuda" or dtype is torch.float32:
        return "sdpa", sdpa
    qkv = trial_input(device, dtype)
    packing = PackedSequences.of((16, 8), device)
    try:
        agrees = torch.allclose(varlen(qkv, packing), sdpa(qkv, packing), atol=1e-2)
    except (RuntimeError, AttributeError, TypeError):  # NotImplementedError is one of them
        agrees = False
    return ("varlen", varlen) if agrees else ("sdpa", sdpa)
