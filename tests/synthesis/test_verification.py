"""Speech that is heard before it is sent: made again, the best kept, and told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from f5serve.asr.word_errors import SpeechChecker
from f5serve.asr_types import Transcript
from f5serve.errors import EngineFailed, F5Error, ModelUnavailable
from f5serve.fallback.tone import Tone
from f5serve.settings import Settings
from f5serve.startup import load
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.synthesis.verification import VerificationPolicy, describe
from f5serve.types import OnDone, SamplingOptions, SpeechRequest, Utterance, Wave
from f5serve.voices.prepare import default_voice
from tests.hearing import speech_recognition

TEXT = "The first sentence is here. And this is the second one. That was all there is."
PLAIN = replace(default_voice(), language="en")


class Mumbler(Tone):
    """Speaks as the tone does, and keeps what it was asked to."""

    def __init__(self) -> None:
        super().__init__(max_text_bytes=40)
        self.asked: list[list[Utterance]] = []

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        self.asked.append(list(utterances))
        return super().generate(utterances, on_done, check, deadline=deadline)


class Dictation:
    """A recogniser that is told what it hears, in order."""

    model = "dictation"

    def __init__(self, *heard: str) -> None:
        self.heard = list(heard)
        self.times = 0

    def supports(self, language: str) -> bool:
        return language == "en"

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        prompt: str = "",
        translate: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        self.times += 1
        return Transcript(self.heard.pop(0), language, 0.9)


def speech(engine: Tone, *heard: str, **gate: float) -> Synthesizer:
    policy = VerificationPolicy(SpeechChecker(Dictation(*heard)), **gate)  # type: ignore[arg-type]
    return Synthesizer(engine, verification=policy)


def request(text: str = TEXT, **more: object) -> SpeechRequest:
    options = SamplingOptions(seed=7)
    return SpeechRequest(text, PLAIN, options, verify=True, **more)  # type: ignore[arg-type]


FIRST = "the first sentence is here"
SECOND = "and this is the second one"
THIRD = "that was all there is"


def test_what_is_understood_is_made_once() -> None:
    engine = Mumbler()
    result = speech(engine, FIRST, SECOND, THIRD).synthesize(request())
    assert len(engine.asked) == 1
    found = result.verification
    assert found is not None
    assert (found.rate, found.attempts, found.passed, found.model) == (0.0, 3, True, "dictation")
    plain = Synthesizer(Mumbler()).synthesize(replace(request(), verify=False))
    assert plain.audio == result.audio
    assert plain.verification is None


def test_only_what_is_not_understood_is_made_again_with_another_seed() -> None:
    engine = Mumbler()
    result = speech(engine, FIRST, "and miss is his wrecked pun", THIRD, SECOND).synthesize(
        request()
    )
    first, again = engine.asked
    assert [row.text for row in again] == ["And this is the second one."]
    assert again[0].seed != first[1].seed
    assert (again[0].voice, again[0].options) == (first[1].voice, first[1].options)
    assert again[0].duration_frames == first[1].duration_frames
    found = result.verification
    assert found is not None
    assert [one.attempts for one in found.utterances] == [1, 2, 1]
    assert found.utterances[1].seed == again[0].seed
    assert found.passed


@pytest.mark.parametrize(
    ("heard", "best"), [("bad bad worse", 0), ("worse bad bad", 1), ("worse bad near", 2)]
)
def test_the_best_is_kept_when_none_is_good(heard: str, best: int) -> None:
    """Of equal ones the first."""
    told = {"bad": "this sat there", "worse": "x", "near": "that was all"}
    engine = Mumbler()
    text = "That was all there is."
    gate = {"max_error_rate": 0.1}
    result = speech(engine, *(told[word] for word in heard.split()), **gate).synthesize(
        request(text)
    )
    rows = [row for (row,) in engine.asked]
    assert len({row.seed for row in rows}) == 3
    (kept,) = engine.generate([rows[best]])
    np.testing.assert_array_equal(result.wave.samples, kept.samples)
    found = result.verification
    assert found is not None
    assert (found.attempts, found.passed, found.utterances[0].seed) == (3, False, rows[best].seed)
    assert found.rate > 0.1


def test_seeds_are_the_same_every_time() -> None:
    engines = [Mumbler(), Mumbler()]
    for engine in engines:
        speech(engine, *["no"] * 9).synthesize(request())
    assert [[row.seed for row in rows] for rows in engines[0].asked] == [
        [row.seed for row in rows] for rows in engines[1].asked
    ]


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_it_is_not_tried_for_ever(tries: int) -> None:
    engine = Mumbler()
    result = speech(engine, *["no"] * 12, tries=tries).synthesize(request())
    assert len(engine.asked) == tries + 1
    assert result.verification is not None
    assert result.verification.attempts == 3 * (tries + 1)


def test_pieces_come_when_they_are_final() -> None:
    """The second is made again: the first may be heard before, the third only after it."""
    said = speech(Mumbler(), FIRST, "no", THIRD, SECOND)
    order: list[int] = []
    pieces: list[Wave] = []
    result = said.synthesize(
        request(), hooks=SynthesisHooks(lambda done, _: order.append(done), pieces.append)
    )
    assert order == [1, 2, 3]
    np.testing.assert_array_equal(
        np.concatenate([piece.samples for piece in pieces]), result.wave.samples
    )


def test_whoever_wants_no_more_is_heeded_while_it_is_heard() -> None:
    engine, stopped = Mumbler(), threading.Event()

    def check() -> None:
        if stopped.is_set():
            raise F5Error("Stop.", code="STOP")

    recogniser = Dictation(FIRST, SECOND, THIRD)
    watch = SynthesisHooks(on_progress=lambda done, total: stopped.set(), check=check)
    with pytest.raises(F5Error, match="Stop"):
        Synthesizer(engine, verification=VerificationPolicy(SpeechChecker(recogniser))).synthesize(
            request(), hooks=watch
        )
    assert recogniser.times == 1


def test_what_is_no_sound_is_not_heard() -> None:
    with pytest.raises(EngineFailed):
        speech(Tone(s_per_byte=0.0)).synthesize(request())


def test_without_a_recogniser_it_is_refused_before_it_is_spoken() -> None:
    engine = Mumbler()
    with pytest.raises(ModelUnavailable) as caught:
        Synthesizer(engine).synthesize(request())
    assert caught.value.code == "RECOGNISER_NOT_INSTALLED"
    assert not engine.asked


@pytest.mark.parametrize("language", ["de", ""])
def test_a_language_it_does_not_know_is_not_gated(language: str) -> None:
    said = speech(Mumbler())
    asked = replace(request("Guten Morgen zusammen."), voice=replace(PLAIN, language=language))
    result = said.synthesize(asked)
    assert result.verification is None
    assert any("dictation" in warning for warning in result.warnings)


def test_an_answer_tells_how_it_went() -> None:
    result = speech(Mumbler(), FIRST, "no", THIRD, SECOND).synthesize(request())
    told = describe(result.verification)
    assert told is not None
    assert (told["wer"], told["attempts"], told["passed"]) == (0.0, 4, True)
    assert [one["attempts"] for one in told["utterances"]] == [1, 2, 1]
    assert describe(None) is None


def test_a_real_recogniser_rejects_a_tone() -> None:
    engine = Mumbler()
    gate = speech_recognition().verification_policy()
    assert gate is not None
    result = Synthesizer(engine, verification=replace(gate, tries=1)).synthesize(
        request("This is no tone, is it?")
    )
    found = result.verification
    assert found is not None
    assert (found.attempts, found.passed) == (2, False)
    assert found.rate > 0.5


@pytest.mark.slow
def test_a_real_recogniser_lets_a_speaker_pass() -> None:
    said = load(Settings(engine="standin", recogniser="tiny.en")).synthesizer
    text = "The weather is lovely this morning. It costs $45 and takes 12 minutes."
    result = said.synthesize(request(text))
    found = result.verification
    assert found is not None
    assert (found.attempts, found.passed) == (len(result.utterances), True)
    assert found.rate < 0.2
