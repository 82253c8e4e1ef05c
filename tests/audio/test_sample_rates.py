"""Files at other sample rates than the sound that goes in."""

from __future__ import annotations

import io
import itertools

import av
import numpy as np
import pytest

from f5serve.audio.decode import decode
from f5serve.audio.encode import FORMATS, SAMPLE_RATES, check_sample_rate, encode, read_wav
from f5serve.audio.encode_stream import open_encoder
from f5serve.errors import InvalidRequest
from f5serve.types import SAMPLE_RATE, AudioFormat, FloatArray, Wave

TONE_HZ = 440.0
SECONDS = 1.5
ALL = [
    *((format, rate) for format, rates in SAMPLE_RATES.items() for rate in rates),
    *itertools.product(("wav", "flac"), (8_000, 11_111, 24_000, 44_100, 48_000)),
]


def tone() -> Wave:
    seconds = np.arange(round(SAMPLE_RATE * SECONDS)) / SAMPLE_RATE
    return Wave((0.5 * np.sin(2 * np.pi * TONE_HZ * seconds)).astype(np.float32))


def streamed(format: AudioFormat, rate: int, samples: FloatArray, pieces: int) -> bytes:
    encoder = open_encoder(format, output_rate=rate)
    parts = [encoder.add(piece) for piece in np.array_split(samples, pieces)]
    return b"".join([*parts, encoder.end()])


@pytest.mark.parametrize(("format", "rate"), ALL)
def test_each_format_has_its_rates_and_the_sound_stays(format: AudioFormat, rate: int) -> None:
    check_sample_rate(format, rate)
    data = encode(tone(), format, rate)
    with av.open(io.BytesIO(data)) as file:
        assert file.streams.audio[0].rate == (48_000 if format == "opus" else rate)
    heard = decode(data).samples
    assert len(heard) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.25 if format == "aac" else 0.15)
    middle = heard[len(heard) // 4 : len(heard) // 4 + SAMPLE_RATE // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 2 == pytest.approx(TONE_HZ, abs=3)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_pieces_make_the_same_bytes_as_the_whole(format: AudioFormat, rate: int) -> None:
    samples = tone().samples
    whole = streamed(format, rate, samples, 1)
    assert all(streamed(format, rate, samples, pieces) == whole for pieces in (2, 7, 60))
    stored = encode(tone(), format, rate)
    if format in ("opus", "aac", "flac", "pcm"):
        assert whole == stored
    if format == "wav":
        assert whole[44:] == stored[44:]
        assert len(read_wav(stored).samples) == round(SECONDS * rate)


def test_a_stream_begins_soon_and_keeps_little_back() -> None:
    encoder = open_encoder("pcm", output_rate=16_000)
    given = sent = 0
    for _ in range(50):
        given += 2_400
        sent += len(encoder.add(np.zeros(2_400, np.float32))) // 2
        assert given * 16_000 // SAMPLE_RATE - sent < 1_600  # a tenth of a second


@pytest.mark.parametrize(
    ("format", "rate"),
    [("mp3", 11_111), ("aac", 47_999), ("opus", 44_100), ("wav", 7_999), ("flac", 48_001)],
)
def test_other_rates_are_refused_with_those_there_are(format: AudioFormat, rate: int) -> None:
    with pytest.raises(InvalidRequest, match=f"sample_rate is {rate}") as caught:
        check_sample_rate(format, rate)
    assert caught.value.code == "SAMPLE_RATE_NOT_SUPPORTED"
    assert "48000" in caught.value.hint
