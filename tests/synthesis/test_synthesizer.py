"""The main path, with a tone in the place of a model."""

from __future__ import annotations

import string
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.audio.encode import read_wav
from f5serve.errors import EngineFailed, F5Error, InvalidRequest
from f5serve.fallback.tone import Tone
from f5serve.process import Check
from f5serve.store.scratch import ScratchFile
from f5serve.synthesis.hooks import SynthesisHooks
from f5serve.synthesis.result import SpeechResult
from f5serve.synthesis.synthesizer import RANGES, Synthesizer
from f5serve.types import (
    AudioFormat,
    Engine,
    OnDone,
    SamplingOptions,
    SpeechRequest,
    Utterance,
    Wave,
)
from f5serve.voices.prepare import default_voice

VOICE = default_voice()
LONG = "The river runs past the old mill. Nobody has worked there for years, they say. " * 4


def request(text: str = "Hello there.", **changes: Any) -> SpeechRequest:
    names = SamplingOptions.__slots__
    sampling = {name: changes.pop(name) for name in names if name in changes}
    return SpeechRequest(text, VOICE, SamplingOptions(**sampling), **changes)


class Fixed(Tone):
    """An engine that answers every utterance with the same samples."""

    def __init__(self, samples: Sequence[float]) -> None:
        super().__init__()
        self.samples = np.array(samples, np.float32)

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        return [Wave(self.samples) for _ in utterances]


def test_a_request_comes_back_as_a_file_with_its_story() -> None:
    result = Synthesizer(Tone(), notes=("a note",)).synthesize(request("  Hello\tthere. "))
    assert result.text == "Hello there."
    assert (result.engine, result.model, result.voice) == ("tone", "tone", "default")
    assert result.warnings == ("This is a test tone, not speech.", "a note")
    heard = read_wav(result.audio)
    assert len(heard.samples) == len(result.wave.samples)
    assert result.metrics.audio_s == pytest.approx(len("Hello there.") * 0.06, abs=1e-3)
    assert result.metrics.inference_s > 0


def test_long_text_is_spoken_in_parts_that_overlap_by_the_cross_fade() -> None:
    calls: list[tuple[int, int]] = []
    result = Synthesizer(Tone()).synthesize(
        request(LONG, cross_fade_s=0.2),
        hooks=SynthesisHooks(on_progress=lambda *call: calls.append(call)),
    )
    parts = len(result.utterances)
    assert parts > 1
    assert calls == [(done, parts) for done in range(1, parts + 1)]
    assert " ".join(u.text for u in result.utterances) == LONG.strip()
    lengths = [len(u.text.encode()) * 0.06 for u in result.utterances]
    for (start, after), length in zip(pairwise(result.starts_s), lengths, strict=False):
        assert after - start == pytest.approx(length - 0.2, abs=1e-3)
    assert result.wave.duration_s == pytest.approx(sum(lengths) - 0.2 * (parts - 1), abs=1e-3)


def test_the_same_job_gives_the_same_bytes_and_another_job_another_seed() -> None:
    speech = Synthesizer(Tone())
    first, again = (speech.synthesize(request(), job_id="a") for _ in range(2))
    other = speech.synthesize(request(), job_id="b")
    assert (first.seed, first.audio) == (again.seed, again.audio)
    assert other.seed != first.seed
    assert speech.synthesize(request(seed=7)).seed == 7
    assert speech.synthesize(request(seed=first.seed), job_id="c").audio == first.audio


def test_speed_reaches_the_engine() -> None:
    speech = Synthesizer(Tone())
    slow, fast = (speech.synthesize(request(speed=speed)).wave.duration_s for speed in (0.5, 2.0))
    assert slow == pytest.approx(4 * fast, rel=0.01)


@pytest.mark.parametrize(
    ("format", "magic"), [("wav", b"RIFF"), ("flac", b"fLaC"), ("opus", b"OggS"), ("mp3", b"\xff")]
)
def test_the_format_is_the_one_asked_for(format: Any, magic: bytes) -> None:
    result = Synthesizer(Tone()).synthesize(request(format=format))
    assert result.format == format
    assert result.audio.startswith(magic)


def test_an_unknown_format_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(InvalidRequest, match="xm") as caught:
        Synthesizer(Fixed([])).synthesize(request(format="xm"))
    assert caught.value.code == "UNKNOWN_FORMAT"


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("end", [0, 1], ids=["below", "above"])
def test_an_option_out_of_range_is_named_with_its_value_and_range(name: str, end: int) -> None:
    low_high = RANGES[name]
    value = low_high[end] + (1 if end else -1)
    with pytest.raises(InvalidRequest, match=f"^{name} is {value}") as caught:
        Synthesizer(Tone()).synthesize(request(**{name: value}))
    assert caught.value.code == "BAD_OPTION"
    assert f"{low_high[0]:g} to {low_high[1]}" in caught.value.hint
    # What else is allowed of these depends on the text or the format.
    if name not in ("duration_s", "bit_rate_kbps") and (name != "nfe_step" or end):
        Synthesizer(Tone()).synthesize(
            request("a", **{name: low_high[end]})
        )  # the end itself is allowed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_option_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Synthesizer(Tone()).synthesize(request(speed=value))
    assert caught.value.code == "BAD_OPTION"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "EMPTY_TEXT"),
        (" \n\t ", "EMPTY_TEXT"),
        ("...!", "EMPTY_TEXT"),
        ("x" * 5001, "TEXT_TOO_LONG"),
        ("a \ud800 b", "BAD_UNICODE"),
    ],
)
def test_text_that_cannot_be_spoken_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Synthesizer(Tone()).synthesize(request(text))
    assert caught.value.code == code


