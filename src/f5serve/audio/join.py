"""Joins waves: cross-fades, exact pauses, and places in time.

Samples are float32 [nw], times are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from f5serve.audio.edit import keep_ranges, levels_db, speech_threshold_db
from f5serve.types import SAMPLE_RATE, FloatArray, Wave, s_to_samples, samples_to_s

EDGE_WINDOW_S = 0.002
"""Stretch over which the level is measured where sound begins and ends."""

SILENCE_S = 10.0
"""Longest piece of silence: an hour of it would take 345 MB at once."""

EDGE_S = 0.05
"""Quiet sound that is kept at the edges of speech: consonants begin and end below the level."""


@dataclass(frozen=True, slots=True)
class Join:
    """How a wave follows the one before it.

    Attributes:
        cross_fade_s: overlap, faded linearly; never more than either wave lasts.
        gap_s: silence from the last sound of one to the first of the other, whatever silence their
            edges have; None joins them as they are.
        start_s: second of the whole at which its first sound is heard; what still sounds then is
            mixed in.
    """

    cross_fade_s: float = 0.0
    gap_s: float | None = None
    start_s: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the silence at the edges of the waves is to be cut off."""
        return self.gap_s is not None or self.start_s is not None


@dataclass(frozen=True, slots=True, eq=False)
class TrimmedWave:
    """A wave whose edges may be cut.

    Attributes:
        lead, tail: samples of silence, or of quiet sound, that are left before the first sound
            and behind the last.
    """

    wave: Wave
    lead: int = 0
    tail: int = 0


def sound_range(wave: Wave) -> tuple[int, int]:
    """First sample of the sound in a wave, and the one behind its last; (0, 0) for silence."""
    size = max(1, s_to_samples(EDGE_WINDOW_S, wave.sample_rate))
    loud = np.flatnonzero(levels_db(wave, EDGE_WINDOW_S) > max(speech_threshold_db(wave), -90.0))
    if not len(loud):
        return 0, 0
    end = (int(loud[-1]) + 1) * size
    # Less than a window is left behind the last whole one: it counts as what is before it.
    return int(loud[0]) * size, len(wave.samples) if len(wave.samples) - end < size else end


def trim_wave(wave: Wave, before: Join, behind: Join) -> TrimmedWave:
    """The wave without the silence that its joins do not want; the edges that are cut fade."""
    if not (before.is_exact or behind.is_exact):
        return TrimmedWave(wave)
    start, end = sound_range(wave)
    if start == end:
        return TrimmedWave(wave)
    first, last = 0, len(wave.samples)
    if before.is_exact:
        first = max(0, start - _kept(before, wave.sample_rate))
    if behind.is_exact:
        last = min(last, end + _kept(behind, wave.sample_rate))
    lead, tail = (start - first if before.is_exact else 0), (last - end if behind.is_exact else 0)
    cut = keep_ranges(wave, [(first, last)])
    samples = cut.samples.copy()
    if first:
        samples[:lead] *= np.linspace(0.0, 1.0, lead, dtype=np.float32)
    if last < len(wave.samples):
        samples[len(samples) - tail :] *= np.linspace(1.0, 0.0, tail, dtype=np.float32)
    return TrimmedWave(Wave(samples, wave.sample_rate, cut.marks), lead, tail)


def _kept(join: Join, sample_rate: int) -> int:
    """Samples of quiet sound that stay at an edge: at most half of the pause."""
    kept_s = EDGE_S if join.gap_s is None else min(EDGE_S, join.gap_s / 2)
    return s_to_samples(kept_s, sample_rate)


def join(waves: Sequence[Wave], cross_fade_s: float) -> tuple[Wave, tuple[float, ...]]:
    """One wave out of many, each fading linearly into the next, as upstream joins chunks.

    Args:
        waves: at least one, all of one sample rate.
        cross_fade_s: overlap of neighbours, seconds; never more than either of them lasts.

    Returns:
        The whole, and the second at which each wave begins in it.
    """
    rate = waves[0].sample_rate
    joiner = Joiner([Join(), *[Join(cross_fade_s)] * (len(waves) - 1), Join()], rate)
    pieces = [piece for wave in waves for piece in joiner.add(TrimmedWave(wave))] + joiner.end()
    return concatenate(pieces), joiner.starts_s


def concatenate(pieces: Sequence[Wave]) -> Wave:
    """Waves one behind the other; at least one, all of one sample rate."""
    return Wave(np.concatenate([piece.samples for piece in pieces]), pieces[0].sample_rate)


