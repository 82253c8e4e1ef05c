"""When Kokoro speaks each word: the model's file with its durations as one more output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from f5serve.audio.edit import WINDOW_S, levels_db
from f5serve.fallback.pronounce import PAUSES, has_sound
from f5serve.text.mapped_text import Span
from f5serve.types import Mark, Wave
from f5serve.units import samples_to_s

DURATIONS = "/encoder/Clip_output_0"
"""The tensor that says how many frames each token lasts, the silent first and last included."""

FRAME_SAMPLES = 600
"""Samples of one frame; all frames together are exactly the wave."""

SILENT_DB = 40.0
"""How far below the loudest stretch of a run there is only the model's noise."""

EARLY_FRAMES = 2.5
"""How much later than the sound the durations are: 2 to 3, seen on words between silences."""

SHARED_GAP_S = 0.1
"""Less between two words without a mark is the token for their space; each takes half of it."""


def with_output(model: bytes, tensor: str) -> bytes:
    """The same ONNX graph with one more of its tensors as an output.

    Protocol buffers merge a field that is written twice, so a few bytes at the end are enough:
    ModelProto.graph (7) with GraphProto.output (12) with ValueInfoProto.name (1).
    """
    info = _field(1, tensor.encode())
    return model + _field(7, _field(12, info))


def marks_of(phonemes: str, places: Sequence[Span], frames: Any) -> tuple[Mark, ...]:
    """Where each group of phonemes between spaces is heard.

    Args:
        phonemes: as they were given to the model.
        places: what each group that has sound stands for.
        frames: [nt + 2], durations of the start, of each phoneme and of the end.
    """
    ends = np.cumsum(np.asarray(frames, np.float64).ravel()) - EARLY_FRAMES
    starts_s, ends_s = (
        np.maximum(at, 0) * samples_to_s(FRAME_SAMPLES) for at in (ends[:-2], ends[1:-1])
    )
    marks: list[Mark] = []
    waiting = iter(places)
    position = 0
    is_open = False  # nothing but a space behind the last word
    for group in phonemes.split(" "):
        sounds = [i for i, phoneme in enumerate(group, position) if phoneme not in PAUSES]
        position += len(group) + 1
        if not has_sound(group) or (place := next(waiting, None)) is None:
            continue
        start_s, end_s = float(starts_s[sounds[0]]), float(ends_s[sounds[-1]])
        if is_open and start_s - marks[-1].end_s < SHARED_GAP_S:
            start_s = (start_s + marks[-1].end_s) / 2
            marks[-1] = replace(marks[-1], end_s=start_s)
        marks.append(Mark(*place, start_s, end_s))
        is_open = group[-1] not in PAUSES
    return tuple(marks)


def end_with_sound(marks: tuple[Mark, ...], wave: Wave) -> tuple[Mark, ...]:
    """The last word ends with the sound: the model gives its last phoneme the silence behind it."""
    levels = levels_db(wave)
    if not marks or not len(levels):
        return marks
    loud = np.flatnonzero(levels > levels.max() - SILENT_DB)
    last = marks[-1]
    end_s = min(last.end_s, (int(loud[-1]) + 1) * WINDOW_S)
    return (*marks[:-1], replace(last, end_s=max(end_s, last.start_s)))


def merged(pieces: Sequence[Wave], starts_s: Sequence[float]) -> tuple[Mark, ...]:
    """The marks of all pieces; none if one piece has none, for then words are missing."""
    if not all(piece.marks for piece in pieces):
        return ()
    return tuple(
        replace(mark, start_s=mark.start_s + start_s, end_s=mark.end_s + start_s)
        for piece, start_s in zip(pieces, starts_s, strict=True)
        for mark in piece.marks
    )


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