def test_characters_the_model_lacks_are_named_with_code_points() -> None:
    speech = Synthesizer(Tone(alphabet=string.printable))
    with pytest.raises(InvalidRequest) as caught:
        speech.synthesize(request("Hi 日本語の文字です!"))
    assert caught.value.code == "TEXT_NOT_SPEAKABLE"
    assert "日 (U+65E5), 本 (U+672C), 語 (U+8A9E), の (U+306E), 文 (U+6587) and 3 more" in str(
        caught.value
    )
    assert "f5serve models list" in caught.value.hint


@pytest.mark.parametrize("samples", [[], [0.1, float("nan")], [float("inf")]])
def test_sound_that_is_none_is_a_failure_of_the_engine(samples: list[float]) -> None:
    with pytest.raises(EngineFailed) as caught:
        Synthesizer(Fixed(samples)).synthesize(request())
    assert caught.value.code == "NOT_FINITE"
    assert caught.value.exit_code == 6


def test_removing_silence_shortens_long_pauses_and_keeps_the_starts_true() -> None:
    tone = 0.3 * np.sin(np.arange(12_000) / 10)
    engine = Fixed([*tone, *np.zeros(96_000), *tone])
    plain = Synthesizer(engine).synthesize(request(LONG, cross_fade_s=0))
    short = Synthesizer(engine).synthesize(request(LONG, cross_fade_s=0, remove_silence=True))
    assert short.wave.duration_s < plain.wave.duration_s - 2
    for start_s in short.starts_s:  # each utterance begins with sound
        begin = round(start_s * 24_000)
        assert np.abs(short.wave.samples[begin : begin + 240]).max() > 0.1


@settings(max_examples=60)
@given(st.text(max_size=400))
def test_any_text_is_spoken_whole_or_refused_by_name(text: str) -> None:
    speech = Synthesizer(Tone(s_per_byte=0.001), max_text_chars=300)
    refused = ""
    try:
        result = speech.synthesize(request(text))
    except F5Error as error:
        refused = error.code
    if refused:
        assert refused in {"EMPTY_TEXT", "TEXT_TOO_LONG", "BAD_UNICODE", "NOT_TEXT"}
        return
    spoken = "".join(utterance.text for utterance in result.utterances)
    assert spoken.replace(" ", "") == result.spoken_text.replace(" ", "")


def test_the_tone_costs_what_it_was_told_to() -> None:
    engine: Engine = Tone(cost_s=0.05)
    result = Synthesizer(engine).synthesize(request(LONG))
    cost_s = 0.05 * len(result.utterances)
    assert cost_s <= result.metrics.inference_s < cost_s + 0.5


def test_a_voice_keeps_its_name() -> None:
    named = replace(request(), voice=replace(VOICE, name="ana"))
    assert Synthesizer(Tone()).synthesize(named).voice == "ana"


def test_what_check_raises_ends_the_work() -> None:
    def give_up() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Synthesizer(Tone()).synthesize(request("Hello."), hooks=SynthesisHooks(check=give_up))


class Backwards(Tone):
    """Finishes the utterances of a call in the order that it is told, as a batch may."""

    def __init__(self, order: Sequence[int] = (), s_per_byte: float = 0.02) -> None:
        super().__init__(s_per_byte=s_per_byte)
        self.order = order
        self.calls: list[list[str]] = []

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        self.calls.append([u.text for u in utterances])
        waves = super().generate(utterances, None, check)
        order = [*dict.fromkeys([i for i in self.order if i < len(waves)]), *range(len(waves))]
        for index in dict.fromkeys(order):
            if on_done is not None:
                on_done(index, waves[index])
        return waves


def drain(stream: Generator[Wave, None, SpeechResult]) -> tuple[list[Wave], SpeechResult]:
    """All pieces, and what comes at the end."""
    pieces: list[Wave] = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


@settings(max_examples=30)
@given(
    st.permutations(range(6)), st.floats(0, 0.4), st.booleans(), st.integers(1, 5), st.booleans()
)
def test_pieces_are_the_speech(
    order: Sequence[int], cross_fade_s: float, quick: bool, length: int, silence: bool
) -> None:
    asked = request(
        LONG[:70] * length, cross_fade_s=cross_fade_s, quick_start=quick, remove_silence=silence
    )
    whole = Synthesizer(Tone(s_per_byte=0.02)).synthesize(asked, "j")
    stream = Synthesizer(Backwards(order)).stream(asked, "j")
    pieces, result = drain(stream)
    assert np.concatenate([p.samples for p in pieces]).tobytes() == whole.wave.samples.tobytes()
    assert result.audio == whole.audio
    assert (result.starts_s, result.seed) == (whole.starts_s, whole.seed)
    assert all(len(piece.samples) for piece in pieces)


