"""Kernels for GPUs, run on a CPU by Triton's interpreter, beside the plain operations.

A process of its own, since Triton decides by the environment, when it is imported, what it is:

    TRITON_INTERPRET=1 python -m tests.engine.interpreted

It prints relative differences as JSON, by case. Widths are those of the published models, as
kernels are compiled for widths; layers and tokens are few, as each program takes milliseconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from f5serve.engine import checkpoint
from f5serve.engine.attention import sdpa
from f5serve.engine.config import ModelConfig, preset
from f5serve.engine.dit import DiT
from f5serve.engine.fused import FusedOps
from f5serve.engine.kernels import TYPES, Grid, Kernel, Kernels, compiling
from f5serve.engine.modules import ConvPositionEmbedding
from f5serve.engine.ops import PLAIN, Ops, set_ops
from f5serve.engine.packing import BatchLayout, StepConditioning
from tests.engine.fake_cuda import KINDS

CPU = torch.device("cpu")
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
V1, V0, SMALL, E2 = "F5TTS_v1_Base", "F5TTS_Base", "F5TTS_v1_Small", "E2TTS_Base"
LENGTHS = 5, 2, 5, 2, 2, 0, 0
"""Two rows, their halves without guidance, what fills a bucket, and empty ones."""
CONV_LENGTHS = 23, 30, 23, 5
"""More tokens than a program works on; one of the sequences is in two of them."""
GROUPS = 2
"""Of a convolution that are computed."""
MODELS = (
    *((V1, dtype, points) for dtype in (FP32, FP16) for points in ("one", "mixed")),
    *((V0, FP32, "mixed"), (V0, FP16, "one"), (V0, BF16, "mixed")),
    *((SMALL, FP32, "one"), (SMALL, FP16, "mixed")),
    *((E2, dtype, "mixed") for dtype in (FP32, FP16)),
)
interpret = compiling()


def checked(kernel: Kernel, grid: Grid, *arguments: Any) -> None:
    """A launch that holds the arguments to what the table says of them."""
    for kind, value in zip(kernel.arguments, arguments, strict=True):
        if kind.startswith("*"):
            assert value.dtype is KINDS[kind], (kernel.name, kind, value.dtype)
            assert value.data_ptr() % 16 == 0, (kernel.name, kind)
        else:
            assert type(value) is int, (kernel.name, value)
            assert kind == "i32" or value % 16 == 0, (kernel.name, value)
    interpret(kernel, grid, *arguments)


def some_groups(kernel: Kernel, grid: Grid, *arguments: Any) -> None:
    """The same for the first groups of a convolution."""
    checked(kernel, (grid[0], GROUPS), *arguments)


class WithoutConv(FusedOps):
    """Convolutions take longest, and have a comparison of their own."""

    __slots__ = ()

    def conv_position(
        self, x: Tensor, convs: tuple[nn.Conv1d, nn.Conv1d], layout: BatchLayout
    ) -> Tensor:
        return PLAIN.conv_position(x, convs, layout)


class Case:
    """A model of two layers, and a step of it."""

    def __init__(self, name: str, dtype: torch.dtype, points: str) -> None:
        arch = replace(preset(name), depth=2, text_dim=64, conv_layers=0, vocab_size=61)
        self.arch = arch
        self.model, _ = checkpoint.load_random(arch, checkpoint.DeviceAndDtype(CPU, dtype), 0)
        drawn = torch.Generator().manual_seed(1)
        self.x = torch.randn(sum(LENGTHS), 100, generator=drawn).to(dtype)
        self.condition = torch.randn(sum(LENGTHS), arch.dim, generator=drawn).to(dtype)
        self.layout = BatchLayout.of(LENGTHS, CPU, arch.backbone == "unett")
        table = tables(arch, drawn).to(dtype)
        places = torch.tensor([2, 0, 2, 0, 1, 0, 0])
        self.timestep = (
            StepConditioning(table, places) if points == "mixed" else StepConditioning(table[1])
        )

    @torch.inference_mode()
    def velocity(self, ops: Ops) -> Tensor:
        set_ops(self.model, ops)
        return self.model(self.x, self.condition, self.timestep, self.layout, sdpa)


def tables(arch: ModelConfig, drawn: torch.Generator) -> Tensor:
    """Three time points, with scales about 1."""
    if arch.backbone == "unett":
        return torch.randn(3, 1, arch.dim, generator=drawn)
    table = torch.randn(3, 6 * arch.depth + 2, arch.dim, generator=drawn) * 0.3
    table[:, DiT.scale_indices(arch.depth)] += 1.0
    return table


def difference(got: Tensor, expected: Tensor) -> float:
    return float((got.float() - expected.float()).norm() / expected.float().norm())


def of_models() -> Iterator[tuple[str, float]]:
    for name, dtype, points in MODELS:
        case = Case(name, dtype, points)
        kernels = Kernels.of(case.arch, dtype)
        whole = (name, dtype, points) == (V1, FP32, "mixed")
        fused = (FusedOps if whole else WithoutConv)(kernels, checked)
        found = difference(case.velocity(fused), case.velocity(PLAIN))
        yield f"{name} {TYPES[dtype]} {points}", found


@torch.inference_mode()
def of_convolutions() -> Iterator[tuple[str, float]]:
    layout = BatchLayout.of(CONV_LENGTHS, CPU, False)
    for name in (V1, SMALL):
        for dtype in (FP32, FP16):
            arch = preset(name)
            torch.manual_seed(0)
            conv = ConvPositionEmbedding(arch.dim).to(dtype)
            convs = conv.conv1, conv.conv2
            x = torch.randn(sum(CONV_LENGTHS), arch.dim).to(dtype)
            fused = FusedOps(Kernels.of(arch, dtype), some_groups)
            channels = slice(0, arch.dim // 16 * GROUPS)
            got, plain = (
                fused.conv_position(x, convs, layout),
                PLAIN.conv_position(x, convs, layout),
            )
            yield (
                f"conv {arch.dim} {TYPES[dtype]}",
                difference(got[:, channels], plain[:, channels]),
            )
            if dtype is FP32 and name == V1:
                x[52] = float("nan")  # the last of the second
                spoilt = fused.conv_position(x, convs, layout)
                others = [*range(23), *range(53, sum(CONV_LENGTHS))]
                assert torch.isnan(spoilt[52]).any()
                yield (
                    "neighbours of what is not finite",
                    difference(spoilt[others, channels], got[others, channels]),
                )


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump(dict([*of_models(), *of_convolutions()]), sys.stdout)
