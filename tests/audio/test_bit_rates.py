"""Files have the bit rate that was asked for, as FFmpeg reads it."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from f5serve.audio.bit_rates import check_bit_rate
from f5serve.audio.encode import encode
from f5serve.audio.encode_stream import open_encoder
from f5serve.errors import InvalidRequest
from f5serve.types import AudioFormat, Wave

SECONDS = 4.0
NOISE = (0.1 * np.random.default_rng(0).standard_normal(round(24_000 * SECONDS))).astype(np.float32)
MP3 = [
    (22_050, 32),
    (24_000, 48),
    *((44_100, rate) for rate in (32, 64, 96, 128, 192, 320)),
    (8_000, 8),
]


@pytest.mark.parametrize(("sample_rate", "kbps"), MP3)
def test_an_mp3_says_its_bit_rate(sample_rate: int, kbps: int) -> None:
    check_bit_rate("mp3", sample_rate, kbps)
    data = encode(Wave(NOISE), "mp3", sample_rate, kbps)
    with av.open(io.BytesIO(data)) as file:
        assert file.streams.audio[0].bit_rate == kbps * 1000
        assert file.streams.audio[0].rate == sample_rate


@pytest.mark.parametrize("kbps", [6, 32, 64, 96, 128, 192, 256])
def test_opus_has_about_its_bit_rate(kbps: int) -> None:
    check_bit_rate("opus", 48_000, kbps)
    data = encode(Wave(NOISE), "opus", 48_000, kbps)
    assert 8 * len(data) / SECONDS / 1000 == pytest.approx(kbps, rel=0.1, abs=2)


@pytest.mark.parametrize(("format", "kbps"), [("mp3", 192), ("opus", 32)])
def test_a_stream_has_it_as_well(format: AudioFormat, kbps: int) -> None:
    encoder = open_encoder(format, output_rate=48_000, bit_rate_kbps=kbps)
    data = b"".join([*(encoder.add(part) for part in np.array_split(NOISE, 5)), encoder.end()])
    assert 8 * len(data) / SECONDS / 1000 == pytest.approx(kbps, rel=0.1)


@pytest.mark.parametrize(
    ("format", "sample_rate", "kbps", "hint"),
    [
        ("mp3", 44_100, 33, "At 44100 Hz it takes 32"),
        ("mp3", 24_000, 320, "160"),
        ("mp3", 8_000, 96, "64"),
        ("opus", 48_000, 300, "6 to 256"),
        ("flac", 24_000, 64, "flac has none"),
    ],
)
def test_other_bit_rates_are_refused(
    format: AudioFormat, sample_rate: int, kbps: int, hint: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"bit_rate_kbps is {kbps}") as caught:
        check_bit_rate(format, sample_rate, kbps)
    assert caught.value.code == "BIT_RATE_NOT_SUPPORTED"
    assert hint in caught.value.hint
