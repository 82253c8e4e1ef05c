"""Measures the loudness of long sound while it is made.

Loudness is that of ITU-R BS.1770-4 and EBU R 128, for mono. What is kept of a stretch of sound is a
number for each 0.1 s, so the loudness of a book is known from its chapters without hearing them
again. The sound itself passes by, a second at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from f5serve.audio.filters import FilterChain, pieces
from f5serve.types import SAMPLE_RATE, FloatArray

LOWEST_DB = -120.0
"""What silence is reported as."""

_STEP_S = 0.1
_BLOCK_STEPS = 4
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
_OFFSET_LUFS = -0.691
_FILTER_RATE = 48_000
_PRE_FILTER = (
    "b0=1.53512485958697:b1=-2.69169619938640:b2=1.19839281085285"
    ":a0=1:a1=-1.69065929318241:a2=0.73248077421585"
)
_RLB_FILTER = "b0=1:b1=-2:b2=1:a0=1:a1=-1.99004745483398:a2=0.99007225036621"
"""The two filters of K-weighting at 48 kHz, as BS.1770 lists them."""

OVERSAMPLING = 4
"""Of the sample rate, to find peaks between samples."""

_NOISE_STEPS = 5
"""The noise floor is the level of the quietest half second."""

_SOUND_DB = -50.0

FloatRow = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Loudness:
    """What was measured of sound.

    Attributes:
        weighted: mean square of each 0.1 s after K-weighting: [ns].
        powers: the same before it: [ns]. A rest shorter than 0.1 s at the end is in neither.
        square_sum: of all samples.
        samples: their number.
        peak: highest sample, 0..1 and beyond.
        true_peak: highest value between samples too, by four times the sample rate.
        head_s, tail_s: room tone before the first sound and behind the last, in steps of 0.01 s;
            the whole where there is no sound.
    """

    weighted: FloatRow
    powers: FloatRow
    square_sum: float
    samples: int
    sample_rate: int
    peak: float
    true_peak: float
    head_s: float
    tail_s: float

    @property
    def duration_s(self) -> float:
        return self.samples / self.sample_rate

    @property
    def integrated_lufs(self) -> float:
        """Loudness of the whole, gated; `LOWEST_DB` for silence."""
        return integrated_lufs(self.weighted)

    @property
    def rms_db(self) -> float:
        return _power_db(self.square_sum / max(1, self.samples))

    @property
    def peak_db(self) -> float:
        return _power_db(self.peak**2)

    @property
    def true_peak_db(self) -> float:
        return _power_db(self.true_peak**2)

    @property
    def noise_floor_db(self) -> float:
        """Level of the quietest half second."""
        if len(self.powers) < _NOISE_STEPS:
            return self.rms_db
        sums = np.convolve(self.powers, np.full(_NOISE_STEPS, 1 / _NOISE_STEPS), "valid")
        return _power_db(float(sums.min()))


def combine(parts: Iterable[Loudness]) -> Loudness:
    """The loudness of sounds one behind the other, of one sample rate; at least one."""
    found = list(parts)
    return Loudness(
        np.concatenate([part.weighted for part in found]),
        np.concatenate([part.powers for part in found]),
        sum(part.square_sum for part in found),
        sum(part.samples for part in found),
        found[0].sample_rate,
        max(part.peak for part in found),
        max(part.true_peak for part in found),
        found[0].head_s,
        found[-1].tail_s,
    )


def integrated_lufs(weighted: FloatRow) -> float:
    """Gated loudness of mean squares of 0.1 s each: blocks of 0.4 s, of which three overlap."""
    if len(weighted) < _BLOCK_STEPS:
        blocks = weighted
    else:
        blocks = np.convolve(weighted, np.full(_BLOCK_STEPS, 1 / _BLOCK_STEPS), "valid")
    loud = blocks[_lufs(blocks) > _ABSOLUTE_GATE_LUFS]
    if not len(loud):
        return LOWEST_DB
    gate = _lufs(np.mean(loud, keepdims=True))[0] + _RELATIVE_GATE_LU
    return float(_lufs(np.mean(loud[_lufs(loud) > gate], keepdims=True))[0])


def _lufs(powers: FloatRow) -> FloatRow:
    return np.asarray(_OFFSET_LUFS + 10 * np.log10(np.maximum(powers, 1e-15)))


def _power_db(power: float) -> float:
    return max(LOWEST_DB, 10 * float(np.log10(max(power, 1e-15))))


class LoudnessMeter:
    """Measures sound piece by piece; how it is cut into pieces changes nothing.

    Args:
        sample_rate: Hz, a multiple of 100.
    """

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        import soxr

        self._sample_rate = sample_rate
        chain = [("aresample", str(_FILTER_RATE))] if sample_rate != _FILTER_RATE else []
        chain += [("biquad", f"{_PRE_FILTER}:r=f64"), ("biquad", f"{_RLB_FILTER}:r=f64")]
        self._filters = FilterChain(chain, sample_rate)
        self._oversampled = soxr.ResampleStream(
            sample_rate, OVERSAMPLING * sample_rate, 1, dtype="float32", quality="HQ"
        )
        self._weighted = _Powers(_FILTER_RATE)
        self._powers = _Powers(sample_rate)
        self._square_sum = 0.0
        self._samples = 0
        self._peak = self._true_peak = 0.0
        self._edges = _Edges(sample_rate)

    def add(self, samples: FloatArray) -> None:
        """The next samples [nw]."""
        for piece in pieces(samples, self._sample_rate):
            self._weighted.add(self._filters.add(piece))
            self._powers.add(piece)
            self._edges.add(piece)
            self._square_sum += float(np.sum(np.square(piece, dtype=np.float64)))
            self._samples += len(piece)
            self._peak = _higher(self._peak, piece)
            oversampled = self._oversampled.resample_chunk(piece)
            self._true_peak = _higher(self._true_peak, oversampled)

    def result(self) -> Loudness:
        """What was measured, once everything was added."""
        self._weighted.add(self._filters.end())
        rest = self._oversampled.resample_chunk(np.zeros(0, np.float32), last=True)
        head_s, tail_s = self._edges.result()
        return Loudness(
            self._weighted.result(),
            self._powers.result(),
            self._square_sum,
            self._samples,
            self._sample_rate,
            self._peak,
            max(self._peak, _higher(self._true_peak, rest)),
            head_s,
            tail_s,
        )


def _higher(peak: float, samples: FloatArray) -> float:
    return max(peak, float(np.max(np.abs(samples)))) if len(samples) else peak


class _Powers:
    """Mean squares of each 0.1 s."""

    def __init__(self, sample_rate: int) -> None:
        self._step = round(_STEP_S * sample_rate)
        self._rest = np.zeros(0, np.float32)
        self._found: list[FloatRow] = []

    def add(self, samples: FloatArray) -> None:
        whole = np.concatenate([self._rest, samples])
        count = len(whole) // self._step
        rows = whole[: count * self._step].reshape(count, self._step)
        self._found.append(np.mean(np.square(rows, dtype=np.float64), axis=1))
        self._rest = whole[count * self._step :]

    def result(self) -> FloatRow:
        return np.concatenate([np.zeros(0), *self._found])


class _Edges:
    """Where the first and the last sound is, in windows of 0.01 s."""

    def __init__(self, sample_rate: int) -> None:
        self._window = sample_rate // 100
        self._rest = np.zeros(0, np.float32)
        self._count = 0
        self._first = self._last = -1

    def add(self, samples: FloatArray) -> None:
        whole = np.concatenate([self._rest, samples])
        count = len(whole) // self._window
        rows = whole[: count * self._window].reshape(count, self._window)
        powers = np.mean(np.square(rows, dtype=np.float64), axis=1)
        loud = np.flatnonzero(powers > 10 ** (_SOUND_DB / 10))
        if len(loud):
            self._first = self._count + int(loud[0]) if self._first < 0 else self._first
            self._last = self._count + int(loud[-1])
        self._count += count
        self._rest = whole[count * self._window :]

    def result(self) -> tuple[float, float]:
        first = self._count if self._first < 0 else self._first
        return first / 100, (self._count - 1 - self._last) / 100
