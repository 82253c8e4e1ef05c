"""Reads audio files that this program has written, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from f5serve.errors import StorageFailed
from f5serve.types import SAMPLE_RATE, FloatArray

_BLOCK_SAMPLES = 10 * SAMPLE_RATE


def read_blocks(path: Path) -> Iterator[FloatArray]:
    """The samples of a mono file at `SAMPLE_RATE`, ten seconds at a time: [nw].

    Raises:
        StorageFailed: OBJECT_CORRUPT for any other file.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if (file.samplerate, file.channels) != (SAMPLE_RATE, 1):
                raise _damaged(f"it has {file.channels} channels at {file.samplerate} Hz")
            while len(block := file.read(_BLOCK_SAMPLES, dtype="float32")):
                yield np.asarray(block, np.float32)
    except soundfile.LibsndfileError as error:
        raise _damaged(str(error).rstrip(".")) from None


def _damaged(why: str) -> StorageFailed:
    return StorageFailed(
        f"A stored recording cannot be read: {why}.",
        code="OBJECT_CORRUPT",
        hint="Remove the job that made it, and have it made again.",
    )
