"""G.711: the two laws by which telephony keeps a sample in eight bits (ITU-T G.711, 1988)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from f5serve.types import FloatArray

Law = Literal["ulaw", "alaw"]

PHONE_RATE = 8_000
"""Samples a second on a telephone line."""

_ULAW_BIAS, _ULAW_MAX = 132, 32_635
_ALAW_INVERTED, _POSITIVE = 0x55, 0x80
_FIRST_SEGMENT_BITS = 8
"""Bits of a magnitude in the first segment; each segment behind it has one more."""


def compress(samples: NDArray[np.int16], law: Law) -> NDArray[np.uint8]:
    """Codes [nw] of 16-bit samples [nw]."""
    wide = samples.astype(np.int32)
    if law == "ulaw":
        magnitude = np.minimum(np.abs(wide), _ULAW_MAX) + _ULAW_BIAS
        codes = ~(_segments(magnitude) | np.where(wide < 0, _POSITIVE, 0))
    else:
        magnitude = np.where(wide < 0, ~wide, wide)
        low = magnitude < 1 << _FIRST_SEGMENT_BITS
        codes = np.where(low, magnitude >> 4, _segments(magnitude))
        codes = (codes | np.where(wide < 0, 0, _POSITIVE)) ^ _ALAW_INVERTED
    return (codes & 0xFF).astype(np.uint8)


def _segments(magnitude: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number of the segment, three bits, and place in it, four bits."""
    bits = np.frexp(np.maximum(magnitude, 1))[1]
    segment = np.maximum(bits - _FIRST_SEGMENT_BITS, 0)
    shift = np.maximum(bits, _FIRST_SEGMENT_BITS) - 5
    found: NDArray[np.int32] = (segment << 4) | ((magnitude >> shift) & 0xF)
    return found


def expand(codes: NDArray[np.uint8], law: Law) -> FloatArray:
    """Samples [nw] within -1..1 of codes [nw]."""
    return _levels(law)[codes]


def _levels(law: Law) -> FloatArray:
    """The sample that each of the 256 codes means."""
    codes = np.arange(256, dtype=np.int32)
    codes = ~codes & 0xFF if law == "ulaw" else codes ^ _ALAW_INVERTED
    segment, place = (codes >> 4) & 7, codes & 0xF
    if law == "ulaw":
        magnitude = (((place << 3) + _ULAW_BIAS) << segment) - _ULAW_BIAS
        is_negative = codes & _POSITIVE != 0
    else:
        magnitude = np.where(
            segment == 0, (place << 4) + 8, ((place << 4) + 264) << np.maximum(segment - 1, 0)
        )
        is_negative = codes & _POSITIVE == 0
    signed = np.where(is_negative, -magnitude, magnitude)
    return (signed / 32_768.0).astype(np.float32)
