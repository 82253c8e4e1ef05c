"""G.711 as FFmpeg reads and writes it."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from f5serve.audio.encode import encode
from f5serve.audio.g711 import Law, compress, expand
from f5serve.types import Wave

CODECS: dict[Law, str] = {"ulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
CODES = np.arange(256, dtype=np.uint8)
ALL = np.arange(-32_768, 32_768).astype("<i2")


def codec(law: Law, mode: Any) -> Any:
    made = av.CodecContext.create(CODECS[law], mode)
    made.sample_rate, made.layout, made.format = 8_000, "mono", "s16"
    return made


@pytest.mark.parametrize("law", CODECS)
def test_each_code_means_what_ffmpeg_hears(law: Law) -> None:
    frames = codec(law, "r").decode(av.Packet(CODES.tobytes()))
    heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    np.testing.assert_array_equal(expand(CODES, law) * 32_768, heard)


@pytest.mark.parametrize("law", CODECS)
def test_samples_become_the_code_of_ffmpeg_or_its_neighbour(law: Law) -> None:
    """FFmpeg takes the nearest level; the standard's limits lie beside the middle now and then."""
    frame = av.AudioFrame.from_ndarray(ALL[None], format="s16", layout="mono")
    frame.sample_rate = 8_000
    encoder = codec(law, "w")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    theirs = np.frombuffer(b"".join(map(bytes, packets)), np.uint8)
    ours = compress(ALL, law)
    assert np.mean(ours == theirs) > 0.98
    levels = np.unique(expand(CODES, law))
    places = [np.searchsorted(levels, expand(codes, law)) for codes in (ours, theirs)]
    assert np.abs(places[0] - places[1]).max() <= 1


@pytest.mark.parametrize("law", CODECS)
def test_a_level_becomes_itself_again(law: Law) -> None:
    levels = (expand(CODES, law) * 32_768).astype("<i2")
    np.testing.assert_array_equal(expand(compress(levels, law), law) * 32_768, levels)


@pytest.mark.parametrize("law", CODECS)
def test_a_file_is_a_byte_for_each_sample(law: Law) -> None:
    samples = (0.3 * np.sin(np.arange(24_000) / 10)).astype(np.float32)
    data = encode(Wave(samples), law, 8_000)
    heard = expand(np.frombuffer(data, np.uint8), law)
    assert len(heard) == 8_000
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.03)
