"""Copies from the host to a GPU that nobody waits for."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def _can_pin() -> bool:
    return torch.cuda.is_available()


def pinned(host: Tensor, device: torch.device) -> Tensor:
    """The same in memory from which that device copies by itself; in any thread."""
    return host.pin_memory() if device.type == "cuda" and _can_pin() else host


def to_device(device: torch.device, host: Tensor) -> Tensor:
    """The same on the device.

    A plain copy to a GPU waits until it has done all that it was asked for before; this one takes
    its turn behind that.
    """
    if device.type != "cuda":
        return host.to(device)
    source = host if host.is_pinned() else pinned(host, device)
    return torch.empty_like(source, device=device).copy_(source, non_blocking=True)
