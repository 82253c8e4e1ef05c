"""A library that can listen: transcripts written, compared with their recordings, and cut by."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from f5serve.asr_types import WordErrors
from f5serve.errors import BadAudio, F5Error
from f5serve.settings import Settings
from f5serve.synthesis.recognition import SpeechRecognition
from f5serve.types import Wave, WordTiming
from f5serve.voices.prepare import Transcriber, prepare_voice
from f5serve.voices.trim import trim_by_words
from tests.hearing import speech_checker, speech_recognition, transcribe, word_error_rate
from tests.voices.test_prepare import TEXTS, clip, recording, speech
from tests.voices.test_trim import spoken

HEARING = speech_recognition().hearing()


def refusal(
    data: bytes, text: str, language: str = "", transcriber: Transcriber = HEARING
) -> F5Error:
    with pytest.raises(F5Error) as caught:
        prepare_voice("v", data, text, language, transcriber)
    assert caught.value.hint
    return caught.value


def test_words_that_are_missing_are_written_down() -> None:
    prepared = prepare_voice("jane", clip("0870"), "", "", HEARING)
    assert word_error_rate(TEXTS["0870"], prepared.voice.ref_text) < 0.1
    assert prepared.voice.language == "en"
    assert prepared.confidence is not None
    assert prepared.confidence > 0.6
    assert "'jane'" in prepared.voice.warnings[0]
    told = prepare_voice("jane", clip("0870"), prepared.voice.ref_text, "", HEARING)
    assert (told.confidence, told.voice.warnings) == (None, ())
    assert told.voice.revision == prepared.voice.revision


def test_what_is_not_understood_needs_words() -> None:
    noise = np.random.default_rng(0).standard_normal(48_000) * 0.1
    file = io.BytesIO()
    soundfile.write(file, np.concatenate([noise, np.zeros(12_000), noise]), 24_000, format="WAV")
    error = refusal(file.getvalue(), "")
    assert error.code == "NOT_UNDERSTOOD"
    assert "ref_text" in error.hint


def test_a_language_that_nobody_understands_needs_words() -> None:
    error = refusal(clip("0880"), "", "de")
    assert (error.code, "'de'" in error.hint) == ("REF_TEXT_REQUIRED", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("0880", "He wasn't an ill disposed young man", id="nearly"),
        pytest.param(
            "0890", "UNLESS, to be rather coldhearted & rather selfish: is to be!", id="so"
        ),
    ],
)
def test_words_that_are_nearly_right_pass(name: str, text: str) -> None:
    assert prepare_voice("v", clip(name), text, "en", HEARING).voice.ref_text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("0870", TEXTS["0890"] + " " + TEXTS["0880"], id="other words"),
        pytest.param("0890", "Unless to be rather cold-hearted.", id="words are missing"),
        pytest.param("0880", "He " + TEXTS["0890"] + " He was a man.", id="words too many"),
    ],
)
def test_other_words_than_were_said_are_refused(name: str, text: str) -> None:
    error = refusal(clip(name), text, "en")
    assert isinstance(error, BadAudio)
    assert error.code == "REF_TEXT_MISMATCH"
    assert " is heard as " in error.message
    # Nobody listens, or nobody cares: such words are believed.
    assert prepare_voice("v", clip(name), text, "en").voice.ref_text
    careless = replace(HEARING, compare=None)
    assert prepare_voice("v", clip(name), text, "en", careless).voice.ref_text


def test_a_text_that_may_be_in_another_language_is_believed() -> None:
    assert prepare_voice("v", clip("0880"), "Er war kein übler junger Mann.", "de", HEARING).voice
    assert prepare_voice(
        "v", clip("0880"), "Er war kein schlechter junger Mann.", "", HEARING
    ).voice


def test_few_errors_are_never_held_against_a_transcript() -> None:
    def compare(wave: Wave, text: str, language: str) -> WordErrors:
        return WordErrors(2, 2, (("hello there", "yellow bear"),))

    assert prepare_voice("v", clip("0880"), "Hello there.", "", Transcriber(compare=compare)).voice


LONG = ["0870", "0880", "0890"]


@pytest.mark.parametrize("listener", ["aligner", "recogniser"])
def test_a_long_recording_is_cut_where_pauses_do_not_tell(listener: str) -> None:
    """With hardly a pause, only whoever listens can tell; either of them is enough."""
    if listener == "aligner":
        hearing = SpeechRecognition(Settings(recogniser="off")).hearing()
    else:
        hearing = Transcriber(align=speech_checker().align)
    data = recording(LONG, 0.15)
    text = " ".join(TEXTS[name] for name in LONG)
    assert refusal(data, text, transcriber=Transcriber()).code == "REFERENCE_TOO_LONG"
    voice = prepare_voice("v", data, text, "en", hearing).voice
    assert voice.ref_text == f"{TEXTS['0870']} {TEXTS['0880']}"
    expected_s = (len(speech("0870")) + len(speech("0880"))) / 16_000 + 0.15
    assert voice.wave.duration_s == pytest.approx(expected_s, abs=0.2)
    assert word_error_rate(voice.ref_text, transcribe(voice.wave)) < 0.2


def test_without_punctuation_it_is_cut_between_words() -> None:
    text = " ".join(TEXTS[name] for name in LONG).replace(".", "").replace(",", "").lower()
    voice = prepare_voice("v", recording(LONG, 0.5), text, "en", HEARING).voice
    assert text.startswith(voice.ref_text.removesuffix("."))
    assert 3 <= voice.wave.duration_s <= 12


def test_a_long_recording_without_words_is_heard_and_cut() -> None:
    prepared = prepare_voice("v", recording(LONG, 0.5), "", "", HEARING)
    voice = prepared.voice
    assert 3 <= voice.wave.duration_s <= 12
    assert voice.ref_text.startswith("And Mr. John Dashwood had then leisure")
    assert voice.warnings


def test_a_long_recording_with_other_words_is_refused() -> None:
    text = f"{TEXTS['0880']} {TEXTS['0890']} The weather is lovely this morning. And so are you."
    assert refusal(recording(LONG, 0.15), text, "en").code in (
        "REFERENCE_TOO_LONG",
        "REF_TEXT_MISMATCH",
    )


SAID = "One two three, four five six. Seven eight nine ten."


def placed(text: str, *times: tuple[float, float]) -> list[WordTiming]:
    """The words of a text at given times; "" as a start leaves the confidence out."""
    words = [WordTiming(w, a, b, 0.9) for w, (a, b) in zip(text.split(), times, strict=True)]
    return [replace(word, confidence=0.0) if word.end_s == 0 else word for word in words]


TIMES = [
    *[(0, 1.3), (1.3, 2.6), (2.6, 4)],
    *[(4.5, 6), (6, 7), (7, 8)],
    *[(8.5, 9), (9, 10), (10, 11), (11, 13)],
]
# Two pauses of half a second, after "three," and after "six."
WAVE = spoken([4, 3.5, 4.5], [0.5, 0.5])


def test_cut_after_a_sentence_rather_than_a_clause() -> None:
    kept = trim_by_words(WAVE, SAID, placed(SAID, *TIMES), 12.0)
    assert kept is not None
    assert kept[1] == "One two three, four five six."
    assert kept[0].duration_s == pytest.approx(8.05, abs=0.03)
    earlier = trim_by_words(WAVE, SAID, placed(SAID, *TIMES), 6.0)
    assert earlier is not None
    assert earlier[1] == "One two three,"


def test_no_cut_beside_words_that_were_not_heard() -> None:
    times = [*TIMES[:5], (0, 0), *TIMES[6:]]
    kept = trim_by_words(WAVE, SAID, placed(SAID, *times), 12.0)
    assert kept is not None
    assert kept[1] == "One two three,"


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        pytest.param(spoken([13], []), placed(SAID, *TIMES), id="no pause"),
        pytest.param(WAVE, [], id="no words"),
        pytest.param(WAVE, placed("Some other words", *TIMES[:3]), id="words of another text"),
        pytest.param(WAVE, placed(SAID, *[(0, 0)] * 10), id="none was heard"),
    ],
)
def test_no_cut_in_the_dark(wave: Wave, words: list[WordTiming]) -> None:
    assert trim_by_words(wave, SAID, words, 12.0) is None


def test_marks_stay_with_their_word() -> None:
    text = "“今天好。” 晚上吃饭。"
    starts_s = [0, 1, 2, 3.5, 4.5, 5.5, 6.5]
    said = zip("今天好晚上吃饭", starts_s, strict=True)
    words = [WordTiming(word, start_s, start_s + 1, 0.9) for word, start_s in said]
    kept = trim_by_words(spoken([3.0, 9.5], [0.5]), text, words, 12.0)
    assert kept is not None
    assert kept[1] == "“今天好。”"


def test_no_cut_inside_a_word() -> None:
    text = "All is well-known. Indeed."
    times = {"All": 0, "is": 1, "well": 2, "-known.": 4.5, "Indeed.": 10.0}
    words = [WordTiming(word, start_s, start_s + 1, 0.9) for word, start_s in times.items()]
    wave = spoken([4, 5, 4], [0.5, 0.5])
    kept = trim_by_words(wave, text, words, 12.0)
    assert kept is not None
    assert kept[1] == "All is well-known."
    assert trim_by_words(wave, text, words, 9.0) is None
