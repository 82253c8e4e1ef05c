"""Plans a request: its utterances with lengths and seeds, and how their waves are joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from f5serve.audio.edit import rms
from f5serve.audio.join import Join
from f5serve.errors import InvalidRequest
from f5serve.synthesis.lengths import LengthTarget, Planned, fit_duration, slots
from f5serve.synthesis.spoken_request import plan_spoken, request_words
from f5serve.synthesis.unspeakable import left_out_warning, refuse_unspeakable, without_characters
from f5serve.text.lexicon import Lexicon
from f5serve.text.mapped_text import MappedText
from f5serve.text.plan import derive_seed
from f5serve.text.script import Part, print_script
from f5serve.text.spoken import SpokenText
from f5serve.types import Engine, SpeechRequest, Utterance, Voice

MAX_PEAK = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class SpeechPart:
    """A part of a script with its voice.

    Attributes:
        source: as it was parsed.
        text: clean; "" for silence before the first words.
        unnormalized: of `SpeechRequest`, for this voice.
        mark_chars: for each mark of `source` the characters before it as they are written,
            without spaces.
    """

    source: Part
    text: str
    voice: Voice
    lexicon: Lexicon | None = None
    unnormalized: frozenset[str] = frozenset()
    mark_chars: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PlannedPart:
    """A part that can be synthesized.

    Attributes:
        speed, seed: that are used.
        first, count: its utterances in the plan.
    """

    part: SpeechPart
    spoken: SpokenText
    speed: float
    seed: int
    first: int
    count: int

    @property
    def indices(self) -> range:
        """Of its utterances."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True, eq=False)
class SpeechPlan:
    """A request that can be synthesized.

    Attributes:
        request: with clean text.
        parts: one where the request is no script.
        seed: of the request; each utterance has one of its own.
        joins: one for each utterance, and one for the end.
        targets: lengths that utterances must have, by index.
        gains: factor by which the wave of an utterance is made louder, by index.
        is_script: whether the text had tags.
    """

    request: SpeechRequest
    parts: tuple[PlannedPart, ...]
    seed: int
    utterances: Sequence[Utterance]
    joins: Sequence[Join]
    targets: Mapping[int, LengthTarget]
    gains: Mapping[int, float]
    is_script: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def spoken_text(self) -> str:
        """The words that are spoken, for people."""
        return " ".join(part.spoken.shown for part in self.parts)

    @property
    def identity(self) -> dict[str, Any] | None:
        """All of its parts that decides sound and answer; None where the request says it all."""
        request = self.request
        if not self.is_script and request.takes == 1 and request.duration_s is None:
            return None
        return {
            "takes": request.takes,
            "duration_s": request.duration_s,
            "max_speed": request.max_speed,
            "lead_s": self.joins[0].gap_s,
            "parts": [_identity(one.part) for one in self.parts],
        }

    @property
    def languages(self) -> tuple[str, ...]:
        """Of each utterance, ISO 639-1; "" if unknown."""
        return tuple(part.spoken.language for part in self.parts for _ in part.indices)

    @property
    def script(self) -> str:
        """The text with seeds and speeds written in; "" where a tag cannot say it."""
        if any(one.part.source.start_s is not None for one in self.parts):
            return ""
        lead = self.joins[0].gap_s
        before = [] if lead is None else [Part(MappedText.of(""), pause_s=lead)]
        written = [replace(one.part.source, speed=one.speed, seed=one.seed) for one in self.parts]
        return print_script([*before, *written])


