"""The arithmetic that a step cannot do without, on memory that is there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

HEAD_DIM = 64


def of_step(
    arch: dict[str, Any], frames: int, library: str, rows: int = 1, **where: Any
) -> Callable[[], None]:
    """A step of rows with guidance, without anything element-wise.

    Args:
        arch: of a DiT, as `engine.config.Architecture` has it.
        frames: of each row.
        library: "mkl" or "onednn", for the products of the blocks; "mkl" is torch's own choice.
        where: device and dtype; the CPU in fp32 when left out.
    """
    dim, depth, inner = arch["dim"], arch["depth"], arch["dim"] * arch["ff_mult"]
    tokens, heads = 2 * frames * rows, dim // HEAD_DIM
    x, mel = torch.randn(tokens, dim, **where), torch.randn(tokens, 100, **where)
    wide, out, narrow = (
        torch.empty(tokens, 3 * dim, **where),
        torch.empty(tokens, dim, **where),
        torch.empty_like(mel),
    )
    up = torch.empty(tokens, inner, **where)
    layers = [
        [
            torch.randn(shape, **where) * 0.01
            for shape in ((dim, 3 * dim), (dim, dim), (dim, inner), (inner, dim))
        ]
        for _ in range(depth)
    ]
    ends = torch.randn(100, dim, **where), torch.randn(dim, 100, **where)
    kernels = [torch.randn(dim, dim // 16, 31, **where) * 0.01 for _ in range(2)]
    q, k, v = torch.randn(3, 2 * rows, heads, frames, HEAD_DIM, **where)
    places = torch.randn(2 * rows, dim, frames, **where)

    def product(a: Tensor, b: Tensor, into: Tensor) -> None:
        if library == "mkl":
            torch.mm(a, b, out=into)
        else:
            torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")

    @torch.inference_mode()
    def step() -> None:
        torch.mm(mel[: tokens // 2], ends[0], out=out[: tokens // 2])
        for kernel in kernels:
            F.conv1d(places, kernel, padding=15, groups=16)
        for qkv, project, widen, shrink in layers:
            product(x, qkv, wide)
            F.scaled_dot_product_attention(q, k, v)
            product(x, project, out)
            product(x, widen, up)
            product(up, shrink, out)
        torch.mm(x, ends[1], out=narrow)

    return step