def test_a_quick_start_has_a_turn_of_its_own() -> None:
    engine = Backwards()
    result = Synthesizer(engine).synthesize(request(LONG, quick_start=True))
    first, others = engine.calls
    assert [*first, *others] == [u.text for u in result.utterances]
    assert len(first) == 1
    assert len(first[0]) < min(map(len, others))
    assert 0 < result.metrics.first_audio_s < result.metrics.inference_s


def test_a_stream_is_heard_long_before_its_end() -> None:
    heard = threading.Event()

    class Waiting(Tone):
        """Goes on with the third utterance once the first was heard."""

        made = 0

        def _work(self, check: Callable[[], None] | None) -> None:
            self.made += 1
            assert self.made < 3 or heard.wait(60)

    stream = Synthesizer(Waiting()).stream(request(LONG * 3, quick_start=True))
    next(stream)
    heard.set()
    assert sum(1 for _ in stream) > 3


def test_a_stream_that_is_closed_ends_the_work() -> None:
    engine = Backwards()
    threads = threading.active_count()
    stream = Synthesizer(Tone(cost_s=2.0)).stream(request(LONG * 3))
    next(stream)
    began = time.perf_counter()
    stream.close()
    assert time.perf_counter() - began < 15  # of a minute
    assert threading.active_count() == threads
    assert Synthesizer(engine).synthesize(request()).audio


def test_a_stream_raises_what_ends_its_work() -> None:
    stream = Synthesizer(Tone(alphabet="abc")).stream(request("Hi"))
    with pytest.raises(InvalidRequest) as caught:
        next(stream)
    assert caught.value.code == "TEXT_NOT_SPEAKABLE"


class Drawer:
    """Keeps waves by their text."""

    def __init__(self) -> None:
        self.waves: dict[str, Wave] = {}

    def find(self, utterances: Sequence[Utterance], check: Check | None = None) -> set[int]:
        return {i for i, utterance in enumerate(utterances) if utterance.text in self.waves}

    def read(self, utterances: Sequence[Utterance], check: Check | None = None) -> list[Wave]:
        return [self.waves[utterance.text] for utterance in utterances]

    def keep(self, utterance: Utterance, wave: Wave, check: Check | None = None) -> Wave:
        self.waves[utterance.text] = wave
        return wave

    def flush(self, check: Check | None = None) -> None:
        """Nothing is under way."""


@pytest.mark.parametrize("quick", [False, True])
def test_only_what_is_missing_is_spoken_again(quick: bool) -> None:
    text = " ".join(f"This is sentence number {n} of a text that is long." for n in range(12))
    drawer, asked = Drawer(), request(text, quick_start=quick, seed=4)
    whole = Synthesizer(Tone()).synthesize(asked, hooks=SynthesisHooks(checkpoints=drawer))
    texts = list(drawer.waves)
    assert texts == [u.text for u in whole.utterances]
    assert len(texts) > 2
    for gone in (texts[0], texts[-1]):
        del drawer.waves[gone]
    engine = Backwards(s_per_byte=0.06)
    again = Synthesizer(engine).synthesize(asked, hooks=SynthesisHooks(checkpoints=drawer))
    assert again.audio == whole.audio
    assert sorted(text for call in engine.calls for text in call) == sorted([texts[0], texts[-1]])
    assert len(drawer.waves) == len(texts)


@pytest.mark.parametrize("format", ["wav", "flac", "opus", "mp3"])
def test_into_a_file_comes_what_is_said(format: AudioFormat) -> None:
    text = " ".join(f"This is sentence number {n} of a text that is long." for n in range(12))
    asked = request(text, format=format, seed=4)
    whole = Synthesizer(Tone()).synthesize(asked)
    scratch = ScratchFile()
    with scratch.open() as file:
        synthesizer = Synthesizer(Backwards(s_per_byte=0.06))
        result = synthesizer.synthesize_to_file(synthesizer.prepare(asked), file)
    assert scratch.read() == whole.audio
    assert (result.audio, len(result.wave.samples)) == (b"", 0)
    assert result.duration_s == whole.duration_s == whole.wave.duration_s
    assert result.starts_s == whole.starts_s


def test_a_long_text_is_spoken_in_turns() -> None:
    text = " ".join(f"This is sentence number {n} of a text that is very long." for n in range(400))
    engine = Backwards(s_per_byte=0.06)
    asked = request(text, seed=4)
    result = Synthesizer(engine, max_text_chars=100_000).synthesize(asked)
    assert len(engine.calls) > 1
    assert [text for call in engine.calls for text in call] == [u.text for u in result.utterances]
    at_once = Synthesizer(Tone(s_per_byte=0.06), max_text_chars=100_000).synthesize(asked)
    assert at_once.audio == result.audio
