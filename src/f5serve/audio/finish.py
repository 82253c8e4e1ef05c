"""Correct the length in the header of a streamed file that has arrived completely, in place."""

from __future__ import annotations

from typing import IO

from f5serve.audio.encode_file import finish_wav
from f5serve.audio.mpeg import info_frame, whole_frames

_MOVED_BYTES = 1 << 20


def finish(file: IO[bytes]) -> None:
    """Tell the length in the header of a streamed wav or mp3 of constant bit rate.

    Other files, and one that says it already, stay as they are.
    """
    finish_wav(file)
    file.seek(0)
    if file.read(2)[:1] == b"\xff":
        _finish_mp3(file)


def _finish_mp3(file: IO[bytes]) -> None:
    file.seek(0)
    data = file.read()
    frames = whole_frames(data)
    if frames:
        _insert(file, info_frame(data[:4], frames, len(data)), len(data))


def _insert(file: IO[bytes], data: bytes, size: int) -> None:
    """Put `data` in front of everything else."""
    for start in range((size - 1) // _MOVED_BYTES * _MOVED_BYTES, -1, -_MOVED_BYTES):
        file.seek(start)
        block = file.read(min(_MOVED_BYTES, size - start))
        file.seek(start + len(data))
        file.write(block)
    file.seek(0)
    file.write(data)
    file.flush()
