"""Spectrograms show each sound in its place, and their pictures are PNG files."""

from __future__ import annotations

import io

import numpy as np
import pytest

from f5serve.audio.spectrogram import BANDS, MAX_COLUMNS, draw_png, spectrogram
from f5serve.types import SAMPLE_RATE, Wave


def tone(hertz: float, seconds: float, amplitude: float = 0.5) -> Wave:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return Wave((amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32))


def mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


@pytest.mark.parametrize("hertz", [120, 440, 3000, 9000])
def test_a_tone_is_brightest_in_its_band(hertz: float) -> None:
    pixels = spectrogram(tone(hertz, 1.0, 0.01))
    assert pixels.shape == (BANDS, 47)
    band = BANDS - 1 - int(pixels[:, 20].argmax())
    expected = mel(hertz) / mel(SAMPLE_RATE / 2) * (BANDS + 1) - 1
    assert abs(band - expected) <= 1


def test_levels_have_fixed_colours() -> None:
    peak = [int(spectrogram(tone(1000, 0.5, a))[:, 10].max()) for a in (0.0, 1e-4, 1e-3, 1e-2, 1)]
    assert (peak[0], peak[-1]) == (0, 255)
    # 20 dB of 70 are 73 of 255 shades.
    assert peak[2] - peak[1] == pytest.approx(73, abs=2)
    assert peak[3] - peak[2] == pytest.approx(73, abs=2)


@pytest.mark.parametrize("samples", [1, 100, 512])
def test_short_sound_has_a_column(samples: int) -> None:
    assert spectrogram(Wave(np.zeros(samples, np.float32))).shape[1] in (1, 2)


def test_long_sound_keeps_what_is_short_in_it() -> None:
    wave = Wave(np.zeros(SAMPLE_RATE * 60, np.float32))
    wave.samples[SAMPLE_RATE * 30 : SAMPLE_RATE * 30 + 2400] = tone(1000, 0.1).samples
    pixels = spectrogram(wave)
    assert MAX_COLUMNS / 2 < pixels.shape[1] <= MAX_COLUMNS
    assert abs(pixels.max(axis=0).argmax() / pixels.shape[1] - 0.5) < 0.01
    assert pixels.max() == 255


def test_a_picture_is_read_by_others() -> None:
    av = pytest.importorskip("av")
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 11 + 2  # to 255
    with av.open(io.BytesIO(draw_png(pixels))) as file:
        (frame,) = file.decode(video=0)
    picture = frame.to_ndarray(format="rgb24")
    assert picture.shape == (4, 6, 3)
    assert tuple(picture[3, 5]) == (253, 231, 37)
    assert len({tuple(shade) for row in picture for shade in row}) == 24
