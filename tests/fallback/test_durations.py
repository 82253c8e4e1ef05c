"""When the stand-in says each word: its own durations, held against the sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from f5serve.audio.edit import levels_db, remove_silence, trim_edges
from f5serve.fallback.kokoro import Kokoro
from f5serve.fallback.phonemes import (
    has_sound,
    join_marks,
    keep_to_sound,
    pronounce,
    word_marks,
)
from f5serve.types import SamplingOptions, Utterance, Wave, WordSpan
from f5serve.voices.prepare import default_voice


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    return Kokoro()


def say(kokoro: Kokoro, text: str) -> Wave:
    voice = replace(default_voice(), name="jm_kumo")
    (wave,) = kokoro.generate([Utterance(text, voice, 0, 0, SamplingOptions())])
    return wave


def test_words_between_pauses_are_where_the_sound_is(kokoro: Kokoro) -> None:
    text = "Apple... Window..."
    wave = say(kokoro, text)
    assert [text[mark.start : mark.end] for mark in wave.marks] == text.split()
    levels = levels_db(wave)
    loud = np.flatnonzero(levels > levels.max() - 40) * 0.01
    assert wave.marks[0].start_s == pytest.approx(loud[0], abs=0.08)
    assert wave.marks[-1].end_s == pytest.approx(loud[-1] + 0.01, abs=0.02)
    for left, right in zip(wave.marks, wave.marks[1:], strict=False):
        assert left.end_s < right.start_s
        between = loud[(loud > left.end_s + 0.08) & (loud < right.start_s - 0.08)]
        assert not len(between), "there is sound between two words"


def test_what_is_said_in_several_words_has_one_place(kokoro: Kokoro) -> None:
    text = "Pay $3.50."
    marks = say(kokoro, text).marks
    told = [text[mark.start : mark.end] for mark in marks]
    assert told == ["Pay", *["$3.50"] * 4, "$3.50."]
    assert [mark.start_s for mark in marks] == sorted(mark.start_s for mark in marks)


def test_word_marks_several_runs_are_moved_behind_one_another() -> None:
    wave = Wave(np.zeros(24_000, np.float32), marks=(WordSpan(0, 3, 0.25, 0.5),))
    assert join_marks([wave, wave], [0.0, 1.0]) == (
        WordSpan(0, 3, 0.25, 0.5),
        WordSpan(0, 3, 1.25, 1.5),
    )
    assert join_marks([wave, Wave(wave.samples)], [0.0, 1.0]) == ()


def test_cut_silence_moves_the_marks() -> None:
    tone = np.sin(np.arange(24_000)).astype(np.float32)
    silence = np.zeros(3 * 24_000, np.float32)
    marks = (WordSpan(0, 1, 3.1, 3.9), WordSpan(2, 3, 7.1, 7.9))
    wave = Wave(np.concatenate([silence, tone, silence, tone]), marks=marks)
    short = remove_silence(wave)
    assert short.duration_s == pytest.approx(0.5 + 1 + 1 + 1)
    assert [mark.start_s for mark in short.marks] == pytest.approx([0.6, 2.6])
    trimmed = trim_edges(wave, keep_s=0.25)
    assert [mark.end_s for mark in trimmed.marks] == pytest.approx([1.15, 5.15])


@pytest.mark.parametrize(
    "text", ["The U.S.A. and the U.K. signed it.", "WXYZ & co., e-mail 5:30pm", "v2(1).tar.gz"]
)
def test_every_sounding_group_has_its_place(text: str) -> None:
    (phonemes,) = pronounce(text, longest=500)
    assert len(phonemes.places) == sum(map(has_sound, phonemes.text.split()))
    assert list(phonemes.places) == sorted(phonemes.places)


def test_durations_become_seconds() -> None:
    first, second = word_marks("ab, ˈc.", ((0, 2), (4, 5)), [10, 2, 2, 1, 1, 3, 4, 5, 9])
    assert (first.start_s, first.end_s) == pytest.approx((7.5 / 40, 11.5 / 40))
    assert (second.start_s, second.end_s) == pytest.approx((13.5 / 40, 20.5 / 40))


def test_the_first_word_begins_no_later_than_the_sound_and_the_last_ends_with_it() -> None:
    samples = np.zeros(24_000, np.float32)
    samples[7_200:16_800] = 0.5
    late = (WordSpan(0, 1, 0.34, 0.4), WordSpan(2, 3, 0.5, 0.9))
    first, last = keep_to_sound(late, Wave(samples))
    assert (first.start_s, first.end_s) == pytest.approx((0.3, 0.4))
    assert (last.start_s, last.end_s) == pytest.approx((0.5, 0.7))
    assert keep_to_sound((WordSpan(0, 1, 0.28, 0.6),), Wave(samples)) == (
        WordSpan(0, 1, 0.28, 0.6),
    )


def test_the_space_between_two_words_is_shared() -> None:
    first, second = word_marks("a b", ((0, 1), (2, 3)), [10, 2, 2, 3, 9])
    assert first.end_s == second.start_s == pytest.approx(10.5 / 40)
