"""Brings sound to a target of loudness, with its peaks below a ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from f5serve.audio.filters import FilterChain
from f5serve.audio.loudness import LOWEST_DB, OVERSAMPLING
from f5serve.types import FloatArray


@dataclass(frozen=True, slots=True)
class Leveling:
    """A change of level.

    Attributes:
        gain_db: for all of the sound.
        ceiling_db: true peak that is not exceeded; None where the gain leads to none beyond it.
    """

    gain_db: float = 0.0
    ceiling_db: float | None = None


def leveling_to(
    target_db: float, measured_db: float, true_peak_db: float, ceiling_db: float
) -> Leveling:
    """What brings sound that was measured to a target; peaks are limited only if they have to be.

    Args:
        target_db, measured_db: both in LUFS, or both RMS levels.
    """
    if measured_db <= LOWEST_DB:
        return Leveling()
    gain_db = target_db - measured_db
    return Leveling(gain_db, ceiling_db if true_peak_db + gain_db > ceiling_db else None)


_LIMITER = "limit={limit:.6f}:level=0:latency=1:attack=5:release=20"
_OVERSHOOT_DB = 0.7
"""What the filter behind the limiter may add to a peak: 0.6 dB for white noise, less for speech."""


class Leveler:
    """Applies a `Leveling`, and changes the sample rate; what comes out is not delayed.

    Args:
        sample_rate, output_rate: of what is added and of what comes out, Hz.
    """

    def __init__(self, leveling: Leveling, sample_rate: int, output_rate: int) -> None:
        self._gain = np.float32(10 ** (leveling.gain_db / 20))
        self._sample_rate = sample_rate
        self._filters: FilterChain | None = None
        self._stream: Any = None
        if leveling.ceiling_db is not None:
            limit = 10 ** ((leveling.ceiling_db - _OVERSHOOT_DB) / 20)
            self._filters = FilterChain(
                [
                    ("aresample", str(OVERSAMPLING * sample_rate)),
                    ("alimiter", _LIMITER.format(limit=limit)),
                    ("aresample", str(output_rate)),
                ],
                sample_rate,
            )
        elif output_rate != sample_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                sample_rate, output_rate, 1, dtype="float32", quality="HQ"
            )

    def add(self, samples: FloatArray) -> FloatArray:
        """The next samples [nw], a second of them at most; returns those that are ready."""
        scaled = np.ascontiguousarray(samples * self._gain, np.float32)
        if self._filters is not None:
            return self._filters.add(scaled)
        return scaled if self._stream is None else self._stream.resample_chunk(scaled)

    def end(self) -> FloatArray:
        """The rest."""
        if self._filters is not None:
            return self._filters.end()
        empty = np.zeros(0, np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)
