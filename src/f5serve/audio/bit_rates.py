"""Bit rates of compressed files, by format and sample rate, and their names in libsndfile."""

from __future__ import annotations

from f5serve.errors import InvalidRequest
from f5serve.types import AudioFormat

MIN_BIT_RATE_KBPS, MAX_BIT_RATE_KBPS = 6, 320

_MPEG1_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG25_KBPS = (8, 16, 24, 32, 40, 48, 56, 64)
_OPUS_KBPS = range(MIN_BIT_RATE_KBPS, 257)

_LEAST_COMPRESSION = 0.9999
"""libsndfile refuses 1 for mp3, although it stands for the lowest rate."""


def _rates(format: AudioFormat, sample_rate: int) -> tuple[int, ...] | range:
    """Those of a format at a sample rate, ascending; none for formats without a bit rate."""
    if format == "mp3":
        if sample_rate >= 32_000:
            return _MPEG1_KBPS
        return _MPEG2_KBPS if sample_rate >= 16_000 else _MPEG25_KBPS
    return _OPUS_KBPS if format == "opus" else ()


def check_bit_rate(format: AudioFormat, sample_rate: int, bit_rate_kbps: int) -> None:
    """Refuse a bit rate that a format does not have at a sample rate.

    Raises:
        InvalidRequest: BIT_RATE_NOT_SUPPORTED.
    """
    rates = _rates(format, sample_rate)
    if bit_rate_kbps in rates:
        return
    if not rates:
        takes = f"Leave it out: mp3 and opus have a bit rate, {format} has none."
    elif isinstance(rates, range):
        takes = f"It takes {rates[0]} to {rates[-1]}."
    else:
        takes = f"At {sample_rate} Hz it takes {', '.join(map(str, rates))}."
    raise InvalidRequest(
        f"bit_rate_kbps is {bit_rate_kbps}, which {format} does not have.",
        code="BIT_RATE_NOT_SUPPORTED",
        hint=takes,
    )


def compression_level(format: AudioFormat, sample_rate: int, bit_rate_kbps: int) -> float:
    """libsndfile's name for a bit rate: 0 is the highest, and nearly 1 the lowest."""
    rates = _rates(format, sample_rate)
    level = (rates[-1] - bit_rate_kbps) / (rates[-1] - rates[0])
    return min(level, _LEAST_COMPRESSION)
