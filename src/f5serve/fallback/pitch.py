"""Median fundamental frequency of a recording in hertz, by plain autocorrelation.

Good enough to tell low voices from high ones.
"""

from __future__ import annotations

import numpy as np

from f5serve.types import FloatArray, Wave

LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
FRAME_S, HOP_S = 0.04, 0.02
VOICED = 0.5
"""Share of a frame's energy that must repeat after one period."""
LONGEST_S = 12.0


def median_f0_hz(wave: Wave) -> float:
    """Median F0 of the voiced frames in hertz; 0.0 when nothing is voiced."""
    rate = wave.sample_rate
    frame, hop = round(FRAME_S * rate), round(HOP_S * rate)
    samples = wave.samples[: round(LONGEST_S * rate)].astype(np.float64)
    if len(samples) < 2 * frame:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]  # [n frame]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.square(frames).sum(axis=1)
    loud = energy > 0.05 * np.quantile(energy, 0.95)
    if not energy.any() or not loud.any():
        return 0.0
    periods = _periods(frames[loud], energy[loud], rate)
    voiced = periods[periods > 0]
    return float(rate / np.median(voiced)) if voiced.size else 0.0


def _periods(
    frames: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    energy: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rate: int,
) -> FloatArray:
    """Samples in one period of each frame, 0 where it does not repeat; [n]."""
    size = 2 * frames.shape[1]
    spectrum = np.fft.rfft(frames, size)
    repeats = np.fft.irfft(np.abs(spectrum) ** 2, size)[:, : frames.shape[1]]
    # A lagged window overlaps itself less, so long periods would look weaker than they are.
    overlap = 1.0 - np.arange(frames.shape[1]) / frames.shape[1]
    low, high = int(rate / HIGHEST_HZ), min(int(rate / LOWEST_HZ), frames.shape[1] * 3 // 4)
    strength = repeats[:, low:high] / (overlap[low:high] * energy[:, None])
    best = strength.max(axis=1)
    # The first lag nearly as strong as the best: a multiple of the period repeats as well.
    first = np.argmax(strength > 0.9 * best[:, None], axis=1)  # lag - low
    lags = np.arange(low, high)
    near = (lags >= low + first[:, None]) & (lags < 1.3 * (low + first[:, None]))
    peak = low + np.where(near, strength, -np.inf).argmax(axis=1)
    return np.where(best > VOICED, peak, 0).astype(np.float32)
