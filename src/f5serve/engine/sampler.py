"""From noise to mel: seeded noise, the time grid, classifier-free guidance."""

from __future__ import annotations

import math

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


def timesteps(nfe_step: int, sway_sampling_coef: float) -> Tensor:
    """Time grid from 0 to 1: the EPSS one where it exists, even otherwise, then swayed.

    Sway sampling is arXiv 2410.06885: f(t) = t + s * (cos(pi/2 * t) - 1 + t).

    Returns:
        float32 [nfe_step + 1]
    """
    grid = EPSS_GRIDS.get(nfe_step)
    t = torch.tensor(grid) / 32 if grid else torch.linspace(0, 1, nfe_step + 1)
    return t + sway_sampling_coef * (torch.cos(math.pi / 2 * t) - 1 + t)


def initial_noise(seed: int, frames: int) -> Tensor:
    """Start of a row: float32 [frames N_MELS], drawn on the CPU so that it is the same everywhere.

    Each row has a generator of its own; what else runs in the process cannot change it.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, N_MELS, generator=generator)


def apply_cfg(velocity: Tensor, cfg_strength: Tensor) -> Tensor:
    """Classifier-free guidance of the rows that have it.

    Args:
        velocity: [m + k N_MELS]: conditional frames of all rows, then the k unconditional ones,
            which belong to the first k.
        cfg_strength: [k 1]

    Returns:
        [m N_MELS]
    """
    k = len(cfg_strength)
    m = len(velocity) - k
    first, unconditional = velocity[:k], velocity[m:]
    guided = torch.addcmul(first, first - unconditional, cfg_strength)
    return guided if k == m else torch.cat([guided, velocity[k:m]])
