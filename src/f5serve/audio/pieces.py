"""Decodes a long recording to pieces that end in pauses, with one piece in memory at a time.

recording -> child process -> samples on the disk -> blocks at another rate -> pieces
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from f5serve.audio.decode import DecodeLimits, RawSamples, check_finite, decode_into
from f5serve.audio.edit import WINDOW_S, levels_db, to_mono
from f5serve.process import Check, never_cancelled
from f5serve.types import FloatArray, Wave, s_to_samples

BLOCK_S = 10.0
"""What is read from the disk at a time."""

MAX_PIECE_S = 30.0
"""Longest piece, which is the window of Whisper's models."""

CUT_S = (15.0, 28.0)
"""Where a longer recording is cut, counted from the last cut; what is left lasts 2 s or more."""

PAUSE_S = 0.3
"""The cut is in the middle of the quietest stretch of this length."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a recording, mono, and where it begins, in seconds."""

    start_s: float
    wave: Wave


def decode_pieces(
    data: bytes, limits: DecodeLimits, sample_rate: int, check: Check | None = None
) -> Iterator[Piece]:
    """All of a recording, in order.

    Args:
        sample_rate: of the pieces, Hz.
        check: called for each block; what it raises comes out.

    Raises:
        BadAudio: as `decode`, before the first piece.
    """
    check = check or never_cancelled
    with tempfile.TemporaryFile() as file:
        raw = decode_into(file, data, limits)
        for block in _blocks(file, raw):
            check()
            check_finite(block)
        yield from _cut(_resampled(file, raw, sample_rate, check), sample_rate)


def _blocks(file: IO[bytes], raw: RawSamples) -> Iterator[FloatArray]:
    """[nw c], all of the samples."""
    frame_bytes = 4 * raw.channels
    size = s_to_samples(BLOCK_S, raw.sample_rate) * frame_bytes
    left = raw.frames * frame_bytes
    file.seek(0)
    while left:
        block = file.read(min(size, left))
        left -= len(block)
        yield np.frombuffer(block, dtype=np.float32).reshape(-1, raw.channels)


def _resampled(
    file: IO[bytes], raw: RawSamples, sample_rate: int, check: Check
) -> Iterator[FloatArray]:
    """[nw], at another rate."""
    import soxr

    stream = soxr.ResampleStream(raw.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in _blocks(file, raw):
        check()
        yield stream.resample_chunk(to_mono(block))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _cut(blocks: Iterator[FloatArray], sample_rate: int) -> Iterator[Piece]:
    kept = np.zeros(0, np.float32)
    start = 0
    for block in blocks:
        kept = np.concatenate([kept, block])
        while len(kept) > s_to_samples(MAX_PIECE_S, sample_rate):
            cut = _quietest(kept, sample_rate, CUT_S)
            yield Piece(start / sample_rate, Wave(kept[:cut], sample_rate))
            kept, start = kept[cut:], start + cut
    if len(kept):
        yield Piece(start / sample_rate, Wave(kept, sample_rate))


def halve(piece: Piece) -> tuple[Piece, Piece]:
    """A piece of 1 s or more in two, cut at the quietest place of its middle third."""
    wave, seconds = piece.wave, piece.wave.duration_s
    cut = _quietest(wave.samples, wave.sample_rate, (seconds / 3, seconds * 2 / 3))
    left, right = wave.samples[:cut], wave.samples[cut:]
    start_s = piece.start_s + cut / wave.sample_rate
    return Piece(piece.start_s, Wave(left, wave.sample_rate)), Piece(
        start_s, Wave(right, wave.sample_rate)
    )


def _quietest(samples: FloatArray, sample_rate: int, within_s: tuple[float, float]) -> int:
    """The sample in the middle of the quietest stretch within these, the last of equal ones."""
    first, last = (s_to_samples(edge, sample_rate) for edge in within_s)
    levels = levels_db(Wave(samples[first:last], sample_rate))
    width = round(PAUSE_S / WINDOW_S)
    # The loudest window counts: a word is no pause because it has silence beside it.
    loudest = np.lib.stride_tricks.sliding_window_view(levels, width).max(axis=1)
    at = len(loudest) - 1 - int(np.argmin(loudest[::-1]))
    return first + s_to_samples((at + width / 2) * WINDOW_S, sample_rate)
