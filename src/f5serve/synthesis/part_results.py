"""Results by part: where each is heard, its takes, when marks are reached, what did not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from f5serve.audio.encode import encode
from f5serve.audio.join import Join, Joiner, TrimmedWave, concatenate
from f5serve.errors import InvalidRequest
from f5serve.synthesis.hooks import OutputCollector, check_sound, finish_wave
from f5serve.synthesis.lengths import TOLERANCE, LengthFitter, Speaker
from f5serve.synthesis.result import MarkTime, PartResult, Take
from f5serve.synthesis.speech_plan import PlannedPart, SpeechPlan
from f5serve.synthesis.word_timing import TimingResult
from f5serve.text.plan import derive_seed
from f5serve.types import Utterance, Wave, WordTiming

MAX_TAKES = 10
MAX_TAKE_FILES = 80
"""Takes of all parts together: each is a file of the job."""

MIN_EXCESS_S = 0.02
NAMED = 5
"""How many subtitles that are too long a warning names."""


def check_takes(plan: SpeechPlan, max_text_chars: int) -> None:
    """Refuse more takes than one request may have.

    Raises:
        InvalidRequest: BAD_OPTION.
    """
    takes, count, size = plan.request.takes, len(plan.parts), len(plan.request.text)
    if takes == 1:
        return
    most = min(MAX_TAKES, MAX_TAKE_FILES // count, max_text_chars // max(1, size))
    if takes > most:
        raise InvalidRequest(
            f"takes is {takes}, for {count} parts with {size:,} characters.",
            code="BAD_OPTION",
            hint=f"This script may have {most} takes at most."
            if most > 1
            else "Send fewer parts at once to have several takes of each.",
        )


@dataclass(frozen=True, slots=True)
class _Takes:
    """More takes of the parts of one request."""

    plan: SpeechPlan
    collector: OutputCollector

    def make(self, speaker: Speaker) -> list[tuple[Take, ...]]:
        """All takes of each part, the one of the whole first."""
        plan, hooks = self.plan, self.collector.hooks
        found = [[self._take(part, part.seed, self.collector.kept)] for part in plan.parts]
        for number in range(2, plan.request.takes + 1):
            seeds = [derive_seed(str(part.seed), "take", number) for part in plan.parts]
            rows = list(self._rows(seeds))
            waves = speaker.generate(rows, None, hooks.check, deadline=hooks.deadline)
            for row, wave in zip(rows, waves, strict=True):
                check_sound(row, wave)
            ready = {i: finish_wave(plan, i, wave) for i, wave in enumerate(waves)}
            for takes, part, seed in zip(found, plan.parts, seeds, strict=True):
                takes.append(self._take(part, seed, ready))
        return [tuple(takes) for takes in found]

    def _rows(self, seeds: Sequence[int]) -> Iterator[Utterance]:
        for part, seed in zip(self.plan.parts, seeds, strict=True):
            for number, index in enumerate(part.indices):
                utterance = self.plan.utterances[index]
                yield replace(utterance, seed=derive_seed(str(seed), number))

    def _take(self, part: PlannedPart, seed: int, waves: Mapping[int, Wave]) -> Take:
        inner = self.plan.joins[part.first + 1 : part.first + part.count]
        joiner = Joiner([Join(), *inner, Join()])
        pieces = [
            piece for index in part.indices for piece in joiner.add(TrimmedWave(waves[index]))
        ]
        wave = concatenate([*pieces, *joiner.end()])
        request = self.plan.request
        return Take(seed, encode(wave, request.format, request.sample_rate), wave.duration_s)


def part_results(
    plan: SpeechPlan,
    collector: OutputCollector,
    speaker: Speaker,
) -> tuple[PartResult, ...]:
    """The parts of a script, with their takes; none for a text that is neither.

    Raises:
        EngineFailed: as `Engine.generate`, for more takes.
    """
    if not plan.is_script and plan.request.takes == 1:
        return ()
    takes = (
        _Takes(plan, collector).make(speaker) if plan.request.takes > 1 else [()] * len(plan.parts)
    )
    sounds_s = collector.sounds_s
    return tuple(
        PartResult(
            text=part.spoken.written,
            voice=part.part.voice.name,
            style=part.part.voice.style,
            speed=part.speed,
            seed=part.seed,
            span=part.part.source.text.source_span(0, len(part.part.source.text.text)),
            pause_s=part.part.source.pause_s,
            start_s=sounds_s[part.first][0],
            end_s=sounds_s[part.indices[-1]][1],
            takes=made,
        )
        for part, made in zip(plan.parts, takes, strict=True)
    )


def mark_times(
    plan: SpeechPlan, collector: OutputCollector, timed: TimingResult
) -> tuple[MarkTime, ...]:
    """When the marks of a script are reached: with the word that follows each."""
    words = timed.alignment.words
    ends = list(accumulate(timed.counts)) or [0] * len(plan.utterances)
    return tuple(
        MarkTime(mark.name, _reached_s(plan, collector, part, chars, words, ends))
        for part in plan.parts
        for mark, chars in zip(part.part.source.marks, part.part.mark_chars, strict=True)
    )


def _reached_s(  # noqa: PLR0913 - one place in all that is known
    plan: SpeechPlan,
    collector: OutputCollector,
    part: PlannedPart,
    chars: int,
    words: Sequence[WordTiming],
    ends: Sequence[int],
) -> float | None:
    """When the word behind this many characters of a part begins; None if that is not known."""
    for index in part.indices:
        utterance = plan.utterances[index]
        size = _size(utterance.written or utterance.text)
        if chars >= size:
            chars -= size
            continue
        if chars == 0:
            return collector.sounds_s[index][0]
        for word in words[ends[index - 1] if index else 0 : ends[index]]:
            if chars <= 0:
                return word.start_s
            chars -= _size(word.word)
        return None
    return collector.sounds_s[part.indices[-1]][1]


def _size(text: str) -> int:
    """Characters without spaces: together, the words of an utterance have all of them."""
    return len("".join(text.split()))


def length_warnings(
    plan: SpeechPlan, fitter: LengthFitter | None, duration_s: float
) -> Iterator[str]:
    """Sentences on subtitles that are too long, and on a duration that was missed."""
    wanted = plan.request.duration_s
    if wanted is not None and abs(duration_s - wanted) > TOLERANCE * wanted:
        yield f"The speech lasts {duration_s:.2f} s, not {wanted:g} s as duration_s asks."
    if fitter is None or not fitter.excess_s:
        return
    long = {}
    for number, part in enumerate(plan.parts, 1):
        ids = [id(plan.utterances[index]) for index in part.indices]
        excess_s = sum(fitter.excess_s.get(one, 0.0) for one in ids)
        if excess_s >= MIN_EXCESS_S:
            long[number] = excess_s
    if not long:
        return
    named = ", ".join(f"{number} by {over:.2f} s" for number, over in [*long.items()][:NAMED])
    more = f" and {len(long) - NAMED} more" if len(long) > NAMED else ""
    yield (
        f"{len(long)} of {len(plan.parts)} subtitles are too long for their time, even"
        f" {plan.request.max_speed:g} times as fast: {named}{more}."
    )
