"""Files of every format decode to what went in; nothing wraps around."""

from __future__ import annotations

import gc
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import encoded, noise, tone

from f5serve.audio.decode import decode
from f5serve.audio.encode import MEDIA_TYPES, FileEncoder, encode, read_wav, to_pcm16
from f5serve.audio.g711 import expand
from f5serve.errors import BadAudio, InvalidRequest
from f5serve.types import AudioFormat, Wave

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
STARTS = {"wav": b"RIFF", "mp3": b"\xff", "opus": b"OggS", "flac": b"fLaC", "aac": b"\xff\xf1"}


@pytest.mark.parametrize("format", FORMATS)
def test_round_trip(format: AudioFormat) -> None:
    wave = Wave(tone(2.0))
    data = encode(wave, format)
    assert data.startswith(STARTS.get(format, b""))
    if format == "pcm":
        back = Wave(np.frombuffer(data, "<i2").astype(np.float32) / 32768)
    elif format in ("ulaw", "alaw"):
        back = Wave(expand(np.frombuffer(data, np.uint8), format))
    else:
        back = decode(data)
    assert back.duration_s == pytest.approx(2.0, abs=0.06)
    spectrum = np.abs(np.fft.rfft(back.samples[12_000:36_000]))
    assert np.argmax(spectrum) == 220
    assert np.max(np.abs(back.samples[4_000:44_000])) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("samples", [1, 255, 24_001])
def test_any_length_is_written(format: AudioFormat, samples: int) -> None:
    assert encode(Wave(np.full(samples, 0.1, np.float32)), format)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_a_file_in_pieces_is_the_whole_file(format: AudioFormat, rate: int, tmp_path: Path) -> None:
    samples = np.resize(tone(1.1) + noise(1.1), 5 * rate + 17)
    with (tmp_path / "a").open("w+b") as file:
        encoder = FileEncoder(file, format, rate)
        for part in np.split(samples, [1, 1, 777, rate, 4 * rate]):
            encoder.write(part)
        encoder.close()
    assert (tmp_path / "a").read_bytes() == encode(Wave(samples, rate), format)
    assert encode(Wave(samples, rate), format) == encode(Wave(samples, rate), format)


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_sound(format: AudioFormat, tmp_path: Path) -> None:
    """Eighty seconds more cost nothing more, in a process of their own."""
    code = """
import resource, sys
import numpy as np
from f5serve.audio.encode import FileEncoder, to_pcm16
block = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
with open(sys.argv[2], "w+b") as file:
    encoder, peaks = FileEncoder(file, sys.argv[1]), []
    for _ in range(5):
        for _ in range(20):
            encoder.write(block)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    encoder.close()
print(peaks[-1] - peaks[0])
"""
    command = [sys.executable, "-c", code, format, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_000  # KiB; they are 7,500 as float32


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(FORMATS)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_loud_samples_are_clipped(samples: list[float]) -> None:
    wave = Wave(np.array(samples, np.float32))
    pcm = to_pcm16(wave.samples).astype(np.float64) / 32768
    expected = np.clip(np.array(samples, np.float32).astype(np.float64), -1, 32767 / 32768)
    np.testing.assert_allclose(pcm, expected, atol=0.5001 / 32768)


@pytest.mark.parametrize("format", ["mp3", "opus", "flac", "aac"])
def test_loud_waves_keep_their_sign(format: AudioFormat) -> None:
    wave = Wave(np.repeat(np.array([3.0, -3.0, 3.0], np.float32), 24_000))
    back = decode(encode(wave, format)).samples
    assert back[12_000] > -0.2
    assert back[1_000:3_000].max() > 0.3
    assert back[25_000:27_000].min() < -0.3


def test_wav_reads_back_exactly() -> None:
    pcm = np.arange(-32_768, 32_768, dtype=np.float32) / 32_768
    wave = read_wav(encode(Wave(pcm), "wav"))
    np.testing.assert_array_equal(wave.samples, pcm)
    assert wave.sample_rate == 24_000
    assert encode(wave, "wav") == encode(Wave(pcm), "wav")


def test_wav_is_what_libsndfile_writes() -> None:
    samples = tone(0.1)
    ours, theirs = encode(Wave(samples), "wav"), encoded(samples)
    assert struct.unpack_from("<4sI4s4sIHHIIHH4sI", ours) == struct.unpack_from(
        "<4sI4s4sIHHIIHH4sI", theirs
    )


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", encoded(np.zeros((9, 2), np.float32)), encoded(tone(0.1))[:-2]]
)
def test_only_our_wavs_are_read(data: bytes) -> None:
    with pytest.raises(BadAudio) as caught:
        read_wav(data)
    assert caught.value.code == "NOT_CANONICAL"


def test_unknown_format() -> None:
    with pytest.raises(InvalidRequest, match="'wma'") as caught:
        encode(Wave(tone(0.1)), cast(AudioFormat, "wma"))
    assert caught.value.code == "UNKNOWN_FORMAT"


def test_an_empty_wave_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="without samples"):
        encode(Wave(np.zeros(0, np.float32)), "wav")


@pytest.mark.parametrize("format", FORMATS)
def test_an_encoder_that_is_given_up_writes_into_no_other_file(
    tmp_path: Path, format: AudioFormat
) -> None:
    """A job that is stopped leaves its encoder to the collector, which comes later."""
    with (tmp_path / "stopped").open("w+b") as file:
        number = file.fileno()
        encoder = FileEncoder(file, format)
        encoder.write(tone(1.5))
    with (tmp_path / "other").open("w+b") as other:
        assert other.fileno() == number  # it was free again
        del encoder
        gc.collect()
        assert other.tell() == 0
        assert FileEncoder(other, "flac") is not None
    assert (tmp_path / "other").stat().st_size < 5000  # a head at most, and nothing of 1.5 s


def test_encoders_leave_no_descriptor_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number, format in enumerate([*FORMATS] * 3):
        with (tmp_path / str(number)).open("w+b") as file:
            encoder = FileEncoder(file, format)
            encoder.write(tone(0.2))
            if number % 2:
                encoder.close()
        del encoder
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
