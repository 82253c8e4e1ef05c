"""Draws sound: a log-mel spectrogram with fixed levels, as a PNG file.

Pictures of different sounds can be compared: equal levels have equal colours.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from f5serve.types import FloatArray, Wave

BANDS = 100
MAX_COLUMNS = 1600
"""Of a picture; longer sound has several frames in a column, of which the loudest is drawn."""

LOWEST_DBFS, HIGHEST_DBFS = -90.0, -20.0
"""Levels of the first and the last colour: a band of speech is between them."""

_WINDOW, _HOP, _FFT = 1024, 512, 2048
_BLOCK_FRAMES = 1024
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))

Pixels = NDArray[np.uint8]


def spectrogram(wave: Wave) -> Pixels:
    """Levels of mel bands over time, the highest band first: uint8 [BANDS, columns].

    There is at least one column, and at most `MAX_COLUMNS`.
    """
    edge = np.zeros(_WINDOW // 2, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([edge, wave.samples, edge]), _WINDOW
    )[::_HOP]  # [columns window]
    window = np.hanning(_WINDOW).astype(np.float32)
    filters = _mel_filters(wave.sample_rate)
    power = np.concatenate(
        [
            filters @ (np.abs(np.fft.rfft(frames[at : at + _BLOCK_FRAMES] * window, _FFT)) ** 2).T
            for at in range(0, len(frames), _BLOCK_FRAMES)
        ],
        axis=1,
    )  # [bands columns]
    power = np.maximum.reduceat(
        power, np.arange(0, len(frames), -(-len(frames) // MAX_COLUMNS)), axis=1
    )
    full_scale = (float(window.sum()) / 2) ** 2  # of a sine of amplitude 1
    levels_db = 10 * np.log10(np.maximum(power / full_scale, 1e-12))
    share = (levels_db - LOWEST_DBFS) / (HIGHEST_DBFS - LOWEST_DBFS)
    return np.asarray(np.clip(np.rint(255 * share), 0, 255), np.uint8)[::-1]


def _mel_filters(sample_rate: int) -> FloatArray:
    """Triangles of height 1, evenly spaced in mel: [bands bins]."""
    highest_mel = 2595 * np.log10(1 + sample_rate / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest_mel, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / sample_rate)
    rising = (bins - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    falling = (hertz[2:, None] - bins) / np.diff(hertz)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def draw_png(pixels: Pixels) -> bytes:
    """A picture of [height width] values as a PNG file in the colours of viridis."""
    height, width = pixels.shape
    places = np.linspace(0, 255, len(_VIRIDIS))
    palette = [np.interp(np.arange(256), places, shades) for shades in zip(*_VIRIDIS, strict=True)]
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # each begins with its filter: none
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),  # 8 bits, palette
        b"PLTE": np.rint(palette).T.astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(rows.tobytes(), 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )
