"""Lengths that speech must have: a whole of so many seconds, subtitles that have their time.

A model whose lengths are given (F5-TTS) is given them. One that finds its own is asked again, at
another speed, where the result does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Protocol

from f5serve.audio.join import Join, sound_range
from f5serve.errors import InvalidRequest
from f5serve.process import Check
from f5serve.synthesis.spoken_request import speech_s
from f5serve.text.script import SPEEDS, Part
from f5serve.types import (
    FRAMES_PER_SECOND,
    MAX_DURATION_FRAMES,
    OnDone,
    Utterance,
    Wave,
    samples_to_frames,
    samples_to_s,
)

GUARD_S = 0.05
"""Silence that is left before the next subtitle."""

TOLERANCE = 0.02
"""Part of its length by which an utterance may miss a given one before it is spoken again."""

TRIES = 3

VOCODER_FRAMES = 1
"""Frames that Vocos makes no samples of: n frames are n - 1 hops."""


class Speaker(Protocol):
    """What turns utterances into waves: an engine, or a check between it and the caller."""

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Check | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """As `Engine.generate`."""
        ...


@dataclass(frozen=True, slots=True)
class LengthTarget:
    """How long an utterance may be.

    Attributes:
        seconds: from its first sound to its last if `is_most`, else of the whole wave.
        is_most: whether it may be shorter.
        speeds: least and largest factor of its speed.
    """

    seconds: float
    is_most: bool
    speeds: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Planned:
    """The utterances of each part, and how their waves are joined: one join more than waves."""

    parts: list[list[Utterance]]
    joins: list[Join]

    @property
    def natural_s(self) -> float:
        """Planned seconds of all utterances."""
        return sum(speech_s(one) for part in self.parts for one in part)

    def waves_s(self, duration_s: float) -> float:
        """Seconds that all waves have together where the whole lasts `duration_s`."""
        pauses = sum(join.gap_s or 0.0 for join in self.joins)
        return duration_s - pauses + sum(join.cross_fade_s for join in self.joins)


def fit_duration(
    duration_s: float, planned: Planned, plan: Callable[[float], Planned]
) -> tuple[Planned, dict[int, LengthTarget]]:
    """Share a duration over all utterances, by their spoken lengths.

    Args:
        plan: makes the plan anew with all speeds times a factor.

    Raises:
        InvalidRequest: BAD_OPTION for a duration that no allowed speed reaches.
    """
    speeds = [part[0].options.speed for part in planned.parts]
    low, high = SPEEDS[0] / min(speeds), SPEEDS[1] / max(speeds)
    wanted = planned.waves_s(duration_s)
    factor = planned.natural_s / wanted if wanted > 0 else float("inf")
    if not low <= factor <= high:
        silence = duration_s - wanted
        shortest, longest = (planned.natural_s / at + silence for at in (high, low))
        raise InvalidRequest(
            f"duration_s is {duration_s:g}.",
            code="BAD_OPTION",
            hint=f"This text takes about {shortest:.1f} to {longest:.1f} seconds.",
        )
    planned = plan(factor)
    scale = planned.waves_s(duration_s) / planned.natural_s
    speeds_left = (low / factor, high / factor)
    lengths_s = [speech_s(one) * scale for part in planned.parts for one in part]
    targets = [LengthTarget(length_s, False, speeds_left) for length_s in lengths_s]
    left = iter(lengths_s)
    parts = [[_lasting(one, next(left)) for one in part] for part in planned.parts]
    return Planned(parts, planned.joins), dict(enumerate(targets))


def slots(sources: Sequence[Part], planned: Planned, max_speed: float) -> dict[int, LengthTarget]:
    """The time of each utterance of a subtitle: until the next subtitle begins, or until its own
    end where the file has them overlap."""
    targets: dict[int, LengthTarget] = {}
    index = 0
    for source, following, part in zip_longest(sources, sources[1:], planned.parts):
        if source.start_s is not None and source.end_s is not None:
            end_s = source.end_s
            next_s = None if following is None else following.start_s
            if next_s is not None and next_s >= end_s:
                end_s = next_s - min(GUARD_S, (next_s - source.start_s) / 4)
            fades = planned.joins[index + 1 : index + len(part)]
            slot_s = end_s - source.start_s + sum(join.cross_fade_s for join in fades)
            natural_s = sum(map(speech_s, part)) or 1.0
            for offset, one in enumerate(part):
                share_s = slot_s * speech_s(one) / natural_s
                most = min(max_speed, SPEEDS[1] / one.options.speed)
                targets[index + offset] = LengthTarget(share_s, True, (1.0, max(1.0, most)))
        index += len(part)
    return targets


def _lasting(utterance: Utterance, seconds: float) -> Utterance:
    """An utterance whose wave lasts so long; its speed stays."""
    reference = samples_to_frames(len(utterance.voice.wave.samples))
    frames = round(seconds * FRAMES_PER_SECOND) + VOCODER_FRAMES
    return replace(utterance, duration_frames=min(reference + frames, MAX_DURATION_FRAMES))


def _stretched(utterance: Utterance, scale: float) -> Utterance:
    """An utterance of `scale` times the length; its speed stays."""
    reference = samples_to_frames(len(utterance.voice.wave.samples))
    frames = reference + max(1, round((utterance.duration_frames - reference) * scale))
    return replace(utterance, duration_frames=min(frames, MAX_DURATION_FRAMES))


def _faster(utterance: Utterance, factor: float) -> Utterance:
    speed = min(max(utterance.options.speed * factor, SPEEDS[0]), SPEEDS[1])
    options = replace(utterance.options, speed=speed)
    return replace(_stretched(utterance, 1 / factor), options=options)


@dataclass(slots=True)
class LengthFitter:
    """Speaks utterances through an engine, again at another speed where one misses its length.

    Attributes:
        targets: by `id` of an utterance.
        excess_s: by `id` of an utterance, how much longer it is than it may be; those that fit
            are not in it.
        spoken: by `id` of an utterance, the one that was spoken for it in the end.
    """

    speaker: Speaker
    targets: Mapping[int, LengthTarget]
    excess_s: dict[int, float] = field(default_factory=dict)
    spoken: dict[int, Utterance] = field(default_factory=dict)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Check | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        """As `Engine.generate`."""
        call = _Call(self, utterances, on_done, list(utterances), [1.0] * len(utterances))
        waiting = list(range(len(utterances)))
        for attempt in range(TRIES):
            if waiting:
                waiting = call.speak(waiting, attempt + 1 == TRIES, check, deadline)
        return [call.waves[index] for index in range(len(utterances))]

    def note(self, asked: Utterance, spoken: Utterance, wave: Wave) -> None:
        """Keep what was spoken for an utterance, and by how much it is too long."""
        self.spoken[id(asked)] = spoken
        target = self.targets.get(id(asked))
        if target is not None and target.is_most:
            excess_s = _length_s(wave, target) - target.seconds
            if excess_s > 0:
                self.excess_s[id(asked)] = excess_s


@dataclass(slots=True)
class _Call:
    """One call of `LengthFitter.generate`; lists are by the index of an utterance."""

    fitter: LengthFitter
    asked: Sequence[Utterance]
    on_done: OnDone | None
    rows: list[Utterance]
    factors: list[float]
    waves: dict[int, Wave] = field(default_factory=dict)

    def speak(
        self, batch: Sequence[int], is_last: bool, check: Check | None, deadline: float | None
    ) -> list[int]:
        """One attempt at these; returns those that need another one."""
        again: dict[int, float] = {}

        def done(position: int, wave: Wave) -> None:
            index = batch[position]
            if index in self.waves or index in again:  # heard already, when it was done
                return
            target = self.fitter.targets.get(id(self.asked[index]))
            before = self.factors[index]
            factor = before if target is None else _better_factor(target, wave, before)
            if factor != before and not is_last:
                again[index] = factor
                return
            self.waves[index] = wave
            self.fitter.note(self.asked[index], self.rows[index], wave)
            if self.on_done is not None:
                self.on_done(index, wave)

        rows = [self.rows[index] for index in batch]
        waves = self.fitter.speaker.generate(rows, done, check, deadline=deadline)
        for position, wave in enumerate(waves):
            done(position, wave)
        for index, factor in again.items():
            self.factors[index] = factor
            self.rows[index] = _faster(self.asked[index], factor)
        return list(again)


def _better_factor(target: LengthTarget, wave: Wave, factor: float) -> float:
    """The factor of speed with which the utterance would have its length; the same if it has."""
    miss = _length_s(wave, target) / max(target.seconds, 0.01)
    if miss <= 1.0 if target.is_most else abs(miss - 1.0) <= TOLERANCE:
        return factor
    wanted = factor * miss * (1.0 + TOLERANCE / 2 if target.is_most else 1.0)
    low, high = target.speeds
    return min(max(wanted, low), high)


def _length_s(wave: Wave, target: LengthTarget) -> float:
    start, end = sound_range(wave) if target.is_most else (0, len(wave.samples))
    return samples_to_s(end - start, wave.sample_rate)
