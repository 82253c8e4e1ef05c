"""Faster steps on CPUs: linear layers by oneDNN or packed for MKL, CFG branches side by side."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from f5serve.engine.modules import FeedForward, replace_linear
from f5serve.number_formats import CPU_BF16, CPUINFO, cpu_flags, cpu_vendor

PACKED_FOR = 512
"""Tokens that MKL's order is best for. Any number may come; below 256, longer products get
slower."""
_FAULTS = (RuntimeError, AttributeError, TypeError)
"""What a torch raises that lacks an operator."""


def mkl_is_supported(device: torch.device, dtype: torch.dtype, cpuinfo: Path = CPUINFO) -> bool:
    """Whether weights are to be packed for MKL: on Intel's CPUs with AVX-512, where that is faster.

    With AVX2 nothing is gained, and other CPUs were not measured.
    """
    return _is_fp32_with_avx512(device, dtype, "GenuineIntel", cpuinfo) and mkl_works()


def onednn_is_supported(device: torch.device, dtype: torch.dtype, cpuinfo: Path = CPUINFO) -> bool:
    """Whether linear layers are to be computed by oneDNN: on CPUs where that is faster.

    torch computes them with MKL in fp32, which has no kernels of its own for AMD's AVX-512. oneDNN
    does: 7 % of a step on Zen 4. On AMD's earlier CPUs it is slower. In bf16 torch takes oneDNN
    itself, so what is gained is GELU within the product.
    """
    if dtype is torch.bfloat16:
        is_fast = device.type == "cpu" and bool(cpu_flags(cpuinfo) & CPU_BF16)
    else:
        is_fast = _is_fp32_with_avx512(device, dtype, "AuthenticAMD", cpuinfo)
    return is_fast and onednn_works(dtype)


def _is_fp32_with_avx512(
    device: torch.device, dtype: torch.dtype, vendor: str, cpuinfo: Path
) -> bool:
    if device.type != "cpu" or dtype is not torch.float32 or cpu_vendor(cpuinfo) != vendor:
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


class PackedLinear(nn.Module):
    """`nn.Linear` in float32 whose weight is stored in the order of MKL's kernels.

    torch hands MKL a plain weight, and MKL copies it into the order of its kernels in every
    product: a sixth of a step of 250 frames, more of a shorter one. Here that is done
    once. The plain weight is freed, so memory holds one of the two. The packed one must not be
    copied: MKL keeps its address in it.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkl._mkl_reorder_linear_weight(linear.weight, PACKED_FOR)
        # torch asks for the plain weight as well, of which it only reads the shape.
        self.shape = linear.weight.new_empty(1).expand(linear.weight.shape)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        # Given another number of tokens than there are, torch would take the plain weight.
        y: Tensor = torch.ops.mkl._mkl_linear(x, self.packed, self.shape, self.bias, len(x))
        return y


@torch.inference_mode()
def enable_mkl(model: nn.Module) -> None:
    """Pack the weights of the transformer blocks' linear layers."""
    replace_linear(model, PackedLinear)


@functools.cache
@torch.inference_mode()
def mkl_works() -> bool:
    """Whether this torch packs, and products of any number of tokens are right."""
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
    except _FAULTS:
        return False


class OneDnnLinear(nn.Module):
    """`nn.Linear` by oneDNN, on the same weights; sums are rounded in another order.

    Args:
        gelu: whether GELU in its tanh form follows, which then costs next to nothing.
    """

    def __init__(self, linear: nn.Linear, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:  # [m in] -> [m out]
        return _onednn_linear(x, self.weight, self.bias, self.gelu)


def enable_onednn(model: nn.Module) -> None:
    """Compute the linear layers of the transformer blocks by oneDNN, GELU within the product."""
    for part in list(model.get_submodule("blocks").modules()):
        if isinstance(part, FeedForward) and isinstance(part.up, nn.Linear):
            part.up = OneDnnLinear(part.up, gelu=True)
            part.act = nn.Identity()
    replace_linear(model, OneDnnLinear)


@torch.inference_mode()
def onednn_works(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this torch has oneDNN's product, with and without GELU."""
    x, weight, bias = (torch.ones(*shape, dtype=dtype) for shape in ((3, 16), (8, 16), (8,)))
    try:
        plain = F.linear(x, weight, bias)
        ours, with_gelu = (_onednn_linear(x, weight, bias, gelu) for gelu in (False, True))
        expected = F.gelu(plain, approximate="tanh")
        return torch.allclose(ours, plain) and torch.allclose(with_gelu, expected)
    except _FAULTS:
        return False


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    then: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, *then)
    return y


class ParallelCfg:
    """The two branches of CFG in two threads, each with half of the cores.

    Neither branch needs the other. In two threads they wait for one another once a step, where one
    computation with all cores waits at every operation of every layer.

    Args:
        threads: of torch in all, an even number.
    """

    def __init__(self, threads: int) -> None:
        started = threading.Barrier(3)

        def start() -> None:
            torch.set_num_threads(threads // 2)
            started.wait()

        self._pool = ThreadPoolExecutor(2, "cfg", initializer=start)
        for _ in range(2):
            self._pool.submit(int)
        started.wait()
        torch.set_num_threads(threads)  # threads that start later take over what was set last

    @classmethod
    def on(cls, device: torch.device) -> ParallelCfg | None:
        """Two threads where they are faster: on a CPU, with an even number of torch's threads."""
        threads = torch.get_num_threads()
        return cls(threads) if device.type == "cpu" and threads % 2 == 0 else None

    def run(self, first: Callable[[], Tensor], second: Callable[[], Tensor]) -> Tensor:
        """Both results, one behind the other; neither still runs when one has failed."""
        branches = [self._pool.submit(branch) for branch in (first, second)]
        wait(branches)
        return torch.cat([branch.result() for branch in branches])
