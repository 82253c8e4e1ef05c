"""Linear layers on weights that lie as MKL's kernels read them, on CPUs where that pays.

torch hands MKL a weight as it lies in the file, and MKL copies it into the order of its kernels in
every product: a sixth of a step of 250 frames, more of a shorter one. Here that is done once. The
weight of the file is let go, so memory holds one of the two.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.layers import replace_linear
from f5serve.number_formats import CPUINFO, cpu_vendor

PACKED_FOR = 512
"""Tokens that the order is best for. Any number may come; below 256, longer products get slower."""


class PackedLinear(nn.Module):
    """`nn.Linear` in float32; what becomes of a token does not depend on those beside it.

    The packed weight must not be copied: MKL keeps in it where it lies.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkl._mkl_reorder_linear_weight(linear.weight, PACKED_FOR)
        # torch asks for the plain weight as well, of which it only reads the shape.
        self.shape = linear.weight.new_empty(1).expand(linear.weight.shape)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        # Told another number of tokens than there are, torch would take the plain weight.
        y: Tensor = torch.ops.mkl._mkl_linear(x, self.packed, self.shape, self.bias, len(x))
        return y


@torch.inference_mode()
def pack_linear(model: nn.Module) -> None:
    """Pack the weights of the transformer blocks' linear layers."""
    replace_linear(model, PackedLinear)


def mkl_is_supported(device: torch.device, dtype: torch.dtype, cpuinfo: Path = CPUINFO) -> bool:
    """Whether this is such a CPU, and this torch has what it takes: a trial call tells.

    Intel's with AVX-512: with AVX2 nothing is gained, and others were not measured.
    """
    if device.type != "cpu" or dtype is not torch.float32:
        return False
    if cpu_vendor(cpuinfo) != "GenuineIntel":
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and works()


@functools.cache
@torch.inference_mode()
def works() -> bool:
    """Whether products of fewer and of more tokens than were packed for are right."""
    inputs, outputs = 40, 24
    x = torch.linspace(-3, 2, 2 * PACKED_FOR * inputs).view(-1, inputs).cos()
    weight = torch.linspace(-1, 1, inputs * outputs).view(outputs, inputs).sin()
    try:
        with torch.device("meta"):
            linear = nn.Linear(inputs, outputs)
        linear.load_state_dict({"weight": weight, "bias": weight[:, 0]}, assign=True)
        packed = PackedLinear(linear)
        parts = [x[:1], x[:70], x]
        return all(
            torch.allclose(packed(part), F.linear(part, weight, linear.bias), atol=1e-5)
            for part in parts
        )
    except (RuntimeError, AttributeError, TypeError):
        return False
