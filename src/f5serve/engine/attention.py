"""Attention over packed sequences, by one backend that is chosen once.

SDPA needs no package beyond torch and takes the sequences in runs of equal length; on GPUs the
variable-length kernel that ships with torch takes all of them in one launch. flash-attn is not
needed by either.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from f5serve.engine.packing import Packing

Attention = Callable[[Tensor, Packing], Tensor]
"""(qkv [m 3 h 64], packing) -> [m h*64]"""


def sdpa(qkv: Tensor, packing: Packing) -> Tensor:
    """Full attention inside each sequence through `scaled_dot_product_attention`."""
    if len(packing.runs) == 1:
        _, count, length = packing.runs[0]
        return _batch(qkv, count, length).flatten(1)
    out = torch.empty_like(qkv[:, 0])  # [m h 64]
    for first, count, length in packing.runs:
        rows = slice(first, first + count * length)
        out[rows] = _batch(qkv[rows], count, length)
    return out.flatten(1)


def _batch(qkv: Tensor, count: int, length: int) -> Tensor:
    """Sequences of one length: [m 3 h 64] -> [m h 64]."""
    q, k, v = qkv.unflatten(0, (count, length)).permute(2, 0, 3, 1, 4)  # [b h n 64]
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1)


def varlen(qkv: Tensor, packing: Packing) -> Tensor:
    """The same through torch's variable-length kernel: CUDA and 16 bit only."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = qkv.unbind(1)
    longest, starts = packing.longest, packing.starts
    out = varlen_attn(q, k, v, starts, starts, longest, longest)
    assert isinstance(out, Tensor)
    return out.flatten(1)


def choose(device: torch.device, dtype: torch.dtype) -> tuple[str, Attention]:
    """Name and function of the backend for this device: varlen where a trial call agrees with SDPA.

    The trial costs a few milliseconds and replaces guesses about capability and build.
    """
    if device.type != "cuda" or dtype is torch.float32:
        return "sdpa", sdpa
    qkv = torch.randn(24, 3, 2, 64, device=device, dtype=dtype)
    packing = Packing.of((16, 8), device)
    try:
        agrees = torch.allclose(varlen(qkv, packing), sdpa(qkv, packing), atol=1e-2)
    except (ImportError, RuntimeError, AttributeError, TypeError):
        agrees = False
    return ("varlen", varlen) if agrees else ("sdpa", sdpa)
