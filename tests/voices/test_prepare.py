"""A voice's words are those of its audio, or there is no voice."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.errors import BadAudio, F5Error, InvalidRequest
from f5serve.types import Voice, Wave
from f5serve.voices.prepare import clean_ref_text, default_voice, make_voice, prepare_voice

DATA = Path(__file__).parents[1] / "data"
TEXTS = {
    "0870": "And Mr. John Dashwood had then leisure to consider how much there might be prudently"
    " in his power to do for them.",
    "0880": "He was not an ill-disposed young man.",
    "0890": "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
}


def clip(name: str) -> bytes:
    return (DATA / f"librivox-{name}.wav").read_bytes()


def speech(name: str) -> NDArray[np.float32]:
    """A clip without its silent edges, 16 kHz."""
    samples, _ = soundfile.read(io.BytesIO(clip(name)), dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return np.asarray(samples[loud[0] : loud[-1]])


def recording(names: list[str], pause_s: float) -> bytes:
    """Clips one after another, with `pause_s` of silence between."""
    gap = np.zeros(round(pause_s * 16_000), np.float32)
    parts = [part for name in names for part in (speech(name), gap)]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts[:-1]), 16_000, format="WAV")
    return file.getvalue()


def refusal(data: bytes, ref_text: str) -> F5Error:
    with pytest.raises(F5Error) as caught:
        prepare_voice("v", data, ref_text)
    assert caught.value.hint
    return caught.value


def test_a_clip_becomes_a_voice() -> None:
    voice = prepare_voice("jane", clip("0870"), "  " + TEXTS["0870"] + "\n", "en").voice
    assert (voice.name, voice.language, voice.ref_text) == ("jane", "en", TEXTS["0870"])
    assert voice.wave.sample_rate == 24_000
    assert 6.5 < voice.wave.duration_s <= 7.1
    assert len(voice.revision) == 64


def test_stored_and_prepared_again_it_is_the_same_voice() -> None:
    voice = prepare_voice("v", clip("0890"), TEXTS["0890"]).voice
    again = prepare_voice("v", encode(voice.wave, "wav"), voice.ref_text).voice
    assert again.revision == voice.revision
    np.testing.assert_array_equal(again.wave.samples, voice.wave.samples)


def test_revision_is_of_sound_and_words() -> None:
    voice = prepare_voice("v", clip("0880"), TEXTS["0880"]).voice
    assert (
        prepare_voice("other", clip("0880"), TEXTS["0880"], "en").voice.revision == voice.revision
    )
    assert make_voice("v", voice.wave, "Other words.").revision != voice.revision
    assert prepare_voice("v", clip("0890"), TEXTS["0880"]).voice.revision != voice.revision


def test_the_default_voice_is_made_from_its_source() -> None:
    default = default_voice()
    made = prepare_voice("default", clip("0890"), TEXTS["0890"], "en").voice
    assert default.revision == made.revision
    assert (default.name, default.language, default.ref_text) == ("default", "en", TEXTS["0890"])
    assert 4 < default.wave.duration_s < 7


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Hello there", "Hello there."),
        ("Hello there.", "Hello there."),
        ("Hello there. ", "Hello there."),
        ("Is it?", "Is it?"),
        ("“Is it?”", "“Is it?”"),
        ("Well, then,", "Well, then."),
        ("Well —", "Well."),
        ("你好", "你好。"),
        ("你好，", "你好。"),
        ("你好。", "你好。"),
        ("नमस्ते।", "नमस्ते।"),
    ],
)
def test_words_end_with_punctuation(given: str, kept: str) -> None:
    assert clean_ref_text(given) == kept


@pytest.mark.parametrize("ref_text", ["", " \n", "...", "\u200b"])
def test_words_are_required(ref_text: str) -> None:
    error = refusal(clip("0880"), ref_text)
    assert isinstance(error, InvalidRequest)
    assert error.code == "REF_TEXT_REQUIRED"


def tone_file(seconds: float, level: float = 0.3) -> bytes:
    time_s = np.arange(round(seconds * 24_000)) / 24_000
    file = io.BytesIO()
    soundfile.write(file, level * np.sin(1380 * time_s), 24_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (tone_file(0.9), "AUDIO_TOO_SHORT"),
        (tone_file(5, level=0.0), "AUDIO_SILENT"),
        (tone_file(5, level=0.0005), "AUDIO_SILENT"),
        (tone_file(0.005), "AUDIO_SILENT"),
        (tone_file(61), "AUDIO_TOO_LONG"),
        (b"", "AUDIO_EMPTY"),
        (b"<html>", "NOT_AUDIO"),
    ],
)
def test_recordings_that_hold_no_voice(data: bytes, code: str) -> None:
    error = refusal(data, "A few words to go with it.")
    assert isinstance(error, BadAudio)
    assert error.code == code


def steady(kind: str) -> np.ndarray:
    """5 s of what microphones give when nobody speaks."""
    time_s = np.arange(120_000) / 24_000
    noise = np.random.default_rng(0).normal(0, 0.1, len(time_s))
    mains = np.sin(2 * np.pi * 50 * time_s)
    return np.asarray({
        "offset": np.full(len(time_s), 0.3),
        "offset that settles": 0.3 * np.exp(-time_s),
        "hum": 0.2 * mains,
        "hum that swells": 0.2 * mains * (1 + 0.5 * np.sin(3 * time_s)),
        "buzz": sum(0.2 / k * np.sin(2 * np.pi * 60 * k * time_s + k) for k in range(1, 20)),
        "noise": noise,
        "hum and noise": 0.2 * mains + 0.03 * noise,
    }[kind], np.float32)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("offset", "AUDIO_SILENT"),
        *((kind, "AUDIO_NO_SPEECH") for kind in ("offset that settles", "hum", "hum that swells")),
        *((kind, "AUDIO_NO_SPEECH") for kind in ("buzz", "noise", "hum and noise")),
    ],
)
def test_what_nobody_speaks_in_is_no_voice(kind: str, code: str) -> None:
    data = encode(Wave(steady(kind)), "flac")
    assert refusal(data, "A few words to go with it.").code == code


def test_speech_in_noise_or_beside_zero_is_speech() -> None:
    wave = decode(clip("0870"))
    loud = Wave(wave.samples + np.resize(steady("noise"), len(wave.samples)))
    assert prepare_voice("v", encode(loud, "wav"), TEXTS["0870"]).voice
    aside = prepare_voice(
        "v", encode(Wave(wave.samples + np.float32(0.2)), "wav"), TEXTS["0870"]
    ).voice
    assert 6.5 < aside.wave.duration_s < 7.05  # its silent edges are known
    assert abs(aside.wave.samples.mean()) < 0.01


NOTED = {
    ("HE WAS NOT AN ILL-DISPOSED YOUNG MAN.", "en"): "in capitals",
    ("他不是一个脾气暴躁的年轻人。", "en"): "is in Chinese letters, in which 'en' is not written",
    ("He was not an ill-disposed young man.", "zh-CN"): "is in Latin letters",
    ("Он не был злым молодым человеком.", "en"): "is in Cyrillic letters",
    ("Not ill.", "en"): "letters for each second of the recording",
    (8 * "He was not ill. ", "en"): "letters for each second of the recording",
}


@pytest.mark.parametrize(("text", "language"), NOTED)
def test_an_odd_transcript_is_noted(text: str, language: str) -> None:
    voice = prepare_voice("ana", clip("0880"), text, language).voice
    (note,) = voice.warnings
    assert note.startswith("The transcript of the voice 'ana' ")
    assert NOTED[text, language] in note


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("He was not an ill-disposed young man.", "en"),
        ("He was not an ill-disposed young man.", ""),
        ("He was not an ill-disposed young man.", "tlh"),
        ("WHO and NASA met the UN in Rome on Monday.", "en"),
        ("他不是一个脾气暴躁的年轻人。", "zh"),
        ("かれは きげんの わるい わかものでは なかった。", "ja"),
        ("他不是一个脾气暴躁的年轻人。", ""),
        ("그는 성질이 나쁜 청년이 아니었다.", "ko"),
    ],
)
def test_a_usual_transcript_is_not(text: str, language: str) -> None:
    assert prepare_voice("ana", clip("0880"), text, language).voice.warnings == ()


def test_a_click_is_not_speech() -> None:
    samples = np.zeros(72_000, np.float32)
    samples[10_000:12_000] = samples[60_000:62_000] = 0.5
    file = io.BytesIO()
    soundfile.write(file, samples, 24_000, format="WAV")
    assert refusal(file.getvalue(), "A few words to go with it.").code == "AUDIO_TOO_SHORT"


@pytest.mark.parametrize(("text", "word"), [("Hm.", "slower"), ("many words " * 60, "faster")])
def test_words_of_another_recording(text: str, word: str) -> None:
    error = refusal(clip("0870"), text)
    assert error.code == "REF_TEXT_MISMATCH"
    assert word in error.message


def assert_is_start_of(voice: Voice, data: bytes) -> None:
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert voice.wave.duration_s < len(whole) / 16_000
    assert voice.wave.duration_s <= 12.0


@pytest.mark.parametrize("pause_s", [0.5, 0.8])
def test_sound_and_words_are_cut_together(pause_s: float) -> None:
    data = recording(["0870", "0880", "0890"], pause_s)
    voice = prepare_voice("v", data, " ".join([TEXTS["0870"], TEXTS["0880"], TEXTS["0890"]])).voice
    assert voice.ref_text == TEXTS["0870"] + " " + TEXTS["0880"]
    spoken_s = (len(speech("0870")) + len(speech("0880"))) / 16_000 + pause_s
    assert voice.wave.duration_s == pytest.approx(spoken_s, abs=0.15)
    assert_is_start_of(voice, data)


def test_only_whole_sentences_are_kept() -> None:
    data = recording(["0890", "0870", "0880"], 0.6)
    voice = prepare_voice("v", data, " ".join([TEXTS["0890"], TEXTS["0870"], TEXTS["0880"]])).voice
    assert voice.ref_text in (TEXTS["0890"], TEXTS["0890"] + " " + TEXTS["0870"])
    assert_is_start_of(voice, data)


@pytest.mark.parametrize(
    ("names", "pause_s", "text"),
    [
        pytest.param(["0870", "0880", "0890"], 0.5, TEXTS["0870"], id="words of the first only"),
        pytest.param(
            ["0870", "0880", "0890"],
            0.5,
            f"{TEXTS['0880']} {TEXTS['0870']} {TEXTS['0890']}",
            id="words in another order",
        ),
        pytest.param(
            ["0870", "0880", "0890"],
            0.05,
            f"{TEXTS['0870']} {TEXTS['0880']} {TEXTS['0890']}",
            id="no pause between sentences",
        ),
        pytest.param(
            ["0870", "0880", "0890"],
            0.5,
            " ".join(TEXTS.values()).replace(".", "").replace("Mr", "Mister"),
            id="no punctuation",
        ),
        pytest.param(
            ["0870", "0880", "0890"],
            0.5,
            f"{TEXTS['0870']} {TEXTS['0880']} {TEXTS['0890']} And so on. And on.",
            id="more sentences than were said",
        ),
    ],
)
def test_unclear_cuts_are_refused(names: list[str], pause_s: float, text: str) -> None:
    error = refusal(recording(names, pause_s), text)
    assert error.code == "REFERENCE_TOO_LONG"
    assert "12 s" in error.message
