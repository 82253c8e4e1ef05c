"""Lengths follow upstream except that short lines are steady; seeds are stable."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.text.mapped_text import MappedText
from f5serve.text.plan import (
    FIRST_CHUNK_S,
    MAX_SEED,
    SHORT_LINE_FRAMES,
    derive_seed,
    duration_frames,
    plan_utterances,
    spoken_ref_text,
    text_budget_bytes,
)
from f5serve.types import (
    MAX_DURATION_FRAMES,
    SamplingOptions,
    SpeechRequest,
    Utterance,
    Voice,
    Wave,
    samples_to_frames,
)

REF_TEXT = "Some call me nature, others call me mother nature."


def voice(seconds: float = 5.3, ref_text: str = REF_TEXT) -> Voice:
    return Voice("v", Wave(np.zeros(round(seconds * 24_000), np.float32)), ref_text, "0")


def plan(request: SpeechRequest, text: str, max_text_bytes: int, seed: int) -> list[Utterance]:
    """The utterances of a text that is spoken as it is written."""
    return plan_utterances(replace(request, text=text), MappedText.of(text), max_text_bytes, seed)


def request(speed: float = 1.0, seconds: float = 5.3) -> SpeechRequest:
    return SpeechRequest("", voice(seconds), SamplingOptions(speed=speed))


def upstream_frames(samples: int, ref_text: str, text: str, speed: float) -> int:
    """The rule of f5-tts 1.1.22, written out."""
    reference = samples // 256
    ref_bytes = len(ref_text.encode()) + (1 if len(ref_text[-1].encode()) == 1 else 0)
    return reference + int(reference / ref_bytes * len(text.encode()) / speed)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.25, 2.0])
@pytest.mark.parametrize(
    "text",
    [
        "I don't really care what you call me, I have been a silent spectator.",
        "今天天气很好，我们一起去公园散步吧。",
        "请打开WiFi, then connect to the VPN。",
    ],
)
@pytest.mark.parametrize("ref_text", [REF_TEXT, "对，这就是我，万人敬仰的太乙真人。"])
def test_normal_lines_last_as_upstream(text: str, speed: float, ref_text: str) -> None:
    with_ref = voice(5.3, ref_text)
    expected = upstream_frames(len(with_ref.wave.samples), ref_text, text, speed)
    assert duration_frames(with_ref, text, speed) == expected


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_short_lines_grow_without_a_jump(speed: float) -> None:
    with_ref = voice()
    frames = [duration_frames(with_ref, "a" * n, speed) for n in range(1, 40)]
    steps = np.diff(frames)
    per_byte = 496 / 51 / speed
    assert steps.min() >= int(per_byte / 2)
    assert steps.max() <= per_byte + 1
    least_s = (frames[0] - 496) * 256 / 24_000 * speed
    assert 0.55 < least_s < 0.75


def test_steady_rule_ends_where_upstream_is_long_enough() -> None:
    with_ref = voice()
    for n in range(1, 60):
        plain = upstream_frames(len(with_ref.wave.samples), REF_TEXT, "a" * n, 1.0)
        ours = duration_frames(with_ref, "a" * n, 1.0)
        if plain - 496 > SHORT_LINE_FRAMES:
            assert ours == plain
        else:
            assert ours >= plain


@given(st.floats(1, 12), st.floats(0.25, 4), st.integers(1, 3000))
def test_no_row_is_longer_than_the_model(seconds: float, speed: float, length: int) -> None:
    frames = duration_frames(voice(seconds), "x" * length, speed)
    assert round(seconds * 24_000) // 256 < frames <= MAX_DURATION_FRAMES


def test_budget_is_upstreams() -> None:
    assert text_budget_bytes(voice(5.3), 1.0) == int(50 / 5.3 * (22 - 5.3))
    assert text_budget_bytes(voice(5.3), 0.5) == int(50 / 5.3 * (22 - 5.3) * 0.5)


def test_budget_and_engine_both_bound_a_chunk() -> None:
    text = " ".join(["The rain in Spain stays mainly in the plain."] * 40)
    by_budget = plan(request(), text, 10_000, seed=1)
    assert max(len(u.text.encode()) for u in by_budget) <= text_budget_bytes(voice(), 1.0)
    by_engine = plan(request(), text, 90, seed=1)
    assert max(len(u.text.encode()) for u in by_engine) <= 90
    for utterances in (by_budget, by_engine):
        assert " ".join(u.text for u in utterances) == text
        assert all(u.voice is not None and u.duration_frames <= 22 * 93.75 for u in utterances)


def test_a_reference_without_room_still_speaks_every_word() -> None:
    utterances = plan(request(speed=0.25, seconds=12.0), "Every single word, please.", 1000, 3)
    assert " ".join(u.text for u in utterances) == "Every single word, please."


def test_a_space_parts_reference_and_text_unless_chinese() -> None:
    assert spoken_ref_text(voice()) == REF_TEXT + " "
    assert spoken_ref_text(voice(5, "你好。")) == "你好。"


def test_seeds_differ_by_row_and_repeat() -> None:
    text = " ".join(["A sentence of some length, to be cut."] * 30)
    first, second = plan(request(), text, 80, 7), plan(request(), text, 80, 7)
    seeds = [u.seed for u in first]
    assert seeds == [u.seed for u in second]
    assert len(set(seeds)) == len(seeds) > 5
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    assert [u.seed for u in plan(request(), text, 80, 8)] != seeds


def test_derived_seed_is_pinned() -> None:
    # A stored job must be repeatable by a later version.
    assert derive_seed("job-1", "Hello.", 3) == 973_976_639
    assert derive_seed("job-1", "Hello.", 4) != derive_seed("job-1", "Hello.", 3)
    assert derive_seed("ab", "c") != derive_seed("a", "bc")


@given(st.text(), st.text())
def test_derived_seed_is_in_range(job_id: str, part: str) -> None:
    assert 0 <= derive_seed(job_id, part) <= MAX_SEED


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_a_quick_start_is_short_and_loses_nothing(speed: float) -> None:
    text = "The river runs past the old mill, and nobody has worked there for years. " * 4
    quick = replace(request(speed), quick_start=True)
    first, *others = plan(quick, text.strip(), 10_000, seed=1)
    assert " ".join(u.text for u in [first, *others]) == text.strip()
    spoken_s = (first.duration_frames - samples_to_frames(round(5.3 * 24_000))) / 93.75
    assert FIRST_CHUNK_S[0] * 0.9 <= spoken_s <= FIRST_CHUNK_S[1] * 1.1
    assert len(others) >= 1
    assert first.seed == plan(request(speed), text.strip(), 10_000, seed=1)[0].seed


def test_a_quick_start_leaves_short_text_whole() -> None:
    assert len(plan(replace(request(), quick_start=True), "Hello there, you.", 10_000, 1)) == 1


def test_emoji_take_no_time() -> None:
    with_ref = voice()
    plain = duration_frames(with_ref, "That is really wonderful to hear", 1.0)
    assert (
        duration_frames(with_ref, "That is 🎉 really wonderful to hear 👩‍👩‍👧🩷🇩🇪👍🏽❤️", 1.0)
        == plain
    )
    assert duration_frames(voice(5.3, REF_TEXT + " 🎉"), "That is it", 1.0) == duration_frames(
        voice(5.3, REF_TEXT), "That is it", 1.0
    )
    assert duration_frames(with_ref, "🎉", 1.0) > 496


def test_an_utterance_knows_what_was_written_for_it() -> None:
    written = "It costs $5. " + "That is not much for it at all, I think. " * 8 + "Pay $7 now."
    spoken = MappedText.of(written).sub(re.compile(r"\$(\d)"), r"\1 dollars")
    first, *_, last = plan_utterances(replace(request(), text=written), spoken, 120, 1)
    assert (first.text[:18], last.text[-14:]) == ("It costs 5 dollars", "7 dollars now.")
    assert (first.written[:11], last.written[-11:]) == ("It costs $5", "Pay $7 now.")
    for utterance in (first, last):
        assert len(utterance.spans) == len(utterance.text)
        place = utterance.text.index(" dollars") - 1
        start, end = utterance.spans[place]
        assert utterance.written[start:end] in ("$5", "$7")
        assert {utterance.spans[i] for i in range(place, place + 9)} == {(start, end)}


def test_what_is_spoken_as_written_has_no_spans() -> None:
    assert all(u.spans == () == tuple(u.written) for u in plan(request(), "Hello there.", 90, 1))