def make_plan(  # noqa: PLR0913 - all that decides what is spoken
    request: SpeechRequest,
    engine: Engine,
    job_id: str = "",
    lexicon: Lexicon | None = None,
    notes: tuple[str, ...] = (),
    script: Sequence[SpeechPart] = (),
) -> SpeechPlan:
    """Normalize the text of a request and split it into utterances.

    Args:
        request: with clean text and options in their ranges, see `check_request`.
        job_id: together with the request, decides the seed if none was given.
        lexicon: words that are said in a way of their own, where there is no script.
        notes: what the answer has to say besides.
        script: the parts; where there are any, `request.text` is not read.

    Raises:
        InvalidRequest: TEXT_NOT_SPEAKABLE, BAD_PINYIN, or what the engine says of its options.
    """
    engine.check_options(request.options)
    requests = part_requests(request, lexicon, script)
    if request.skip_unspeakable:
        requests, warnings = _speakable(requests, engine)
        notes += warnings
    else:
        refuse_unspeakable(_spoken(requests), engine)
    text = " ".join(one.spoken.written for one in requests)
    seed = request.options.seed
    if seed is None:  # the same job and request always get the same one
        seed = derive_seed(job_id, text, request.voice.revision)
    silence = script[0].source if script and not script[0].text else None
    layout = _Layout(request, engine, requests, seed, silence.pause_s if silence else None)
    planned, targets = _fit(request, layout)
    utterances = [one for part in planned.parts for one in part]
    firsts = [0, *accumulate(len(part) for part in planned.parts)]
    has_marks = any(one.part.source.marks for one in requests)
    return SpeechPlan(
        request=replace(request, text=text, time_words=request.time_words or has_marks),
        parts=tuple(
            PlannedPart(one.part, one.spoken, one.speed, one.seed(seed), first, behind - first)
            for one, (first, behind) in zip(requests, pairwise(firsts), strict=True)
        ),
        seed=seed,
        utterances=utterances,
        joins=planned.joins,
        targets=targets,
        gains=_gains(request.voice, utterances) if engine.clones_voice else {},
        is_script=bool(script),
        warnings=(*reading_warnings(requests), *notes),
    )


def _fit(request: SpeechRequest, layout: _Layout) -> tuple[Planned, dict[int, LengthTarget]]:
    """The utterances, and the lengths that they must have, by index."""
    planned = layout.plan()
    if request.duration_s is None:
        sources = [one.part.source for one in layout.requests]
        return planned, slots(sources, planned, request.max_speed)
    if request.remove_silence:
        raise InvalidRequest(
            "duration_s and remove_silence were both asked for.",
            code="BAD_OPTION",
            hint="Leave one of them out: without silences the speech would be shorter.",
        )
    return fit_duration(request.duration_s, planned, layout.plan)


def part_requests(
    request: SpeechRequest, lexicon: Lexicon | None, script: Sequence[SpeechPart]
) -> list[PartRequest]:
    """The words of each part; arguments and errors as `make_plan`."""
    parts = [part for part in script if part.text] or [_whole(request, lexicon)]
    return [PartRequest.of(request, part, index) for index, part in enumerate(parts)]


def _spoken(requests: Sequence[PartRequest]) -> str:
    return "".join(one.spoken.mapped.text for one in requests)


def _speakable(
    requests: list[PartRequest], engine: Engine
) -> tuple[list[PartRequest], tuple[str, ...]]:
    """The parts without what the model cannot speak, and what is to be said about that."""
    missing = engine.unspeakable(_spoken(requests))
    if not missing:
        return requests, ()
    found = [
        replace(one, spoken=spoken)
        for one in requests
        if (spoken := without_characters(one.spoken, frozenset(missing))) is not None
    ]
    if not found:
        refuse_unspeakable(_spoken(requests), engine)
    return found, (left_out_warning(missing, engine.model, len(requests) - len(found)),)


def _identity(part: SpeechPart) -> dict[str, Any]:
    source, voice = part.source, part.voice
    return {
        "text": part.text,
        "voice": [source.voice, voice.name, voice.style, voice.revision],
        "how": [source.speed, source.seed, source.pause_s, source.start_s, source.end_s],
        "marks": [
            [mark.name, chars] for mark, chars in zip(source.marks, part.mark_chars, strict=True)
        ],
        "source": [source.text.text, *source.text.source_span(0, len(source.text.text))],
        "unnormalized": sorted(part.unnormalized),
        "lexicon": part.lexicon.revision if part.lexicon and part.lexicon.rules else None,
    }


