"""Files that are sent while they are written: what arrives can be played, in every format."""

from __future__ import annotations

import io
import wave as stdlib_wave
from typing import get_args

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from f5serve.audio.encode import encode
from f5serve.audio.encode_stream import open_encoder, tell_length
from f5serve.errors import InvalidRequest
from f5serve.types import AudioFormat, Wave

FORMATS = get_args(AudioFormat)
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
    assert sum(map(bool, parts)) >= 3  # it does not all come at the end
    data = b"".join(parts)
    heard = np.frombuffer(data, "<i2") / 32_768 if format == "pcm" else play(data)
    assert len(heard) == pytest.approx(len(TONE), abs=2_500)  # codecs add silence
    assert np.sqrt(np.mean(np.square(heard))) == pytest.approx(0.212, abs=0.01)


@pytest.mark.parametrize(
    ("format", "behind_s"),
    [("wav", 0.0), ("aac", 0.1), ("flac", 0.2), ("opus", 0.25), ("mp3", 0.4)],
)
def test_what_is_added_can_be_heard_soon(format: AudioFormat, behind_s: float) -> None:
    data = open_encoder(format).add(TONE[:36_000])
    assert len(play(data)) / 24_000 >= 1.5 - behind_s


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 72_000), max_size=6), st.sampled_from(["pcm", "mp3", "flac", "wav"]))
def test_the_sound_is_that_of_the_whole_file(cuts: list[int], format: AudioFormat) -> None:
    data, whole = b"".join(sent(format, cuts)), encode(Wave(TONE), format)
    head = {"pcm": 0, "wav": 44, "flac": 42, "mp3": 192}[format]  # where lengths are told
    assert len(data) == len(whole)
    assert data[head:] == whole[head:]


def test_a_wav_without_end_is_read_by_common_readers() -> None:
    data = b"".join(sent("wav", [10_000]))
    assert len(soundfile.read(io.BytesIO(data))[0]) == len(TONE)
    with stdlib_wave.open(io.BytesIO(data)) as file:
        assert len(file.readframes(file.getnframes())) == 2 * len(TONE)


def test_a_wav_that_has_come_whole_is_told_its_length() -> None:
    file = io.BytesIO(b"".join(sent("wav", [100, 5000])))
    tell_length(file)
    assert file.getvalue() == encode(Wave(TONE), "wav")
    tell_length(file)
    assert file.getvalue() == encode(Wave(TONE), "wav")


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"RIFF" + rest))
def test_other_files_stay_as_they_are(data: bytes) -> None:
    file = io.BytesIO(data)
    tell_length(file)
    assert file.getvalue() == data


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "wav"])
def test_other_formats_stay_as_they_are(format: AudioFormat) -> None:
    data = b"".join(sent(format, []))
    file = io.BytesIO(data)
    tell_length(file)
    assert file.getvalue() == data


def test_samples_beyond_full_scale_are_clipped() -> None:
    for format in FORMATS:
        encoder = open_encoder(format)
        assert encoder.add(np.full(4_800, 3.0, np.float32)) + encoder.end()


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_encoder("xm")  # type: ignore[arg-type]
    assert caught.value.code == "UNKNOWN_FORMAT"
