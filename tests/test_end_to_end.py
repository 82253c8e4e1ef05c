"""A person would understand it: sentences are spoken, heard by Whisper and compared."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from f5serve.audio.encode import read_wav
from f5serve.cli.main import run
from f5serve.fallback.kokoro import median_f0_hz
from f5serve.fallback.phonemes import pronounce
from f5serve.settings import Settings
from f5serve.startup import load
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.types import SamplingOptions, SpeechRequest, Utterance, Wave
from f5serve.voices.prepare import default_voice
from tests.hearing import transcribe, word_error_rate

pytestmark = pytest.mark.slow

GATE = 0.2
"""Share of words that may be heard wrong; Whisper tiny.en errs on human speech as well."""

SENTENCES = (
    "The weather is lovely this morning.",
    "She sold 7 apples at the market.",
    "Some call me nature, others call me mother nature.",
    "The train to London leaves at half past nine.",
    "I would like a cup of coffee with milk.",
    "It costs $45 and takes 12 minutes.",
)
PASSAGE = (
    "the old man lived in a small house near the sea and every morning he walked down to the "
    "water with his dog and looked at the boats and when the sun was high he went back to the "
    "house and made a cup of tea and sat in the garden and read a book until the evening came "
    "and then his daughter brought bread and cheese and they talked about the weather and the "
    "news from the town and what the children had learned at school and after that he slept "
    "well until the birds began to sing because the house was quiet and the bed was warm and he "
    "had nothing to worry about"
)
"""One sentence without a comma: more than the model takes at once."""


@pytest.fixture(scope="module")
def speech() -> Synthesizer:
    return load(Settings(engine="standin")).synthesizer


@cache
def say(speech: Synthesizer, text: str, speed: float = 1.0) -> Wave:
    options = SamplingOptions(speed=speed)
    return speech.synthesize(SpeechRequest(text, default_voice(), options)).wave


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_understood(speech: Synthesizer, sentence: str) -> None:
    heard = transcribe(say(speech, sentence))
    assert word_error_rate(sentence, heard) <= GATE, heard


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_speed_changes_the_length_and_stays_understood(speech: Synthesizer, speed: float) -> None:
    for sentence in (SENTENCES[0], SENTENCES[4]):
        wave = say(speech, sentence, speed)
        usual = say(speech, sentence)
        assert usual.duration_s / wave.duration_s == pytest.approx(speed, rel=0.15)
        heard = transcribe(wave)
        assert word_error_rate(sentence, heard) <= GATE, heard


def test_an_utterance_too_long_for_the_model_loses_no_word(speech: Synthesizer) -> None:
    assert len(pronounce(PASSAGE, longest=10_000)[0].text) > 510
    utterance = Utterance(PASSAGE, default_voice(), 0, 0, SamplingOptions(speed=1.4))
    (wave,) = speech.engine.generate([utterance])
    heard = transcribe(wave)
    assert word_error_rate(PASSAGE, heard) <= GATE, heard


def test_the_command_line_speaks_a_sentence_that_is_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hello.wav"
    sentence = "Hello! This is a test of the speaker."
    assert run(["say", sentence, "--engine", "standin", "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    wave = read_wav(out.read_bytes())
    assert said["duration"] == pytest.approx(wave.duration_s, abs=0.001)
    assert word_error_rate(sentence, transcribe(wave)) <= GATE


def test_the_real_engine_runs_on_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "noise.wav"
    arguments = ["--weights", "random:F5TTS_v1_Small", "--nfe-step", "2", "-o", str(out), "--json"]
    assert run(["say", "Hello.", "--engine", "f5", "--device", "cpu", *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["engine"], said["model"]) == ("f5", "random:F5TTS_v1_Small")
    assert any("noise" in warning for warning in said["warnings"])
    assert read_wav(out.read_bytes()).duration_s > 0.2


def test_a_script_is_understood_part_by_part_in_its_voices(tmp_path: Path) -> None:
    text = (
        "The weather is lovely this morning. [pause:1.5s] [voice:jf_alpha] She sold seven apples"
        " at the market. [pause:0.8s] [main][speed:0.8] I would like a cup of coffee with milk."
    )
    args = ["say", text, "-v", "jm_kumo", "--engine", "standin", "-o", str(tmp_path / "out.wav")]
    script = tmp_path / "parts.json"
    with script.open("w") as file, redirect_stdout(file):
        assert run([*args, "--json"]) == 0
    answer = json.loads(script.read_text())
    wave = read_wav((tmp_path / "out.wav").read_bytes())
    pitches = []
    for part in answer["parts"]:
        at = slice(*(round(part[name] * wave.sample_rate) for name in ("start_time", "end_time")))
        spoken = Wave(wave.samples[at])
        assert word_error_rate(part["text"], transcribe(spoken)) <= GATE, part["text"]
        pitches.append(median_f0_hz(spoken))
    first, second, third = answer["parts"]
    assert second["start_time"] - first["end_time"] == pytest.approx(1.5, abs=0.01)
    assert third["start_time"] - second["end_time"] == pytest.approx(0.8, abs=0.01)
    assert pitches[1] > 1.5 * max(pitches[0], pitches[2])
