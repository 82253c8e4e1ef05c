"""Linear layers through oneDNN, on CPUs where that is faster than what torch takes by itself.

torch computes them with MKL in fp32, which has no kernels of its own for AMD's AVX-512. oneDNN
does: 7 % of a step on Zen 4. On AMD's earlier CPUs it is slower; Intel's have mkl.py.
In bf16 torch takes oneDNN itself, so what is gained is GELU within the product.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.layers import FeedForward, replace_linear
from f5serve.number_formats import CPU_BF16, CPUINFO, cpu_flags, cpu_vendor


class OneDnnLinear(nn.Module):
    """`nn.Linear` on the same weights; sums are rounded in another order.

    Args:
        gelu: whether GELU in its tanh form follows, which then costs next to nothing.
    """

    def __init__(self, linear: nn.Linear, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        return _linear(x, self.weight, self.bias, self.gelu)


def enable_onednn(model: nn.Module) -> None:
    """Compute the linear layers of the transformer blocks by oneDNN, GELU within the product."""
    for part in list(model.get_submodule("blocks").modules()):
        if isinstance(part, FeedForward) and isinstance(part.up, nn.Linear):
            part.up = OneDnnLinear(part.up, gelu=True)
            part.act = nn.Identity()
    replace_linear(model, OneDnnLinear)


def onednn_is_supported(device: torch.device, dtype: torch.dtype, cpuinfo: Path = CPUINFO) -> bool:
    """Whether this is such a CPU, and this torch has what it takes: a trial call tells."""
    if device.type == "cpu" and dtype is torch.bfloat16:
        return bool(cpu_flags(cpuinfo) & CPU_BF16) and _works(dtype)
    if device.type != "cpu" or dtype is not torch.float32:
        return False
    if cpu_vendor(cpuinfo) != "AuthenticAMD":
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    return _works()


def _works(dtype: torch.dtype = torch.float32) -> bool:
    x, weight, bias = (torch.ones(*shape, dtype=dtype) for shape in ((3, 16), (8, 16), (8,)))
    try:
        with torch.inference_mode():
            plain = F.linear(x, weight, bias)
            curved = F.gelu(plain, approximate="tanh")
            return torch.allclose(_linear(x, weight, bias), plain) and torch.allclose(
                _linear(x, weight, bias, gelu=True), curved
            )
    except (RuntimeError, AttributeError, TypeError):
        return False


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    then: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *then)
    return y
