"""A small real recogniser hears people, machines and nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, Word

from f5serve.asr.whisper import ModelFolder, Whisper, find_model
from f5serve.asr.windows import most_tokens, prompt_tokens, to_transcript
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


def test_words_are_between_spaces_and_segments_are_the_text() -> None:
    sound = wave("0890")
    found = speech_checker().recogniser.transcribe(sound, word_times=True)
    assert [word.word for word in found.words] == found.text.split()
    assert any("-" in word.word[1:-1] for word in found.words)
    assert " ".join("".join(one.text for one in found.segments).split()) == found.text
    assert all(0 <= one.start_s < one.end_s <= sound.duration_s for one in found.segments)
    assert not found.is_cut


def test_words_of_scripts_without_spaces_stay_parts() -> None:
    parts = [Word(0, 1, "今天", 0.9), Word(1, 2, "天气", 0.8), Word(2, 3, " AI", 0.7)]
    told = to_transcript([segment(" 今天天气 AI", parts)], "zh", 3.0, False)
    assert [word.word for word in told.words] == ["今天", "天气", "AI"]
    parts = [Word(0, 1, " well", 0.9), Word(1, 2, "-known", 0.8), Word(2, 3, "!", 0.7)]
    told = to_transcript([segment(" well-known!", parts)], "en", 2.5, False)
    assert told.words == (WordTiming("well-known!", 0.0, 3.0, 0.7),)
    assert told.segments[0].end_s == 2.5


def segment(text: str, words: list[Word]) -> Segment:
    return Segment(0, 0, 0.0, 3.0, text, [1, 2], -0.1, 1.0, 0.0, words, 0.0)


def test_what_is_said_again_and_again_is_reported_as_cut() -> None:
    sound = wave("0880")
    again = Wave(np.tile(sound.samples, 8), sound.sample_rate)
    assert speech_checker().recogniser.transcribe(again).is_cut


def test_a_prompt_has_no_marks_and_leaves_room_for_the_text() -> None:
    model = WhisperModel(str(folder().path), device="cpu", local_files_only=True)
    assert prompt_tokens(model, " ") == []
    marked = prompt_tokens(model, "<|endoftext|>Hello<|startoftranscript|>")
    assert model.hf_tokenizer.decode(marked, skip_special_tokens=False).strip() == "Hello"
    long = prompt_tokens(model, "word " * 400 + "end")
    assert long[-1:] == prompt_tokens(model, "end")
    assert len(long) + most_tokens(30.0, len(long)) < 448


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


def test_a_translation_is_asked_of_models_that_were_trained_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    languages = frozenset({"en", "de"})
    able = {
        name: Whisper(replace(folder(), name=name, languages=languages)).can_translate
        for name in ("large-v3", "large-v3-turbo")
    }
    assert able == {"large-v3": True, "large-v3-turbo": False}
    assert not Whisper(folder()).can_translate
    asked: list[str] = []
    transcribe = WhisperModel.transcribe

    def note(self: WhisperModel, *args: Any, task: str, **named: Any) -> Any:
        asked.append(task)
        return transcribe(self, *args, **named)

    monkeypatch.setattr(WhisperModel, "transcribe", note)
    whisper = Whisper(folder())
    whisper.transcribe(wave("0880"))
    whisper.transcribe(wave("0880"), translate=True)
    assert asked == ["transcribe", "translate"]


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
        prompt: str = "",
        translate: bool = False,
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
