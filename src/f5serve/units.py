"""Constants of 24 kHz speech, and conversions between seconds, samples and mel frames."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""Samples per second of every wave inside the program (Vocos and all F5-TTS checkpoints)."""

HOP_LENGTH = 256
"""Samples from one mel frame to the next."""

FRAMES_PER_SECOND = SAMPLE_RATE / HOP_LENGTH
"""93.75 mel frames a second."""

MAX_REFERENCE_S = 12.0
"""Longest reference that F5-TTS was conditioned on in training; longer ones are cut."""

MAX_DURATION_FRAMES = 4096
"""Longest sequence, reference included, that F5-TTS samples (43.7 s)."""


def samples_to_s(samples: int, sample_rate: int = SAMPLE_RATE) -> float:
    """Length in seconds of `samples` samples."""
    return samples / sample_rate


def s_to_samples(seconds: float, sample_rate: int = SAMPLE_RATE) -> int:
    """Nearest whole number of samples in `seconds`."""
    return round(seconds * sample_rate)


def samples_to_frames(samples: int) -> int:
    """Mel frames of a wave at `SAMPLE_RATE`: hops that fit, as the reference is counted."""
    return samples // HOP_LENGTH
