"""A small real recogniser hears people, machines and nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from f5serve.asr.whisper import ModelFolder, Whisper, find_model
from f5serve.asr.word_errors import SpeechChecker
from f5serve.asr_types import Transcript
from f5serve.audio.decode import decode
from f5serve.errors import ModelUnavailable
from f5serve.types import Wave, WordTiming
from tests.hearing import speech_checker, word_error_rate
from tests.voices.test_prepare import TEXTS, clip


def wave(name: str) -> Wave:
    return decode(clip(name))


def folder() -> ModelFolder:
    found = find_model("auto", Path("nowhere"))
    assert found is not None
    return found


def test_a_person_is_understood() -> None:
    heard = speech_checker().recogniser.transcribe(wave("0890"))
    assert word_error_rate(TEXTS["0890"], heard.text) < 0.1
    assert heard.language == "en"
    assert 0.5 < heard.confidence < 1
    assert heard.words == ()


def test_every_word_has_its_place() -> None:
    sound = wave("0890")
    words = speech_checker().align(sound, TEXTS["0890"])
    assert [word.word for word in words] == TEXTS["0890"].split()
    assert all(a.start_s < a.end_s <= b.start_s + 0.01 for a, b in pairwise(words))
    assert words[0].start_s >= 0
    assert 4.5 < words[-1].end_s <= sound.duration_s


@pytest.mark.parametrize("level", [0.0, 0.0005])
def test_nothing_is_heard_in_silence_and_nothing_loaded(level: float) -> None:
    whisper = Whisper(folder())
    silence = Wave(np.full(48_000, level, np.float32))
    assert whisper.transcribe(silence) == Transcript("", "en", 0.0)
    assert whisper.transcribe(Wave(np.zeros(0, np.float32))) == Transcript("", "en", 0.0)
    assert not whisper.is_loaded


def test_noise_is_no_confident_speech() -> None:
    noise = np.random.default_rng(0).standard_normal(72_000).astype(np.float32)
    heard = speech_checker().recogniser.transcribe(Wave(noise * np.float32(0.1)))
    assert heard.confidence < 0.5
    assert len(heard.text) < 400


def test_it_is_loaded_once_for_all_threads() -> None:
    whisper = Whisper(folder(), device="cpu", threads=1)
    sound = Wave(wave("0880").samples[:24_000])
    with ThreadPoolExecutor(3) as pool:
        heard = list(pool.map(whisper.transcribe, [sound] * 3))
    assert heard[0] == heard[1] == heard[2]
    assert whisper.is_loaded


def test_languages_it_does_not_know_are_not_compared() -> None:
    assert not speech_checker().recogniser.supports("de")
    assert speech_checker().recogniser.supports("en-GB")
    assert not speech_checker().recogniser.supports("")
    assert speech_checker().compare(wave("0880"), "Guten Morgen, wie geht es dir?", "de") is None
    assert speech_checker().compare(wave("0880"), "Guten Morgen, wie geht es dir?") is None
    assert speech_checker().align(wave("0880"), "Guten Morgen.", "de") == ()


@pytest.mark.parametrize("damage", ["bytes", "other"])
def test_a_damaged_model_is_told(tmp_path: Path, damage: str) -> None:
    there = folder()
    path = tmp_path / "model"
    path.mkdir()
    for file in there.path.iterdir():
        if file.name != "model.bin":
            shutil.copy(file, path)
    (path / "model.bin").write_bytes(b"not a model")
    broken = replace(there, path=path, sha256=there.sha256 if damage == "bytes" else "")
    with pytest.raises(ModelUnavailable) as caught:
        Whisper(broken).transcribe(wave("0880"))
    expected = "RECOGNISER_CORRUPT" if damage == "bytes" else "RECOGNISER_FAILED"
    assert caught.value.code == expected


class Parrot:
    """A recogniser that hears always the same; as the real ones, it knows some languages."""

    model = "parrot"

    def __init__(self, *words: WordTiming, language: str = "en") -> None:
        self._words = words
        self._language = language

    def supports(self, language: str) -> bool:
        return language == self._language

    def transcribe(
        self,
        wave: Wave,
        language: str = "",
        *,
        word_times: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Transcript:
        text = " ".join(word.word for word in self._words)
        return Transcript(text, self._language, 0.9, self._words if word_times else ())


def test_words_are_found_where_they_were_heard_differently() -> None:
    heard = [
        WordTiming("He", 0.0, 0.2, 0.9),
        WordTiming("paid", 0.2, 0.5, 0.9),
        WordTiming("three", 0.5, 0.8, 0.8),
        WordTiming("dollars", 0.8, 1.2, 0.7),
        WordTiming("for", 1.2, 1.4, 0.9),
        WordTiming("see", 1.4, 1.7, 0.9),
        WordTiming("shells.", 1.7, 2.0, 0.9),
    ]
    found = SpeechChecker(Parrot(*heard)).align(wave("0880"), "He paid $3 for seashells!", "en")
    assert [(word.word, word.start_s, word.end_s) for word in found[:4]] == [
        ("He", 0.0, 0.2),
        ("paid", 0.2, 0.5),
        ("$3", 0.5, 1.2),
        ("for", 1.2, 1.4),
    ]
    assert found[2].confidence == 0.7
    assert (found[4].word, found[4].confidence) == ("seashells!", 0.0)  # heard as other words


def test_characters_are_the_words_of_chinese() -> None:
    heard = [WordTiming("你好", 0.0, 0.5, 0.9), WordTiming("世界", 0.5, 1.0, 0.9)]
    found = SpeechChecker(Parrot(*heard, language="zh")).align(wave("0880"), "你好，世界。", "zh")
    assert [word.word for word in found if word.confidence] == ["你", "好", "世", "界"]
