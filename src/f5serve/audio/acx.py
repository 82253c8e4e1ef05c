"""The levels that ACX asks of audiobooks, and a report of a file as a listener gets it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f5serve.audio.audiobook import BookFileOptions
from f5serve.audio.leveling import leveling_to
from f5serve.audio.loudness import Loudness, LoudnessMeter
from f5serve.types import FloatArray

TARGET_RMS_DB = -20.0
MIN_RMS_DB, MAX_RMS_DB = -23.0, -18.0
MAX_PEAK_DB = -3.0
MAX_NOISE_DB = -60.0
SAMPLE_RATE_HZ = 44_100
MIN_BIT_RATE = 192_000
MAX_DURATION_S = 120 * 60.0
HEAD_S, TAIL_S = (0.5, 1.0), (1.0, 5.0)

_CEILING_DB = -3.5
"""Encoding to mp3 raises peaks a little."""

_HEAD_S, _TAIL_S = 0.75, 2.0


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was measured of an encoded file.

    Attributes:
        bit_rate: bits per second, mean of the file.
        head_s, tail_s: room tone before the first sound and behind the last.
    """

    codec: str
    sample_rate: int
    channels: int
    bit_rate: int
    duration_s: float
    rms_db: float
    peak_db: float
    noise_floor_db: float
    integrated_lufs: float
    true_peak_db: float
    head_s: float
    tail_s: float


def acx_options(measured: Loudness) -> BookFileOptions:
    """How sound that was measured is written for ACX: mp3, 44.1 kHz, 192 kbit/s, mono."""
    # Room tone is part of the file, and makes its level lower.
    longer = 1 + (_HEAD_S + _TAIL_S) / max(measured.duration_s, 1.0)
    target_db = TARGET_RMS_DB + 10 * math.log10(longer)
    leveling = leveling_to(target_db, measured.rms_db, measured.true_peak_db, _CEILING_DB)
    return BookFileOptions("mp3", SAMPLE_RATE_HZ, MIN_BIT_RATE, leveling, _HEAD_S, _TAIL_S)


def report_file(path: Path) -> FileReport:
    """Decode a file of our own and measure it.

    Raises:
        OSError: it cannot be read.
    """
    import av

    with av.open(str(path)) as file:
        stream: Any = file.streams.audio[0]
        meter = LoudnessMeter(stream.rate)
        for samples in _samples(file, stream):
            meter.add(samples)
        found = meter.result()
        codec = stream.codec_context
        return FileReport(
            codec=codec.name.removesuffix("float"),
            sample_rate=stream.rate,
            channels=codec.channels,
            bit_rate=stream.bit_rate or file.bit_rate,
            duration_s=found.duration_s,
            rms_db=found.rms_db,
            peak_db=found.peak_db,
            noise_floor_db=found.noise_floor_db,
            integrated_lufs=found.integrated_lufs,
            true_peak_db=found.true_peak_db,
            head_s=found.head_s,
            tail_s=found.tail_s,
        )


def _samples(file: Any, stream: Any) -> Iterator[FloatArray]:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
    for frame in file.decode(stream):
        for part in resampler.resample(frame):
            yield part.to_ndarray()[0]


def acx_problems(report: FileReport) -> tuple[str, ...]:
    """What ACX would refuse of a file, a sentence each."""
    return tuple(_problems(report))


def _problems(report: FileReport) -> Iterator[str]:
    if report.codec != "mp3":
        yield f"The file is {report.codec}, not mp3."
    if report.sample_rate != SAMPLE_RATE_HZ:
        yield f"The sample rate is {report.sample_rate:,} Hz, not 44,100 Hz."
    if report.bit_rate < MIN_BIT_RATE:
        yield f"The bit rate is {report.bit_rate / 1_000:.0f} kbit/s; 192 is the least."
    if not MIN_RMS_DB <= report.rms_db <= MAX_RMS_DB:
        yield f"The RMS level is {report.rms_db:.1f} dB; it must be from -23 to -18 dB."
    if report.peak_db > MAX_PEAK_DB:
        yield f"The peak is {report.peak_db:.1f} dB; -3 dB is the highest."
    if report.noise_floor_db > MAX_NOISE_DB:
        yield f"The noise floor is {report.noise_floor_db:.1f} dB; -60 dB is the highest."
    if report.duration_s > MAX_DURATION_S:
        yield f"The file lasts {report.duration_s / 60:.0f} minutes; 120 is the limit."
    if not HEAD_S[0] <= report.head_s <= HEAD_S[1]:
        yield f"The sound begins after {report.head_s:.2f} s; it must be 0.5 to 1 s."
    if not TAIL_S[0] <= report.tail_s <= TAIL_S[1]:
        yield f"The silence at the end lasts {report.tail_s:.2f} s; it must be 1 to 5 s."
