"""Waves are joined as upstream joins them, with exact pauses, and at given times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import Samples, silence, tone
from tests.sounds import RATE, sounds

from f5serve.audio.join import (
    SILENCE_S,
    Join,
    Joiner,
    TrimmedWave,
    concatenate,
    join,
    sound_range,
    trim_wave,
)
from f5serve.types import Wave, WordSpan


def upstream_join(waves: list[Samples], cross_fade_s: float) -> Samples:
    """The rule of f5-tts 1.1.22, written out for two and more waves."""
    final = waves[0].astype(np.float64)
    for following in waves[1:]:
        overlap = min(int(cross_fade_s * 24_000), len(final), len(following))
        if overlap <= 0:
            final = np.concatenate([final, following])
            continue
        mixed = final[-overlap:] * np.linspace(1, 0, overlap)
        mixed = mixed + following[:overlap] * np.linspace(0, 1, overlap)
        final = np.concatenate([final[:-overlap], mixed, following[overlap:]])
    return final.astype(np.float32)


@given(
    st.lists(st.integers(0, 9_000), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.00001, 0.01, 0.15, 0.5]),
)
def test_join_is_upstreams(lengths: list[int], cross_fade_s: float) -> None:
    rng = np.random.default_rng(len(lengths))
    parts = [rng.normal(0, 0.1, n).astype(np.float32) for n in lengths]
    whole, starts = join([Wave(part) for part in parts], cross_fade_s)
    np.testing.assert_allclose(whole.samples, upstream_join(parts, cross_fade_s), atol=1e-6)
    assert len(starts) == len(parts)
    assert starts[0] == 0.0
    if min(lengths) > cross_fade_s * 24_000:
        assert list(starts) == sorted(starts)


def test_join_tells_where_each_wave_begins() -> None:
    parts = [Wave(tone(1.0)), Wave(tone(0.5)), Wave(tone(2.0))]
    whole, starts = join(parts, 0.15)
    assert starts == pytest.approx((0.0, 0.85, 1.2))
    assert whole.duration_s == pytest.approx(3.2)


def test_join_of_one_is_itself() -> None:
    whole, starts = join([Wave(tone(1.0))], 0.15)
    np.testing.assert_array_equal(whole.samples, tone(1.0))
    assert starts == (0.0,)


@given(
    st.lists(st.integers(0, 900), min_size=1, max_size=8),
    st.floats(0, 0.02),
)
def test_pieces_of_a_join_are_the_join(lengths: list[int], cross_fade_s: float) -> None:
    rng = np.random.default_rng(7)
    waves = [Wave(rng.standard_normal(length).astype(np.float32)) for length in lengths]
    whole, starts_s = join(waves, cross_fade_s)
    joins = [Join(), *[Join(cross_fade_s)] * (len(waves) - 1), Join()]
    joiner = Joiner(joins)
    pieces, held = [], 0
    for wave in waves:
        pieces.append(concatenate(joiner.add(TrimmedWave(wave))).samples)
        held = round(joiner.starts_s[-1] * 24_000) + len(wave.samples) - sum(map(len, pieces))
        assert held <= int(cross_fade_s * 24_000)  # no more is kept back than may still change
    pieces.append(concatenate(joiner.end()).samples)
    assert np.concatenate(pieces).tobytes() == whole.samples.tobytes()
    assert joiner.starts_s == starts_s
    assert held == len(pieces[-1])


def test_join_refuses_mixed_rates() -> None:
    with pytest.raises(ValueError, match="sample rates"):
        join([Wave(tone(1.0)), Wave(tone(1.0), 16_000)], 0.1)


def joined(waves: list[Wave], joins: list[Join]) -> tuple[Samples, Joiner]:
    joiner = Joiner(joins)
    pieces = [
        piece
        for wave, before, behind in zip(waves, joins[:-1], joins[1:], strict=True)
        for piece in joiner.add(trim_wave(wave, before, behind))
    ]
    return concatenate([*pieces, *joiner.end()]).samples, joiner


def padded(seconds: float, before_s: float, after_s: float) -> Wave:
    return Wave(np.concatenate([silence(before_s), tone(seconds), silence(after_s)]))


@given(
    st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)), min_size=2, max_size=5),
    st.floats(0.001, 2.0),
)
def test_a_pause_is_as_long_as_was_asked(edges: list[tuple[float, float]], gap_s: float) -> None:
    waves = [padded(0.3, *edge) for edge in edges]
    joins = [Join(gap_s=gap_s)] * (len(waves) + 1)
    whole, _ = joined(waves, joins)
    bounds = [0.0, *(at for sound in sounds(whole) for at in sound), len(whole) / RATE]
    if gap_s > 0.03:  # shorter ones are not told from the tone's own quiet
        assert len(bounds) == 2 * len(waves) + 2
        for left, right in zip(bounds[::2], bounds[1::2], strict=True):
            assert right - left == pytest.approx(gap_s, abs=0.01)


def test_quiet_consonants_are_kept_and_count_as_pause() -> None:
    soft = tone(0.04, level=0.002)
    wave = Wave(np.concatenate([silence(0.3), soft, tone(0.3), soft, silence(0.3)]))
    trimmed = trim_wave(wave, Join(gap_s=1.0), Join(gap_s=1.0))
    assert trimmed.wave.duration_s == pytest.approx(0.4, abs=0.005)
    assert np.abs(trimmed.wave.samples[600:1200]).max() > 0.0005
    whole, _ = joined([wave, wave], [Join(), Join(gap_s=1.0), Join()])
    (_, end), (start, _) = sounds(whole)
    assert start - end == pytest.approx(1.0, abs=0.01)


def test_marks_move_with_what_is_cut_off() -> None:
    wave = padded(0.5, 0.3, 0.3)
    wave = Wave(wave.samples, marks=(WordSpan(0, 2, 0.3, 0.8),))
    (mark,) = trim_wave(wave, Join(gap_s=1.0), Join()).wave.marks
    assert (mark.start_s, mark.end_s) == pytest.approx((0.05, 0.55), abs=0.003)


def test_silence_is_never_cut_away_whole() -> None:
    quiet = Wave(silence(0.5))
    assert sound_range(quiet) == (0, 0)
    assert trim_wave(quiet, Join(gap_s=1.0), Join(gap_s=1.0)).wave is quiet


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=6).map(sorted))
def test_sound_begins_at_its_time_whatever_came_before(starts: list[float]) -> None:
    waves = [padded(0.2, 0.1 * (index % 3), 0.2) for index in range(len(starts))]
    joins = [*(Join(start_s=start) for start in starts), Join(start_s=4.0)]
    whole, joiner = joined(waves, joins)
    assert len(whole) == 4 * RATE
    assert sounds(whole)[0][0] == pytest.approx(starts[0], abs=0.005)
    for start, begins, index in zip(starts, joiner.starts_s, range(len(starts)), strict=True):
        lead = min(0.1 * (index % 3), 0.05)
        assert begins + lead == pytest.approx(start, abs=0.003)


def test_the_end_cuts_and_fills() -> None:
    for length_s in (0.4, 3.0):
        whole, _ = joined([padded(1.0, 0, 0)], [Join(), Join(start_s=length_s)])
        assert len(whole) == round(length_s * RATE)


def test_waves_that_overlap_are_mixed() -> None:
    whole, _ = joined(
        [padded(1.0, 0, 0), padded(1.0, 0, 0)],
        [Join(start_s=0.0), Join(start_s=0.5), Join(start_s=1.5)],
    )
    alone = tone(1.0)
    np.testing.assert_allclose(whole[:11_000], alone[:11_000], atol=1e-6)
    np.testing.assert_allclose(whole[12_000:24_000], alone[12_000:] + alone[:12_000], atol=1e-6)


def test_hours_of_silence_take_no_memory() -> None:
    joiner = Joiner([Join(start_s=3_600.0), Join(start_s=7_200.0)])
    pieces = [*joiner.add(TrimmedWave(padded(1.0, 0, 0))), *joiner.end()]
    assert sum(len(piece.samples) for piece in pieces) == 7_200 * RATE
    assert max(len(piece.samples) for piece in pieces) == SILENCE_S * RATE
    owners = {
        id(piece.samples.base) if piece.samples.base is not None else id(piece.samples)
        for piece in pieces
    }
    assert len(owners) < 10
