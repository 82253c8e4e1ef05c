"""Where there is sound in a wave, measured apart from the code that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

RATE = 24_000
LOUD = 10 ** (-42 / 20)
QUIET_S = 0.02


def sounds(samples: Any) -> list[tuple[float, float]]:
    """Seconds from which to which there is sound: no 20 ms of it are below -42 dB."""
    loud = np.flatnonzero(np.abs(samples) > LOUD)
    breaks = np.flatnonzero(np.diff(loud) > QUIET_S * RATE)
    starts, ends = [loud[0], *loud[breaks + 1]], [*loud[breaks], loud[-1]]
    return [(a / RATE, (b + 1) / RATE) for a, b in zip(starts, ends, strict=True)]
