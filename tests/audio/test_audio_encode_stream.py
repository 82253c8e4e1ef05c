"""Files that are sent while they are written: what arrives can be played, in every format."""

from __future__ import annotations

import io
import struct
import wave as stdlib_wave
from typing import get_args

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.audio.encode_stream import open_encoder, patch_lengths
from f5serve.audio.g711 import expand
from f5serve.errors import InvalidRequest
from f5serve.types import AudioFormat, Wave

FORMATS = get_args(AudioFormat)
HEADERLESS = ("pcm", "ulaw", "alaw")
RNG = np.random.default_rng(3)
TONE = (0.3 * np.sin(np.arange(72_000) / 20) + 0.01 * RNG.standard_normal(72_000)).astype("f4")


def sent(format: AudioFormat, cuts: list[int]) -> list[bytes]:
    encoder = open_encoder(format)
    return [*(encoder.add(part) for part in np.split(TONE, sorted(cuts))), encoder.end()]


def play(data: bytes) -> np.ndarray:
    """The sound of a file at 24 kHz, read by FFmpeg from its beginning, as a player does."""
    with av.open(io.BytesIO(data)) as file:
        rate = file.streams.audio[0].rate
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
    samples = np.concatenate([frame.reshape(-1) for frame in frames])[:: rate // 24_000]
    return samples / 32_768 if samples.dtype == np.int16 else samples


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_sent_can_be_played(format: AudioFormat) -> None:
    parts = sent(format, [100, 24_000, 24_000, 48_000])
    assert format == "flac" or sum(map(bool, parts)) >= 3  # it does not all come at the end
    data = b"".join(parts)
    if format == "pcm":
        heard = np.frombuffer(data, "<i2") / 32_768
    elif format in ("ulaw", "alaw"):
        heard = expand(np.frombuffer(data, np.uint8), format)
    else:
        heard = play(data)
    assert len(heard) == pytest.approx(len(TONE), abs=2_500)  # codecs add silence
    assert np.sqrt(np.mean(np.square(heard))) == pytest.approx(0.212, abs=0.01)


@pytest.mark.parametrize(
    ("format", "behind_s"),
    [("wav", 0.0), ("aac", 0.1), ("opus", 0.25), ("mp3", 0.4)],
)
def test_what_is_added_can_be_heard_soon(format: AudioFormat, behind_s: float) -> None:
    data = open_encoder(format).add(TONE[:36_000])
    assert len(play(data)) / 24_000 >= 1.5 - behind_s


@settings(max_examples=25)
@given(st.lists(st.integers(0, 72_000), max_size=6), st.sampled_from(FORMATS))
def test_the_bytes_are_those_of_the_whole_file(cuts: list[int], format: AudioFormat) -> None:
    """But for what a beginning tells of the length: a header of wav, and a frame of mp3."""
    data, whole = b"".join(sent(format, cuts)), encode(Wave(TONE), format)
    if format == "wav":
        assert len(data) == len(whole)
    head = {"wav": 44, "mp3": 192}.get(format, 0)
    assert data[44 if format == "wav" else 0 :] == whole[head:]


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1, 2.3, 23.4])
@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("aac", *HEADERLESS)])
def test_everybody_reads_all_of_it(format: AudioFormat, seconds: float) -> None:
    """By soundfile, FFmpeg and ourselves; Chromium is asked in tests/studio."""
    wave = np.resize(TONE, int(24_000 * seconds))
    encoder = open_encoder(format)
    data = b"".join(encoder.add(part) for part in np.array_split(wave, 5)) + encoder.end()
    most = len(wave) + 2_400  # codecs add silence
    assert len(wave) <= len(soundfile.read(io.BytesIO(data))[0]) <= most
    assert len(wave) <= len(play(data)) <= most
    assert len(wave) <= len(decode(data).samples) <= most


def test_a_wav_without_end_is_read_by_the_standard_library() -> None:
    data = b"".join(sent("wav", [10_000]))
    with stdlib_wave.open(io.BytesIO(data)) as file:
        assert len(file.readframes(file.getnframes())) == 2 * len(TONE)


def finished(data: bytes) -> bytes:
    file = io.BytesIO(data)
    patch_lengths(file)
    return file.getvalue()


def test_a_wav_that_has_come_whole_is_told_its_length() -> None:
    data = finished(b"".join(sent("wav", [100, 5000])))
    assert data == encode(Wave(TONE), "wav")
    assert finished(data) == data


def test_an_mp3_that_has_come_whole_is_told_its_length() -> None:
    streamed = b"".join(sent("mp3", [100, 5000]))
    data = finished(streamed)
    assert data.endswith(streamed)
    assert finished(data) == data
    frames = len(streamed) // 192
    assert data[13:25] == b"Info" + struct.pack(">II", 3, frames)
    assert struct.unpack(">I", data[25:29]) == (len(data),)
    assert len(TONE) <= len(soundfile.read(io.BytesIO(data))[0]) <= len(TONE) + 2_400
    assert len(play(data)) == len(play(streamed))


@given(
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda rest: b"RIFF" + rest)
    | st.binary(max_size=60).map(lambda rest: b"\xff\xf3" + rest)
)
def test_other_files_stay_as_they_are(data: bytes) -> None:
    assert finished(data) == data


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("wav", "mp3")])
def test_other_formats_stay_as_they_are(format: AudioFormat) -> None:
    data = b"".join(sent(format, []))
    assert finished(data) == data


def test_samples_beyond_full_scale_are_clipped() -> None:
    for format in FORMATS:
        encoder = open_encoder(format)
        assert encoder.add(np.full(4_800, 3.0, np.float32)) + encoder.end()


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_encoder("xm")  # type: ignore[arg-type]
    assert caught.value.code == "UNKNOWN_FORMAT"