class Joiner:
    """Joins waves that come one by one; its pieces, one behind the other, are the whole.

    Long silence comes in pieces of `SILENCE_S`, which share their samples.

    Args:
        joins: one for each wave, and one for the end: `gap_s` of the last is silence behind all,
            `start_s` the length of the whole, which is cut or filled with silence.
    """

    def __init__(self, joins: Sequence[Join], sample_rate: int = SAMPLE_RATE) -> None:
        self._joins = joins
        self._rate = sample_rate
        self._starts: list[int] = []
        self._sounds: list[tuple[int, int]] = []
        self._done = 0  # samples that were passed on
        self._pending = np.zeros(0, dtype=np.float32)  # what a later wave may still change
        self._tail = 0  # of the last wave

    @property
    def starts_s(self) -> tuple[float, ...]:
        """The second at which each wave that was added begins in the whole."""
        return tuple(samples_to_s(start, self._rate) for start in self._starts)

    @property
    def sounds_s(self) -> tuple[tuple[float, float], ...]:
        """Seconds of the whole from which to which each wave is heard, as far as it was trimmed."""
        return tuple(
            (samples_to_s(a, self._rate), samples_to_s(b, self._rate)) for a, b in self._sounds
        )

    def add(self, trimmed: TrimmedWave) -> list[Wave]:
        """The next wave in; out comes what no later wave can change, at least one piece."""
        samples = trimmed.wave.samples
        if trimmed.wave.sample_rate != self._rate:
            raise ValueError("waves of different sample rates cannot be joined")
        join, behind = self._joins[len(self._starts)], self._joins[len(self._starts) + 1]
        total = self._done + len(self._pending)
        start = self._start(join, trimmed.lead, len(samples), total)
        pieces = self._pass_silence(start - total) if start > total else []
        early = max(0, self._done - start)  # silence before a sound at the very beginning
        at = start + early - self._done
        known = _mix(self._pending, samples[early:], at, is_faded=bool(join.cross_fade_s))
        end = start + len(samples)
        self._starts.append(start)
        self._sounds.append((start + trimmed.lead, end - trimmed.tail))
        self._tail = trimmed.tail
        return [*pieces, self._pass_on(known, self._changeable(behind, self._done + len(known)))]

    def end(self) -> list[Wave]:
        """The rest; nothing may be added any more."""
        last, total = self._joins[-1], self._done + len(self._pending)
        length = total
        if last.gap_s is not None:
            length = total - self._tail + s_to_samples(last.gap_s, self._rate)
        if last.start_s is not None:
            length = s_to_samples(last.start_s, self._rate)
        if length > total:
            return self._pass_silence(length - total)
        return [Wave(self._pending[: max(0, length - self._done)], self._rate)]

    def _pass_silence(self, count: int) -> list[Wave]:
        """What is pending, and so many samples of silence behind it."""
        pieces = [self._pending]
        size = s_to_samples(SILENCE_S, self._rate)
        silence = np.zeros(min(size, count), np.float32)
        pieces += [silence] * (count // size)
        pieces.append(silence[: count % size])
        self._done += len(self._pending) + count
        self._pending = self._pending[:0]
        return [Wave(piece, self._rate) for piece in pieces]

    def _start(self, join: Join, lead: int, length: int, total: int) -> int:
        """Where a wave begins; before what was passed on only where its lead has no room."""
        start = total
        if join.start_s is not None:
            start = s_to_samples(join.start_s, self._rate) - lead
        elif join.gap_s is not None:
            start = total + s_to_samples(join.gap_s, self._rate) - self._tail - lead
        elif join.cross_fade_s:
            wanted = int(join.cross_fade_s * self._rate)
            start = total - min(wanted, len(self._pending), length)
        return max(start, self._done - lead)

    def _changeable(self, behind: Join, total: int) -> int:
        """The first sample of the whole that the next wave, or the end, may change."""
        if behind.start_s is not None:
            return s_to_samples(max(0.0, behind.start_s - EDGE_S), self._rate) - 1
        if behind.gap_s is not None:
            return total - self._tail
        return total - max(0, int(behind.cross_fade_s * self._rate))

    def _pass_on(self, known: FloatArray, changeable: int) -> Wave:
        done, self._pending = np.split(known, [min(max(0, changeable - self._done), len(known))])
        self._done += len(done)
        return Wave(done, self._rate)


def _mix(before: FloatArray, samples: FloatArray, at: int, is_faded: bool) -> FloatArray:
    """`samples` laid over `before` from sample `at` on, which is not behind its end."""
    overlap = min(len(before) - at, len(samples))
    if overlap <= 0:
        return np.concatenate([before, samples])
    still, both, rest = np.split(before, [at, at + overlap])
    fade_out = fade_in = np.ones(overlap)
    if is_faded:
        fade_out, fade_in = np.linspace(1.0, 0.0, overlap), np.linspace(0.0, 1.0, overlap)
    mixed = both * fade_out + samples[:overlap] * fade_in
    return np.concatenate([still, mixed.astype(np.float32), samples[overlap:], rest])
