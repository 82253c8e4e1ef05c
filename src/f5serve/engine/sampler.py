"""From noise to mel: seeded noise, the time grid, Euler steps, classifier-free guidance."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS

EPSS_GRIDS = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}
"""Empirically pruned step sampling (arXiv 2505.19931): which of 32 even steps are kept."""


def time_points(nfe_step: int, sway_sampling_coef: float) -> Tensor:
    """Time grid from 0 to 1: the EPSS one where it exists, even otherwise, then swayed.

    Sway sampling is arXiv 2410.06885: f(t) = t + s * (cos(pi/2 * t) - 1 + t).

    Returns:
        float32 [nfe_step + 1]
    """
    grid = EPSS_GRIDS.get(nfe_step)
    t = torch.tensor(grid) / 32 if grid else torch.linspace(0, 1, nfe_step + 1)
    return t + sway_sampling_coef * (torch.cos(math.pi / 2 * t) - 1 + t)


def noise(seed: int, frames: int) -> Tensor:
    """Start of a row: float32 [frames N_MELS], drawn on the CPU so that it is the same everywhere.

    Each row has a generator of its own; what else runs in the process cannot change it.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, N_MELS, generator=generator)


def guide(velocity: Tensor, strength: Tensor) -> Tensor:
    """Classifier-free guidance.

    Args:
        velocity: [2m N_MELS], conditional rows first.
        strength: [m 1]

    Returns:
        [m N_MELS]
    """
    conditional, unconditional = velocity.chunk(2)
    return torch.addcmul(conditional, conditional - unconditional, strength)


def integrate(velocity: Callable[[Tensor, int], Tensor], x: Tensor, times: Tensor) -> Tensor:
    """Euler's method in float32.

    Args:
        velocity: (x [m N_MELS], index of the time point) -> [m N_MELS]
        x: the noise.
        times: [s + 1]
    """
    for step, width in enumerate(times.diff().tolist()):
        x = x + width * velocity(x, step)
    return x
