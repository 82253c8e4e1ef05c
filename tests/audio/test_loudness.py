"""Loudness is what FFmpeg's own meter says; targets are met, and peaks stay below their ceiling."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import soxr
from recordings import DATA, Samples, noise, silence, tone

from f5serve.audio.decode import decode
from f5serve.audio.filters import pieces
from f5serve.audio.leveling import Leveler, Leveling, leveling_to
from f5serve.audio.loudness import LOWEST_DB, Loudness, LoudnessMeter, combine

SPEECH = decode((DATA / "librivox-0870.wav").read_bytes()).samples
PAUSED = np.concatenate([SPEECH, silence(9.0), 0.1 * SPEECH, SPEECH * 0.01]).astype(np.float32)


def measured(samples: Samples, rate: int = 24_000) -> Loudness:
    meter = LoudnessMeter(rate)
    meter.add(samples)
    return meter.result()


def ebur128(samples: Samples, rate: int = 24_000) -> tuple[float, float]:
    """Integrated loudness and true peak by FFmpeg's filter."""
    graph = av.filter.Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)
        ),
        graph.add("ebur128", "metadata=1:peak=true"),
        graph.add("abuffersink"),
    ]
    nodes[0].link_to(nodes[1])
    nodes[1].link_to(nodes[2])
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    graph.push(frame)
    graph.push(None)
    found: dict[str, str] = {}
    while True:
        try:
            found = dict(graph.pull().metadata)
        except (BlockingIOError, EOFError):
            return float(found["lavfi.r128.I"]), float(found["lavfi.r128.true_peak"])


@pytest.mark.parametrize("samples", [SPEECH, PAUSED, tone(5.0), tone(0.5)])
@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_loudness_is_that_of_ffmpegs_meter(samples: Samples, rate: int) -> None:
    at_rate = soxr.resample(samples, 24_000, rate).astype(np.float32)
    found = measured(at_rate, rate)
    lufs, true_peak = ebur128(at_rate, rate)
    assert found.integrated_lufs == pytest.approx(lufs, abs=0.1)
    assert found.true_peak_db == pytest.approx(20 * np.log10(true_peak), abs=0.2)


def test_levels_of_a_known_sound() -> None:
    found = measured(np.concatenate([silence(0.75), tone(3.0, level=0.1), silence(2.0)]))
    assert found.duration_s == 5.75
    assert found.peak_db == pytest.approx(-20, abs=0.01)
    assert found.rms_db == pytest.approx(-23.01 + 10 * np.log10(3 / 5.75), abs=0.01)
    assert found.noise_floor_db == LOWEST_DB
    assert (found.head_s, found.tail_s) == (0.75, 2.0)
    # A sine of 997 Hz at -20 dB is -23 LUFS.
    sine = measured(tone(3.0, level=0.1, hertz=997.0))
    assert sine.integrated_lufs == pytest.approx(-23.0, abs=0.05)
    assert sine.noise_floor_db == pytest.approx(-23.01, abs=0.01)


def test_pieces_change_nothing() -> None:
    whole, meter = measured(PAUSED), LoudnessMeter()
    for part in np.split(PAUSED, [1, 777, 24_001, 100_000]):
        meter.add(part)
    found = meter.result()
    np.testing.assert_allclose(found.weighted, whole.weighted, rtol=1e-6)
    assert found.true_peak == pytest.approx(whole.true_peak, rel=1e-6)
    assert (found.head_s, found.tail_s) == (whole.head_s, whole.tail_s)


def test_the_loudness_of_a_book_is_known_from_its_chapters() -> None:
    parts = [SPEECH, tone(2.5), PAUSED]
    whole = measured(np.concatenate(parts))
    found = combine(map(measured, parts))
    assert found.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=0.1)
    assert found.rms_db == pytest.approx(whole.rms_db, abs=1e-6)
    assert found.duration_s == pytest.approx(whole.duration_s)
    assert found.true_peak_db == pytest.approx(whole.true_peak_db, abs=0.1)


@pytest.mark.parametrize(
    "samples", [silence(3.0), np.zeros(0, np.float32), np.zeros(9, np.float32)]
)
def test_silence_has_the_lowest_level_and_stays(samples: Samples) -> None:
    found = measured(samples)
    assert found.integrated_lufs == found.rms_db == found.true_peak_db == LOWEST_DB
    leveling = leveling_to(-18.0, found.integrated_lufs, found.true_peak_db, -1.0)
    assert leveling == Leveling()


def leveled(samples: Samples, leveling: Leveling, rate: int) -> Samples:
    leveler = Leveler(leveling, 24_000, rate)
    parts = [leveler.add(piece) for piece in pieces(samples, 24_000)]
    return np.concatenate([*parts, leveler.end()])


@pytest.mark.parametrize("rate", [24_000, 44_100])
@pytest.mark.parametrize("ceiling_db", [-1.0, -3.0])
def test_a_target_is_met_below_the_ceiling(rate: int, ceiling_db: float) -> None:
    before = measured(PAUSED)
    leveling = leveling_to(-18.0, before.integrated_lufs, before.true_peak_db, ceiling_db)
    after = measured(leveled(PAUSED, leveling, rate), rate)
    assert after.integrated_lufs == pytest.approx(-18.0, abs=0.5)
    assert after.true_peak_db <= ceiling_db + 0.05
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.001)


def test_a_limiter_is_used_only_where_peaks_need_it_and_delays_nothing() -> None:
    assert leveling_to(-25.0, -24.0, -7.0, -1.0) == Leveling(-1.0, None)
    assert leveling_to(-18.0, -24.0, -7.0, -1.0) == Leveling(6.0, None)
    assert leveling_to(-17.0, -24.0, -7.0, -1.0) == Leveling(7.0, -1.0)
    click = silence(1.0)
    click[12_000:12_100] = 0.9
    for leveling in (Leveling(6.0, -6.0), Leveling(-6.0, None)):
        for rate in (24_000, 48_000):
            found = leveled(click, leveling, rate)
            loud = np.flatnonzero(np.abs(found) > 0.2) / rate
            assert loud[0] == pytest.approx(0.5, abs=0.0005)
            assert loud[-1] == pytest.approx(0.5 + 100 / 24_000, abs=0.0005)


def test_the_ceiling_holds_for_the_worst_sound() -> None:
    found = measured(leveled(5 * noise(5.0), Leveling(12.0, -3.0), 44_100), 44_100)
    assert found.true_peak_db <= -2.9
