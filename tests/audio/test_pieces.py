"""Long recordings in pieces: nothing is lost, cuts are in pauses, little is held at a time."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from recordings import encoded

from f5serve.audio.decode import LONG, DecodeLimits, decode
from f5serve.audio.edit import resample
from f5serve.audio.encode import encode
from f5serve.audio.pieces import CUT_S, MAX_PIECE_S, Piece, decode_pieces, halve
from f5serve.errors import BadAudio
from f5serve.types import Wave

RATE = 16_000


def speech_like(*seconds: float, rate: int = 24_000) -> Wave:
    """Noise of these lengths, with pauses of half a second between."""
    noise = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    for length in seconds:
        parts.append(noise.uniform(-0.3, 0.3, int(length * rate)).astype(np.float32))
        parts.append(np.zeros(rate // 2, np.float32))
    return Wave(np.concatenate(parts[:-1]), rate)


def test_a_short_recording_is_one_piece() -> None:
    wave = speech_like(2, 3)
    (piece,) = decode_pieces(encode(wave, "flac"), LONG, RATE)
    assert piece.start_s == 0
    assert piece.wave.sample_rate == RATE
    assert piece.wave.duration_s == pytest.approx(wave.duration_s, abs=0.01)


def test_pieces_follow_one_another_and_are_the_whole() -> None:
    data = encode(speech_like(11, 9, 14, 6, 23, 30, 9), "flac")
    pieces = list(decode_pieces(data, LONG, RATE))
    assert len(pieces) > 3
    for left, right in pairwise(pieces):
        assert right.start_s == pytest.approx(left.start_s + left.wave.duration_s, abs=1e-6)
        assert CUT_S[0] <= left.wave.duration_s <= CUT_S[1]
    assert pieces[-1].wave.duration_s <= MAX_PIECE_S
    joined = np.concatenate([piece.wave.samples for piece in pieces])
    whole = resample(decode(data, LONG), RATE).samples
    assert len(joined) == pytest.approx(len(whole), abs=2)
    count = min(len(joined), len(whole))
    assert np.abs(joined[:count] - whole[:count]).max() < 1e-3


def test_cuts_are_in_the_middle_of_pauses() -> None:
    lengths = (11.0, 9.0, 14.0, 6.0, 20.0)
    pieces = list(decode_pieces(encode(speech_like(*lengths), "flac"), LONG, RATE))
    ends = np.cumsum([length + 0.5 for length in lengths]) - 0.25
    assert len(pieces) > 1
    for piece in pieces[1:]:
        assert np.abs(ends - piece.start_s).min() < 0.2


def test_a_piece_is_halved_in_its_pause() -> None:
    wave = resample(speech_like(4, 5), RATE)
    left, right = halve(Piece(7.0, wave))
    assert right.start_s == pytest.approx(11.25, abs=0.15)
    assert left.start_s == 7.0
    joined = np.concatenate([left.wave.samples, right.wave.samples])
    assert np.array_equal(joined, wave.samples)


def test_stereo_of_another_rate_is_made_mono() -> None:
    mono = speech_like(2, rate=44_100).samples
    data = encoded(np.stack([mono, mono], axis=1), rate=44_100)
    (piece,) = decode_pieces(data, LONG, RATE)
    assert piece.wave.duration_s == pytest.approx(2, abs=0.01)
    assert piece.wave.samples.ndim == 1


def test_what_is_wrong_is_told_before_the_first_piece() -> None:
    samples = np.full(40 * 24_000, 0.1, np.float32)
    samples[-5] = np.nan
    for data, limits, code in (
        (encoded(samples, subtype="FLOAT"), LONG, "AUDIO_NOT_FINITE"),
        (encode(speech_like(3), "flac"), DecodeLimits(max_s=2), "AUDIO_TOO_LONG"),
        (b"no sound", LONG, "NOT_AUDIO"),
        (b"", LONG, "AUDIO_EMPTY"),
    ):
        with pytest.raises(BadAudio) as refused:
            next(decode_pieces(data, limits, RATE))
        assert refused.value.code == code


def test_a_check_ends_the_work() -> None:
    def gone() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        next(decode_pieces(encode(speech_like(2), "flac"), LONG, RATE, gone))


def test_memory_does_not_grow_with_the_recording() -> None:
    tone = np.sin(np.arange(24_000 * 60, dtype=np.float32) / 30)
    most = []
    for minutes in (2, 8):
        data = encode(Wave(np.tile(tone, minutes)), "mp3")
        tracemalloc.start()
        try:
            assert sum(piece.wave.duration_s for piece in decode_pieces(data, LONG, RATE)) > 100
            most.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert most[1] < 1.5 * most[0]
