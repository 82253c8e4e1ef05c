"""Edits waves: channels, sample rate, loudness and silence.

Samples are float32 in [-1, 1], times are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from f5serve.types import SAMPLE_RATE, FloatArray, Wave, s_to_samples, samples_to_s

TARGET_RMS = 0.1
"""Loudness that upstream raises quieter references to."""

EDGE_DBFS = -42.0
"""Level below which upstream takes the edges of a reference for silence."""

INNER_DBFS = -50.0
"""Level below which upstream's silence removal takes a pause for silence."""

MAX_OFFSET = 0.01
"""Distance of silence from zero up to which it is still below `EDGE_DBFS`, or nearly."""

WINDOW_S = 0.01
"""Stretch over which a level is measured."""


def to_mono(samples: FloatArray) -> FloatArray:
    """Mean of the channels: [nw c] -> [nw]; [nw] is handed back as it is.

    Where the mean has less power than if all but the loudest channel were silent, by half, they
    cancel: one of them was recorded upside down. Then it is the loudest channel.
    """
    if samples.ndim == 1:
        return samples
    mean = np.asarray(samples.mean(axis=1, dtype=np.float32), dtype=np.float32)
    powers = [_power(samples[:, channel]) for channel in range(samples.shape[1])]
    if _power(mean) * 2 < max(powers) / len(powers) ** 2:
        return np.ascontiguousarray(samples[:, int(np.argmax(powers))])
    return mean


def _power(samples: FloatArray) -> float:
    return float(np.dot(samples, samples))


def resample(wave: Wave, sample_rate: int = SAMPLE_RATE) -> Wave:
    """The same sound at another sample rate, by soxr's high quality setting."""
    if wave.sample_rate == sample_rate:
        return wave
    import soxr

    samples = soxr.resample(wave.samples, wave.sample_rate, sample_rate, quality="HQ")
    return Wave(np.asarray(samples, dtype=np.float32), sample_rate, wave.marks)


def rms(wave: Wave) -> float:
    """Root mean square of the samples, 0 for none."""
    if not len(wave.samples):
        return 0.0
    return float(np.sqrt(np.mean(np.square(wave.samples, dtype=np.float64))))


def scale(wave: Wave, factor: float) -> Wave:
    """Every sample times `factor`."""
    if factor == 1.0:
        return wave
    return Wave(wave.samples * np.float32(factor), wave.sample_rate, wave.marks)


def normalize_rms(reference: Wave) -> tuple[Wave, float]:
    """Raise a quiet reference to `TARGET_RMS`, as upstream does before it takes the mel.

    Returns:
        The reference to use, and the factor for `scale` that brings speech made from it back
        to the loudness of the recording. A louder or silent reference stays, with factor 1.
    """
    level = rms(reference)
    if not 0.0 < level < TARGET_RMS:
        return reference, 1.0
    return scale(reference, TARGET_RMS / level), level / TARGET_RMS


def without_offset(wave: Wave) -> Wave:
    """The wave around zero, if it is further from it than `MAX_OFFSET`; else as it is."""
    # Not the mean: what is loud for a moment may be on one side, and silence is most of the time.
    offset = float(np.median(wave.samples)) if len(wave.samples) else 0.0
    if abs(offset) <= MAX_OFFSET:
        return wave
    return Wave(wave.samples - np.float32(offset), wave.sample_rate, wave.marks)


def without_low_sound(wave: Wave, below_hz: float) -> Wave:
    """Only what is above a frequency."""
    spectrum = np.fft.rfft(wave.samples)
    hertz = np.fft.rfftfreq(len(wave.samples), 1 / wave.sample_rate)
    spectrum[hertz < below_hz] = 0
    samples = np.fft.irfft(spectrum, len(wave.samples)).astype(np.float32)
    return Wave(samples, wave.sample_rate, wave.marks)


def levels_db(wave: Wave, window_s: float = WINDOW_S) -> FloatArray:
    """Level of each whole window of `window_s` in dB of full scale: [nw] -> [n]."""
    size = max(1, s_to_samples(window_s, wave.sample_rate))
    count = len(wave.samples) // size
    windows = wave.samples[: count * size].reshape(count, size)
    power = np.mean(np.square(windows, dtype=np.float64), axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12)), dtype=np.float32)


def speech_threshold_db(wave: Wave) -> float:
    """`EDGE_DBFS`, or lower for a quiet recording: 30 dB below its loudest window."""
    levels = levels_db(wave)
    return min(EDGE_DBFS, float(levels.max()) - 30.0) if len(levels) else EDGE_DBFS


def trim_edges(wave: Wave, keep_s: float = 0.05) -> Wave:
    """Drop silence before the first and after the last sound, all but `keep_s` of it.

    Returns a wave of no samples when there is nothing louder than -90 dB of full scale.
    """
    loud = np.flatnonzero(levels_db(wave) > max(speech_threshold_db(wave), -90.0))
    if not len(loud):
        return keep_ranges(wave, [])
    size = max(1, s_to_samples(WINDOW_S, wave.sample_rate))
    keep = s_to_samples(keep_s, wave.sample_rate)
    start = max(0, int(loud[0]) * size - keep)
    end = min(len(wave.samples), (int(loud[-1]) + 1) * size + keep)
    return keep_ranges(wave, [(start, end)])


def pauses(wave: Wave, threshold_db: float, min_s: float) -> list[tuple[int, int]]:
    """Stretches below `threshold_db` that last `min_s` or longer, as (start, end) in samples."""
    size = max(1, s_to_samples(WINDOW_S, wave.sample_rate))
    quiet = np.concatenate([[False], levels_db(wave) <= threshold_db, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    found = [(int(a) * size, int(b) * size) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(a, b) for a, b in found if samples_to_s(b - a, wave.sample_rate) >= min_s]


def remove_silence(wave: Wave, min_s: float = 1.0, keep_s: float = 0.5) -> Wave:
    """Shorten long silences, as upstream's option of that name does.

    A stretch of `min_s` or longer below -50 dB of full scale keeps `keep_s` beside each sound
    that it borders on: at most 1 s between two sounds, 0.5 s at the start and the end.
    A wave without any sound is handed back as it is.
    """
    keep = s_to_samples(keep_s, wave.sample_rate)
    length = len(wave.samples)
    size = max(1, s_to_samples(WINDOW_S, wave.sample_rate))
    kept: list[tuple[int, int]] = []
    position = 0
    for start, end in pauses(wave, INNER_DBFS, min_s):
        if start == 0 and end > length - size:
            return wave
        left = start + keep if start else 0
        right = end - keep if end <= length - size else length
        if right > left:
            kept.append((position, left))
            position = right
    return keep_ranges(wave, [*kept, (position, length)])


def keep_ranges(wave: Wave, parts: Sequence[tuple[int, int]]) -> Wave:
    """What is left when only these stretches of samples are kept; marks move with them."""
    samples = np.concatenate([wave.samples[:0], *(wave.samples[a:b] for a, b in parts)])
    if not wave.marks:
        return Wave(samples, wave.sample_rate)
    old: list[int] = []
    new: list[int] = []
    for start, end in parts:
        length = new[-1] if new else 0
        old += [start, end]
        new += [length, length + end - start]

    def moved_s(at_s: float) -> float:
        at = np.interp(at_s * wave.sample_rate, old, new) if old else 0.0
        return float(at) / wave.sample_rate

    marks = (replace(m, start_s=moved_s(m.start_s), end_s=moved_s(m.end_s)) for m in wave.marks)
    return Wave(samples, wave.sample_rate, tuple(marks))
