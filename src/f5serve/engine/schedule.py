"""What depends on the time points alone, computed once per schedule and kept.

A schedule is a time grid and a table [s rows d]: for F5-TTS the shift, scale and gate of every
block and the final norm, for E2-TTS the time token. The table comes out of the checkpoint's time
layers; the converted artifact carries the tables of 7, 16 and 32 steps instead of those layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from f5serve.engine.config import TIME_FREQ_DIM, Architecture
from f5serve.engine.dit import DiT
from f5serve.engine.sampler import time_points
from f5serve.engine.weight_file import OpenTensors
from f5serve.errors import ModelUnavailable

SHIPPED_STEPS = (7, 16, 32)
SHIPPED_SWAY = -1.0
KEPT_SCHEDULES = 8


def time_table(weights: Mapping[str, Tensor], arch: Architecture, times: Tensor) -> Tensor:
    """Table of a grid, from published tensors, in float32.

    Args:
        weights: published names; read one at a time, so that a mapped file is not held whole.
        times: [s], the points at which a step begins.

    Returns:
        [s, 6 * depth + 2, d] for F5-TTS, [s 1 d] for E2-TTS.
    """

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float())

    half = TIME_FREQ_DIM // 2
    frequencies = torch.exp(torch.arange(half).float() * (-math.log(10_000) / (half - 1)))
    angles = 1000 * times[:, None] * frequencies
    t = torch.cat([angles.sin(), angles.cos()], dim=-1)  # [s TIME_FREQ_DIM]
    t = linear(F.silu(linear(t, "time_embed.time_mlp.0")), "time_embed.time_mlp.2")  # [s d]
    if arch.backbone == "unett":
        return t[:, None]
    t = F.silu(t)
    rows = [
        linear(t, f"transformer_blocks.{i}.attn_norm.linear").unflatten(-1, (6, arch.dim))
        for i in range(arch.depth)
    ]
    rows.append(linear(t, "norm_out.linear").unflatten(-1, (2, arch.dim)))
    return torch.cat(rows, dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A time grid as the model takes it.

    Attributes:
        widths: of the steps, [s].
        table: [s rows d], on the device and in the precision of the model.
    """

    widths: tuple[float, ...]
    table: Tensor


@dataclass(slots=True)
class Schedules:
    """Schedules of one model; the last few used are kept.

    Attributes:
        shipped: tables of the artifact, by number of steps, at `SHIPPED_SWAY`.
        open_time_layers: opens the published time layers, or None where they are not to be had.
    """

    arch: Architecture
    device: torch.device
    dtype: torch.dtype
    shipped: Mapping[int, Tensor]
    open_time_layers: OpenTensors | None
    _kept: Callable[[int, float], Schedule] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._kept = lru_cache(maxsize=KEPT_SCHEDULES)(self._make)

    def get(self, nfe_step: int, sway_sampling_coef: float) -> Schedule:
        """The schedule of these options.

        Raises:
            ModelUnavailable: code SCHEDULE_NOT_IN_ARTIFACT when its table is neither shipped nor
                can be computed.
        """
        return self._kept(nfe_step, sway_sampling_coef)

    def _make(self, nfe_step: int, sway: float) -> Schedule:
        times = time_points(nfe_step, sway)
        if sway == SHIPPED_SWAY and nfe_step in self.shipped:
            table = self.shipped[nfe_step].clone()
        elif self.open_time_layers is not None:
            with self.open_time_layers() as weights:
                table = time_table(weights, self.arch, times[:-1])
        else:
            steps = ", ".join(str(n) for n in sorted(self.shipped))
            raise ModelUnavailable(
                f"The converted weights hold no schedule of {nfe_step} steps with sway {sway:g}.",
                code="SCHEDULE_NOT_IN_ARTIFACT",
                hint=f"Use {steps} steps with sway {SHIPPED_SWAY:g}, or keep the original "
                "checkpoint beside the converted one: any schedule is computed from it.",
            )
        if self.arch.backbone == "dit":
            table[:, DiT.scale_rows(self.arch.depth)] += 1.0
        widths = tuple(times.diff().tolist())
        return Schedule(widths, table.to(self.device, self.dtype))
