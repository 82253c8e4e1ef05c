"""Scripts and subtitles in the main path: when each part is heard, how loud, how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from f5serve.audio.edit import rms
from f5serve.fallback.tone import Tone
from f5serve.synthesis.result import SpeechResult
from f5serve.synthesis.script_request import CastVoice, cast_script
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.text.mapped_text import MappedText
from f5serve.text.script import Mark, Part, Script
from f5serve.text.script_parser import parse_script
from f5serve.types import (
    HOP_LENGTH,
    OnDone,
    SpeechRequest,
    Utterance,
    Voice,
    Wave,
    samples_to_frames,
)
from f5serve.voices.prepare import default_voice, make_voice
from tests.sounds import sounds

MAIN = default_voice()


def voice(name: str, gain: float) -> Voice:
    return make_voice(name, Wave(MAIN.wave.samples * np.float32(gain)), MAIN.ref_text, "en")


class Company:
    """A cast of voices by name."""

    def __init__(self, voices: Mapping[str, Voice]) -> None:
        self._voices = {"": MAIN, **voices}

    def styles(self, name: str) -> frozenset[str] | None:
        return frozenset() if name in self._voices else None

    def similar(self, name: str) -> Sequence[str]:
        return ()

    def load(self, name: str, style: str) -> CastVoice:
        return CastVoice(self._voices[name])


class ClonedTone(Tone):
    """A tone as long as it is asked to be, and as loud as the voice: an engine like F5-TTS."""

    clones_voice = True

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        waves = []
        for index, one in enumerate(utterances):
            frames = one.duration_frames - samples_to_frames(len(one.voice.wave.samples)) - 1
            phase = np.arange(frames * HOP_LENGTH) * (2 * np.pi * 220 / 24_000)
            level = rms(one.voice.wave) * np.sqrt(2)
            waves.append(Wave((level * np.sin(phase)).astype(np.float32)))
            if on_done is not None:
                on_done(index, waves[-1])
        return waves


def speak(
    script: Script | str,
    engine: Tone | None = None,
    voices: Mapping[str, Voice] | None = None,
    **changes: Any,
) -> SpeechResult:
    company = Company(voices or {})
    if isinstance(script, str):
        found = parse_script(script, company)
        assert found is not None
        script = found
    cast = cast_script(script, company)
    request = SpeechRequest("", MAIN, **changes)
    return Synthesizer(engine or Tone()).synthesize(request, script=cast.parts)


def cue(text: str, start_s: float, end_s: float) -> Part:
    return Part(MappedText.of(text), start_s=start_s, end_s=end_s)


def test_every_subtitle_begins_at_its_time_and_the_end_is_that_of_the_last() -> None:
    cues = [
        cue("One two.", 0.0, 1.0),
        cue("Three four five six seven eight nine ten eleven.", 2.5, 4.0),
        cue("Twelve.", 4.75, 6.0),
        cue("Thirteen.", 8.0, 12.5),
    ]
    for engine in (Tone(), ClonedTone()):
        result = speak(Script(tuple(cues)), engine, max_speed=2.0)
        assert result.duration_s == pytest.approx(12.5, abs=0.001)
        heard = sounds(result.wave.samples)
        assert len(heard) == len(cues)
        for (start, end), one, part in zip(heard, cues, result.parts, strict=True):
            assert start == pytest.approx(one.start_s, abs=0.02)
            assert (part.start_s, part.end_s) == pytest.approx((start, end), abs=0.02)
        assert heard[1][1] < 4.75
        assert not any("too long" in warning for warning in result.warnings)
        assert result.script == ""


def test_what_no_speed_makes_fit_is_named_and_loses_no_word() -> None:
    long = "This is far too long for the short time that it has, whatever one does. "
    cues = [cue("One.", 0.0, 1.0), cue(long, 1.0, 1.5), cue("Two.", 2.0, 3.0)]
    result = speak(Script(tuple(cues)), max_speed=1.5)
    (warning,) = [one for one in result.warnings if "too long" in one]
    assert "1 of 3 subtitles are too long" in warning
    assert "2 by " in warning
    assert result.duration_s == pytest.approx(3.0, abs=0.001)
    samples = result.wave.samples
    assert np.abs(samples[round(1.99 * 24_000) :]).max() > 0.35  # both are heard at once
    assert result.parts[1].end_s > result.parts[2].start_s


def test_subtitles_that_overlap_in_the_file_overlap_in_the_sound() -> None:
    cues = [cue("One two three four five.", 0.0, 2.0), cue("Six.", 1.0, 2.0)]
    result = speak(Script(tuple(cues)))
    assert result.parts[0].end_s > 1.2
    assert result.parts[1].start_s == pytest.approx(1.0, abs=0.02)
    assert not any("too long" in warning for warning in result.warnings)


def test_an_engine_with_given_lengths_meets_a_duration_to_the_frame() -> None:
    text = "This is a sentence of some length, for a start. " * 12
    for fields in ({}, {"cross_fade_s": 0.0}):
        result = speak(f"[voice:main] {text}", ClonedTone(), duration_s=33.0, **fields)
        assert len(result.utterances) > 2
        assert result.duration_s == pytest.approx(33.0, abs=0.006 * len(result.utterances))
        rates = [
            len(one.text) / (one.duration_frames - samples_to_frames(len(MAIN.wave.samples)))
            for one in result.utterances
        ]
        assert max(rates) < 1.25 * min(rates)  # shared by length


def test_loudness_of_voices_is_evened_and_the_voice_of_the_request_stays_as_it_is() -> None:
    voices = {"quiet": voice("quiet", 0.2), "loud": voice("loud", 1.6)}
    text = "Hello there. [pause:1s] [quiet] Hello there. [pause:1s] [loud] Hello there."
    result = speak(text, ClonedTone(), voices)
    rate = 24_000
    parts = [
        result.wave.samples[round((p.start_s + 0.05) * rate) : round((p.end_s - 0.05) * rate)]
        for p in result.parts
    ]
    levels = [rms(Wave(part)) for part in parts]
    assert levels == pytest.approx([levels[0]] * 3, rel=0.02)
    alone = speak("[pause:1ms] Hello there.", ClonedTone())
    assert rms(alone.wave) == pytest.approx(levels[0], rel=0.05)
    assert float(np.abs(result.wave.samples).max()) <= 1.0


def test_voices_never_fade_into_one_another_and_one_voice_does() -> None:
    voices = {"bob": voice("bob", 0.7)}
    result = speak("Hello there. [bob] Hello there. [speed:2] Again.", Tone(), voices)
    first, second, third = result.starts_s
    assert second == pytest.approx(12 * 0.06, abs=0.001)
    assert third == pytest.approx(second + 12 * 0.06 - 0.15, abs=0.001)
    assert first == 0.0


def test_voices_of_a_script_are_spoken_in_one_batch() -> None:
    class Counting(Tone):
        batches: list[list[str]] = []  # noqa: RUF012 - of this test alone

        def generate(self, utterances: Sequence[Utterance], *args: Any, **more: Any) -> list[Wave]:
            self.batches.append([one.voice.name for one in utterances])
            return super().generate(utterances, *args, **more)

    engine = Counting()
    speak("Hi. [bob] Hi. [pause:1s] [main] Bye.", engine, {"bob": voice("bob", 0.7)}, takes=2)
    assert engine.batches == [["default", "bob", "default"]] * 2


def test_marks_are_reached_with_the_word_that_follows() -> None:
    text = "One two three. Four five."
    marks = (Mark("start", 0), Mark("three", 8), Mark("four", 15), Mark("end", len(text)))
    script = Script((Part(MappedText.of(text), marks=marks, pause_s=0.5), Part(MappedText.of("x"))))
    result = speak(script)
    times = {mark.name: mark.time_s for mark in result.marks}
    words = {word.word: word.start_s for word in result.timings.words}
    assert times["start"] == pytest.approx(0.0)
    assert times["three"] == pytest.approx(words["three."])
    assert times["four"] == pytest.approx(words["Four"])
    assert times["end"] == pytest.approx(result.parts[0].end_s)


def test_a_verified_dub_tells_of_what_was_spoken_in_the_end() -> None:
    cues = (cue("One two three four.", 0.0, 0.5), cue("Five.", 0.9, 2.0))
    result = speak(Script(cues), max_speed=2.0)
    assert result.parts[0].speed == 1.0
    assert result.parts[0].end_s < 0.9
    again = speak(Script(cues), max_speed=2.0)
    assert again.wave.samples.tobytes() == result.wave.samples.tobytes()


def test_quick_start_is_for_the_first_part_alone() -> None:
    text = "One two three four five six seven eight nine ten. " * 3
    result = speak(f"[voice:main] {text} [pause:1s] {text}", quick_start=True)
    first, second = (len(range(*_range(result, number))) for number in (0, 1))
    assert first == second + 1
    assert replace(result.parts[0], takes=()) == result.parts[0]


def _range(result: SpeechResult, number: int) -> tuple[int, int]:
    """The utterances of a part: those that begin between its start and its end."""
    part = result.parts[number]
    inside = [
        index
        for index, start in enumerate(result.starts_s)
        if part.start_s - 0.1 <= start < part.end_s
    ]
    return inside[0], inside[-1] + 1
