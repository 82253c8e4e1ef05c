"""Linear layers in 8 bit: int8 for CPUs, fp8 for GPUs; faster and less exact.

Thin wrappers around torch's matrix products of 8-bit numbers. Weights have one scale per output
channel, activations one per token: each is rounded on its own, whatever is beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from f5serve.engine.modules import replace_linear

_LARGEST = 127.0
_LARGEST_FP8 = 256.0
"""Of the 448 that e4m3 holds: for a power of two, a scale in bf16 is exact."""
_FP8_ERROR = 0.1
"""Relative; of a product of two e4m3 numbers it is about 0.04."""


class Int8Linear(nn.Module):
    """`nn.Linear` with int8 weights and activations quantised as they come."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scale = linear.weight.abs().amax(1).clamp_(min=1e-12) / _LARGEST
        self.weight = (linear.weight / scale[:, None]).round_().to(torch.int8).t()  # [in out]
        self.scale = scale  # [out]
        self.bias = linear.bias  # [out] or None

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        scale = x.abs().amax(1, keepdim=True).clamp_(min=1e-12) / _LARGEST  # [m 1]
        product = torch._int_mm((x / scale).round_().to(torch.int8), self.weight)
        y = product.float().mul_(scale).mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)


class Fp8Linear(nn.Module):
    """`nn.Linear` with e4m3 weights and activations quantised as they come; bf16 in and out.

    bf16, because that is all that the kernels with one scale per token give on every GPU that has
    fp8. Both widths must be multiples of 16. Nothing here goes by the numbers in x, so a CUDA graph
    can hold it.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.float()
        scale = weight.abs().amax(1, keepdim=True).clamp_(min=1e-12) / _LARGEST_FP8  # [out 1]
        # Row by row in memory and transposed: the kernels take the second factor by columns.
        self.weight = (weight / scale).to(torch.float8_e4m3fn).t()  # [in out]
        self.scale = scale.view(1, -1)  # [1 out]
        self.bias = linear.bias  # [out] or None
        self.least = scale.new_full((1, 1), 1e-12, dtype=linear.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        largest = torch.linalg.vector_norm(x, float("inf"), 1, keepdim=True)  # [m 1]
        scale = torch.add(self.least, largest, alpha=1 / _LARGEST_FP8)  # one kernel
        return torch._scaled_mm(
            (x / scale).to(torch.float8_e4m3fn),
            self.weight,
            scale.float(),
            self.scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )


QUANTISED: dict[str, type[nn.Module]] = {"int8": Int8Linear, "fp8": Fp8Linear}


def quantize_blocks(model: nn.Module, dtype: str = "int8") -> None:
    """Compute the linear layers of the transformer blocks in 8 bit.

    Args:
        dtype: "int8", of layers in float32, or "fp8", of layers in bfloat16.
    """
    replace_linear(model, QUANTISED[dtype])


@torch.inference_mode()
def fp8_works(device: torch.device) -> bool:
    """Whether this torch multiplies fp8 on this device, by a trial call."""
    ramp = torch.linspace(-1, 1, 48 * 64).view(48, 64).sin()
    x = torch.linspace(-3, 2, 17 * 64).view(17, 64).cos().to(device, torch.bfloat16)
    try:
        with torch.device("meta"):
            linear = nn.Linear(64, 48, dtype=torch.bfloat16)
        weights = {"weight": ramp, "bias": ramp[:, 0]}
        linear.load_state_dict(
            {k: v.to(device, torch.bfloat16) for k, v in weights.items()}, assign=True
        )
        expected = linear(x).float()
        off = (Fp8Linear(linear)(x).float() - expected).norm()
        return bool(off <= _FP8_ERROR * expected.norm())
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return False
