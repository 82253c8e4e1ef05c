"""The speech of one request on its way into a file, while the rest of it is still being spoken.

Waves flow in, in order, a file grows; it is complete once it is closed. Who speaks, and where the
file goes, is not known here.
"""

from __future__ import annotations

import time
from typing import IO

from f5serve.audio.encode_file import FileEncoder
from f5serve.types import AudioFormat, Wave
from f5serve.units import samples_to_s


class Written:
    """One file in the making.

    Args:
        file: as `FileEncoder` takes it.

    Attributes:
        encode_s: seconds that encoding has taken.
    """

    def __init__(self, file: IO[bytes], format: AudioFormat) -> None:
        self._encoder = FileEncoder(file, format)
        self._samples = 0
        self.encode_s = 0.0

    @property
    def duration_s(self) -> float:
        """Of the speech so far."""
        return samples_to_s(self._samples)

    def add(self, wave: Wave) -> None:
        """The next stretch of speech."""
        began = time.perf_counter()
        self._encoder.write(wave.samples)
        self._samples += len(wave.samples)
        self.encode_s += time.perf_counter() - began

    def close(self) -> None:
        """That was all; lengths and all are in the file now."""
        began = time.perf_counter()
        self._encoder.close()
        self.encode_s += time.perf_counter() - began
