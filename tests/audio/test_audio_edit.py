"""Loudness, edges and silence do what upstream's do, and lose nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import Samples, silence, tone

from f5serve.audio.edit import (
    normalize_rms,
    pauses,
    remove_silence,
    resample,
    rms,
    scale,
    to_mono,
    trim_edges,
)
from f5serve.types import Wave


def wave(*parts: Samples) -> Wave:
    return Wave(np.concatenate(parts))


def test_quiet_reference_is_raised_and_speech_lowered_again() -> None:
    quiet = Wave(tone(1.0, level=0.02))
    raised, factor = normalize_rms(quiet)
    assert rms(raised) == pytest.approx(0.1, rel=1e-4)
    assert rms(scale(raised, factor)) == pytest.approx(rms(quiet), rel=1e-4)


@pytest.mark.parametrize("samples", [tone(1.0, level=0.5), silence(1.0), silence(0)])
def test_loud_and_silent_references_stay(samples: Samples) -> None:
    same, factor = normalize_rms(Wave(samples))
    assert factor == 1.0
    np.testing.assert_array_equal(same.samples, samples)


def test_edges_are_trimmed() -> None:
    trimmed = trim_edges(wave(silence(0.7), tone(2.0), silence(1.3)))
    assert trimmed.duration_s == pytest.approx(2.1, abs=0.02)
    assert rms(trimmed) == pytest.approx(rms(Wave(tone(2.0))), rel=0.05)


def test_trimming_twice_changes_nothing() -> None:
    noise = np.random.default_rng(1).normal(0, 0.003, 96_000).astype(np.float32)
    once = trim_edges(Wave(noise + wave(silence(1), tone(2), silence(1)).samples))
    np.testing.assert_array_equal(trim_edges(once).samples, once.samples)
    assert once.duration_s < 2.2


def test_a_quiet_recording_is_not_trimmed_away() -> None:
    quiet = wave(silence(0.5), tone(2.0, level=0.004), silence(0.5))
    assert trim_edges(quiet).duration_s == pytest.approx(2.1, abs=0.02)


@pytest.mark.parametrize("seconds", [0, 0.001, 1.0])
def test_silence_is_trimmed_to_nothing(seconds: float) -> None:
    assert len(trim_edges(Wave(silence(seconds))).samples) == 0


def test_long_silences_are_shortened() -> None:
    parts = (silence(2), tone(1), silence(3), tone(1), silence(0.8), tone(1), silence(4))
    shorter = remove_silence(wave(*parts))
    assert shorter.duration_s == pytest.approx(0.5 + 1 + 1.0 + 1 + 0.8 + 1 + 0.5, abs=0.03)
    assert np.sum(np.abs(shorter.samples)) == pytest.approx(3 * np.sum(np.abs(tone(1))))


@pytest.mark.parametrize("samples", [silence(5), silence(0), tone(2), silence(0.3)])
def test_nothing_to_shorten(samples: Samples) -> None:
    np.testing.assert_array_equal(remove_silence(Wave(samples)).samples, samples)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 25)), max_size=8))
def test_no_sound_is_ever_removed(parts: list[tuple[bool, int]]) -> None:
    made = [tone(n / 10) if loud else silence(n / 10) for loud, n in parts]
    before = wave(*made, silence(0))
    after = remove_silence(before)
    assert np.sum(np.abs(after.samples)) == pytest.approx(np.sum(np.abs(before.samples)), rel=1e-4)
    assert all(end - start <= 1.03 * 24_000 for start, end in pauses(after, -50.0, 0.5)) or not any(
        loud for loud, _ in parts
    )


def test_pauses_are_found_where_they_are() -> None:
    found = pauses(wave(tone(1), silence(0.5), tone(1), silence(0.05), tone(1)), -42.0, 0.1)
    assert found == [(24_000, 36_000)]


def test_channels_and_rate() -> None:
    stereo = np.stack([tone(1), silence(1)], axis=1)
    np.testing.assert_allclose(to_mono(stereo), tone(1) / 2, atol=1e-7)
    assert to_mono(tone(1)).shape == (24_000,)
    back = resample(Wave(tone(1, 44_100), 44_100))
    assert back.sample_rate == 24_000
    np.testing.assert_allclose(back.samples[2000:22_000], tone(1)[2000:22_000], atol=1e-3)
