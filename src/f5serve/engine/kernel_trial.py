"""Whether a model computes with kernels on this device: a step tells, and what it gives.

A step of two short rows is computed with plain operations and with kernels, at one time point and
at two. Only where both agree do kernels stay; else the reason is told, and speed alone is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from f5serve.engine.config import N_MELS
from f5serve.engine.fused import Fused, use
from f5serve.engine.graphs import TOLERANCE
from f5serve.engine.kernels import Kernel, Kernels, Launch
from f5serve.engine.ops import Plain
from f5serve.engine.rows import Row
from f5serve.engine.stepping import Stepper
from f5serve.types import SamplingOptions

log = logging.getLogger(__name__)

FRAMES = 40, 33
"""Of the rows; more than one program of a convolution works on."""
Provide = Callable[[Iterable[Kernel], torch.device], Launch]
"""Makes kernels ready for a device; raises with a reason where it cannot."""


def use_kernels(stepper: Stepper, plain: Plain, provide: Provide) -> bool:
    """Let the backbone compute with kernels where they agree with plain operations."""
    began = time.monotonic()
    where = stepper.schedules
    try:
        kernels = Kernels.of(where.arch, where.dtype)
        fused = Fused(kernels, provide(kernels, where.device))
        off = max(_difference(stepper, plain, fused, points) for points in (1, 2))
    except Exception as error:  # noqa: BLE001 - whatever it is, steps are computed without
        reason = (str(error) or repr(error)).splitlines()[0]
    else:
        if off <= TOLERANCE[where.dtype]:
            use(stepper.backbone, fused)
            log.info("fused kernels are used: %.1f s, off by %.1e", time.monotonic() - began, off)
            return True
        reason = f"they are off by {off:.1e}"
    finally:
        stepper.forget()
    use(stepper.backbone, plain)
    log.warning(
        "fused kernels are not used, which costs speed alone: %s. F5_FUSED_KERNELS=off avoids "
        "the try.",
        reason.rstrip("."),
    )
    return False


def _difference(stepper: Stepper, plain: Plain, fused: Fused, points: int) -> float:
    """Relative, of a step with rows at so many time points."""
    use(stepper.backbone, plain)
    expected = _moved(stepper, points)
    use(stepper.backbone, fused)
    off = (_moved(stepper, points) - expected).norm() / expected.norm()
    return float(off) if bool(torch.isfinite(off)) else float("inf")


def _moved(stepper: Stepper, points: int) -> Tensor:
    """By how much a step moves the rows: [n N_MELS]."""
    begun = [stepper.begin(_row(stepper, frames)) for frames in FRAMES]
    for i, item in enumerate(begun):
        item.step = i % points
    before = torch.cat([item.x for item in begun])
    stepper.step(begun)
    return torch.cat([item.x for item in begun]) - before


def _row(stepper: Stepper, frames: int) -> Row:
    """Noise to noise, and without guidance, which would add one rounding to another."""
    schedules = stepper.schedules
    drawn = torch.Generator().manual_seed(frames)
    tokens = torch.randint(schedules.arch.vocab_size - 1, (frames // 2,), generator=drawn)
    cond = torch.randn(frames, N_MELS, generator=drawn)
    cond[frames // 2 :] = 0.0
    options = SamplingOptions(cfg_strength=0.0)
    where = schedules.device
    return Row(tokens.to(where), cond.to(where), frames // 2, frames // 2, 1.0, frames, options)