def _whole(request: SpeechRequest, lexicon: Lexicon | None) -> SpeechPart:
    """The text of a request that is no script."""
    source = Part(MappedText.of(request.text))
    return SpeechPart(source, request.text, request.voice, lexicon, request.unnormalized)


def reading_warnings(requests: Sequence[PartRequest]) -> tuple[str, ...]:
    """What was left as it is although it may be read wrongly, each sentence once."""
    return tuple(dict.fromkeys(note for one in requests for note in one.spoken.warnings))


@dataclass(frozen=True, slots=True, eq=False)
class PartRequest:
    """A part before it has utterances; `request` is the request that it would be alone."""

    part: SpeechPart
    request: SpeechRequest
    spoken: SpokenText
    index: int

    @classmethod
    def of(cls, request: SpeechRequest, part: SpeechPart, index: int) -> PartRequest:
        speed = part.source.speed
        options = request.options if speed is None else replace(request.options, speed=speed)
        alone = replace(
            request,
            text=part.text,
            voice=part.voice,
            options=options,
            unnormalized=part.unnormalized,
            quick_start=request.quick_start and index == 0,
        )
        spoken = request_words(alone, part.lexicon)
        return cls(part, replace(alone, text=spoken.written), spoken, index)

    @property
    def speed(self) -> float:
        return self.request.options.speed

    def seed(self, of_request: int) -> int:
        """Its seed: its own, else one that follows from that of the request."""
        if self.part.source.seed is not None:
            return self.part.source.seed
        return derive_seed(str(of_request), "part", self.index) if self.index else of_request


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """How requests become utterances and joins.

    Attributes:
        lead_s: silence before the first words; None for none.
    """

    request: SpeechRequest
    engine: Engine
    requests: Sequence[PartRequest]
    seed: int
    lead_s: float | None

    def plan(self, factor: float = 1.0) -> Planned:
        """The utterances, with all speeds times `factor`."""
        parts = [self._utterances(one, factor) for one in self.requests]
        return Planned(parts, list(self._joins([len(part) for part in parts])))

    def _utterances(self, asked: PartRequest, factor: float) -> list[Utterance]:
        options = asked.request.options
        if factor != 1.0:
            options = replace(options, speed=options.speed * factor)
        return plan_spoken(
            replace(asked.request, options=options),
            asked.spoken,
            self.engine.max_text_bytes,
            asked.seed(self.seed),
        )

    def _joins(self, counts: Sequence[int]) -> Iterator[Join]:
        fade = Join(self.request.cross_fade_s)
        before: PartRequest | None = None
        for one, count in zip(self.requests, counts, strict=True):
            yield self._join(before, one)
            yield from [fade] * (count - 1)
            before = one
        sources = [one.part.source for one in self.requests]
        ends_s = [source.end_s for source in sources if source.end_s is not None]
        yield Join(gap_s=sources[-1].pause_s, start_s=max(ends_s) if ends_s else None)

    def _join(self, before: PartRequest | None, asked: PartRequest) -> Join:
        """How a part follows the one before it; voices do not fade into one another."""
        pause_s = self.lead_s if before is None else before.part.source.pause_s
        if asked.part.source.start_s is not None:
            return Join(start_s=asked.part.source.start_s)
        if pause_s is not None:
            return Join(gap_s=pause_s)
        is_same = before is not None and _names(before) == _names(asked)
        return Join(self.request.cross_fade_s) if is_same else Join()


def _names(asked: PartRequest) -> tuple[str, str]:
    voice = asked.part.voice
    return voice.name, voice.revision


def _gains(main: Voice, utterances: Sequence[Utterance]) -> dict[int, float]:
    """What brings every voice to the loudness of the request's one, without clipping."""
    voices = {one.voice.revision: one.voice for one in utterances}
    level = rms(main.wave)
    if len(voices) < 2 or not level:
        return {}
    factors = {}
    for revision, voice in voices.items():
        peak = float(np.abs(voice.wave.samples).max())
        own = rms(voice.wave)
        factors[revision] = min(level / own, max(1.0, MAX_PEAK / peak)) if own else 1.0
    return {index: factors[one.voice.revision] for index, one in enumerate(utterances)}
