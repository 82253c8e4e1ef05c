"""The kernels of triton_kernels.py as data: how each is compiled, and how it is launched.

A model of one architecture and precision needs a handful (`Kernels.of`). What they are compiled
with follows from widths alone, never from how much there is to do, so nothing is compiled while
steps are taken. A `Launch` may compile them when they are first used, or have them
ready. Triton is not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from f5serve.engine.config import HEAD_DIM, ModelConfig
from f5serve.engine.modules import CONV_GROUPS, CONV_KERNEL
from f5serve.engine.ops import NORM_EPS
from f5serve.engine.unett import rms_eps

TYPES = {torch.float16: "fp16", torch.float32: "fp32", torch.bfloat16: "bf16"}
"""Names that Triton has for precisions of a model."""
CONV_TOKENS = 64
"""Tokens that one program of `conv_mish` works on."""
SMALLEST_DOT = 16
"""Triton multiplies no smaller matrices."""


class Kernel(NamedTuple):
    """One variant of a function of triton_kernels.py.

    Attributes:
        function: its name there.
        arguments: types of what it is launched with, in order, in the notation of Triton's own
            compiler: "*fp16:16" is a pointer, aligned to 16 bytes; "i32:16" a multiple of 16.
        constants: its other parameters, by name.
        num_warps, num_stages: as Triton takes them; fixed, so that nothing is tried out.
    """

    function: str
    arguments: tuple[str, ...]
    constants: tuple[tuple[str, int | float], ...]
    num_warps: int
    num_stages: int = 3

    @property
    def name(self) -> str:
        """Of this variant alone, and of its file."""
        precision = self.arguments[0].strip("*").removesuffix(":16")
        values = [f"{key.lower()}{value:g}" for key, value in self.constants]
        return "-".join([self.function, precision, *values])


Grid = tuple[int, int]
Launch = Callable[..., None]
"""(kernel, grid, *arguments) -> None, on the current stream; arguments are tensors and integers.

Every tensor is aligned to 16 bytes.
"""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Those of one architecture and precision.

    Attributes:
        norm_modulate: by whether something is added before, and whether time points are mixed.
        norm_rms: by whether something is added before.
        conv_mish: by whether its input is added behind.
    """

    norm_modulate: Mapping[tuple[bool, bool], Kernel]
    norm_rms: Mapping[bool, Kernel]
    rotate: Kernel
    conv_mish: Mapping[bool, Kernel]

    @classmethod
    def of(cls, config: ModelConfig, dtype: torch.dtype) -> Kernels:
        """What a model of `config` needs in this precision."""
        both = False, True
        is_dit = config.backbone == "dit"
        return cls(
            {
                (delta, place): _norm_modulate(config, dtype, delta, place)
                for delta in both
                for place in both
                if is_dit
            },
            {delta: _norm_rms(config, dtype, delta) for delta in both if not is_dit},
            _rotate(config, dtype),
            {residual: _conv_mish(config, dtype, residual) for residual in both},
        )

    def __iter__(self) -> Iterator[Kernel]:
        """All of them."""
        yield from self.norm_modulate.values()
        yield from self.norm_rms.values()
        yield self.rotate
        yield from self.conv_mish.values()


def _norm_modulate(config: ModelConfig, dtype: torch.dtype, delta: bool, place: bool) -> Kernel:
    kept = f"*{TYPES[dtype]}:16"
    # Without places another pointer stands there, which is not followed.
    places = "*i64:16" if place else kept
    block = _power_of_two(config.dim)
    constants = {
        "WIDTH": config.dim,
        "BLOCK": block,
        "EPS": NORM_EPS,
        "HAS_DELTA": delta,
        "HAS_PLACE": place,
    }
    arguments = *[kept] * 5, places, kept, kept, "i32:16"
    return Kernel("norm_modulate", arguments, tuple(constants.items()), _warps(block))


def _norm_rms(config: ModelConfig, dtype: torch.dtype, delta: bool) -> Kernel:
    block = _power_of_two(config.dim)
    constants = {"WIDTH": config.dim, "BLOCK": block, "EPS": rms_eps(dtype), "HAS_DELTA": delta}
    kept = f"*{TYPES[dtype]}:16"
    return Kernel("norm_rms", (kept,) * 5, tuple(constants.items()), _warps(block))


def _rotate(config: ModelConfig, dtype: torch.dtype) -> Kernel:
    block = _power_of_two(config.n_rope_heads)
    constants = {
        "HEADS": config.heads,
        "TURNED": config.n_rope_heads,
        "HALF": HEAD_DIM // 2,
        "BLOCK": block,
    }
    arguments = f"*{TYPES[dtype]}:16", "*fp32:16"
    return Kernel("rotate", arguments, tuple(constants.items()), _warps(block * HEAD_DIM))


def _conv_mish(config: ModelConfig, dtype: torch.dtype, residual: bool) -> Kernel:
    inner = config.dim // CONV_GROUPS
    constants = {
        "TAPS": CONV_KERNEL,
        "GROUPS": CONV_GROUPS,
        "INNER": inner,
        "BLOCK": max(SMALLEST_DOT, _power_of_two(inner)),
        "TOKENS": CONV_TOKENS,
        "HAS_RESIDUAL": residual,
    }
    kept = f"*{TYPES[dtype]}:16"
    arguments = *[kept] * 4, "*i64:16", "*i32:16", kept, "i32"
    # Sums and factors of float32 do not fit into the registers of four warps.
    warps = 8 if dtype is torch.float32 else 4
    return Kernel("conv_mish", arguments, tuple(constants.items()), warps)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _warps(block: int) -> int:
    """Eight values for each thread, and no more than 16 warps."""
    return max(1, min(16, block // (32 * 8)))


def compiling() -> Launch:
    """A launch that compiles a kernel when it is first used: seconds for all, and Triton's import.

    Raises:
        ImportError: Triton is not installed.
    """
    from f5serve.engine import triton_kernels  # it imports Triton

    def launch(kernel: Kernel, grid: Grid, *arguments: Any) -> None:
        function = getattr(triton_kernels, kernel.function)
        options = {"num_warps": kernel.num_warps, "num_stages": kernel.num_stages}
        function[grid](*arguments, **dict(kernel.constants), **options)

    return launch
