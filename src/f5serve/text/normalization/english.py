"""Normalizes English text to ASCII words and punctuation, which a pronouncing dictionary knows.

Covers numbers, money, times, units, signs, accents and addresses. What has no rule of its own is
read sign by sign or digit by digit; only decoration (quotes, bullets, emoji, markup stars) is
silent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from f5serve.text import numbers
from f5serve.text.mapped_text import MappedText, Replacement
from f5serve.text.markup import is_emoji
from f5serve.text.normalization.english_amounts import DASH, NUMBER, amounts
from f5serve.text.normalization.english_tables import ABBREVIATIONS, LETTERS, MARKS, SIGNS

LONGEST_WORD = 24
"""Letters; longer runs are cut, because an unknown word costs quadratic time to pronounce."""


def normalize_english(text: str) -> MappedText:
    """Words and ASCII punctuation: "£3.2bn" -> "three point two billion pounds"."""
    mapped = MappedText.of(text).map_chars(_to_ascii)
    for pattern, replace in _RULES:
        mapped = mapped.sub(pattern, replace)
    mapped = mapped.map_chars(_read_sign)
    for pattern, template in _TIDY:
        mapped = mapped.sub(pattern, template)
    return mapped.strip()


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What English is spoken as, with the letters and marks of the text."""
    del off
    return normalize_english(mapped.text)


def unsupported_characters(text: str) -> list[str]:
    """Characters that English letters, digits and signs cannot render, in order, each once."""
    return [character for character in dict.fromkeys(text) if not _is_speakable(character)]


def _is_speakable(character: str) -> bool:
    if is_emoji(character):  # whatever it decomposes into, and if it is newer than the tables
        return True
    for part in unicodedata.normalize("NFKD", character):
        kind = unicodedata.category(part)
        if kind in ("Cn", "Co", "Cs", "Nl", "No"):
            return False
        if kind[0] == "L" and not part.isascii() and part not in LETTERS:
            return False
        if kind in ("Mn", "Mc") and not _is_latin_mark(part):
            return False
    return True


def _is_latin_mark(mark: str) -> bool:
    """Accents, and the selectors that only choose between two looks of an emoji."""
    return "\u0300" <= mark <= "\u036f" or "\ufe00" <= mark <= "\ufe0f"


@lru_cache(maxsize=4096)
def _to_ascii(character: str) -> str:
    """Accents off, other digits as 0-9, one form for each mark; signs stay as they are."""
    if character in SIGNS or character in "–⁄" or (character.isascii() and character not in MARKS):
        return character
    if is_emoji(character):
        return " "
    plain = "".join(map(_fold, unicodedata.normalize("NFKD", _fold(character))))
    plain = "".join(part for part in plain if not unicodedata.combining(part))
    if unicodedata.decomposition(character).startswith("<super>"):
        return f"^{plain}"  # else 2⁵ would become 25
    return f" {plain}" if "⁄" in plain else plain  # else 2½ would become 21⁄2


def _fold(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return str(digit) if digit is not None else (MARKS | LETTERS).get(character, character)


def _read_sign(character: str) -> str:
    if character in SIGNS:
        return f" {SIGNS[character]} "
    if character.isascii() and (character.isalpha() or character in ".,;:!?'()- "):
        return character
    return " — " if character in "—–" else " "


def _verbalize_address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0])
    names = {".": "dot", ":": "colon", "?": "question mark", "-": "dash", "_": "underscore"}
    return "".join(f" {names[c]} " if c in names else c for c in text)


def _verbalize_dotted(match: re.Match[str]) -> str:
    return f" {' point '.join(map(numbers.cardinal, match[0].split('.')))} "


def _verbalize_phone(match: re.Match[str]) -> str:
    return f" {', '.join(map(numbers.digits, re.split('[- ]', match[0])))} "


_DOMAINS = "com|org|net|io|edu|gov|dev|ai"
# Each begins where no address can have begun before: a run of labels is read once.
_ADDRESS = (
    r"https?://[^\s,;]*[\w/]|(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++|"
    rf"(?<![\w-])(?<![\w-]\.)(?:[\w-]++\.)+(?:{_DOMAINS})\b(?:/[^\s,;]*[\w/])?"
)


def _abbreviations() -> list[tuple[str, Replacement]]:
    return [
        (r"\d{16,}+", lambda m: f" {numbers.digits(m[0])} "),  # first: long runs cost the others
        (rf"\b(?:{'|'.join(map(re.escape, ABBREVIATIONS))})", lambda m: ABBREVIATIONS[m[0]]),
        (r"\bSt\.(?=\s[A-Z])", lambda m: "Saint"),
        (r"(?<=[a-z]\s)St\.", lambda m: "Street"),
        (r"\bNo\.(?=\s?\d)|#(?=\d)", lambda m: "number "),
        (_ADDRESS, _verbalize_address),
    ]


def _plain_numbers() -> list[tuple[str, Replacement]]:
    return [
        (r"(?<!\d)\d++(?:\.\d++){2,}+", _verbalize_dotted),
        (r"(?<![\d-])(?:\d{3}[- ])?\d{3}-\d{4}(?![\d-])", _verbalize_phone),
        (
            rf"(?<![\d-])(?<!\d[.,])(\d[\d,.]*+){DASH}(?=\d[\d,.]*+(?![\d-]))",
            lambda m: f"{m[1]} to ",
        ),
        (r"(?<=\d)\s?\*\s?(?=\d)", lambda m: " times "),
        (r"(?<=\^\d)\^?([\d²³])", lambda m: unicodedata.normalize("NFKC", m[1])),
        (r"(?<=\d)\^(?=\w)", lambda m: " to the power of "),
        (r"~\s?(?=\d)", lambda m: "about "),
        (
            r"(?<![\d.,])(1[1-9]\d\d|20\d\d)(?!\d|[.,]\d)",
            lambda m: f" {numbers.year(m[1])} ",
        ),
        (NUMBER, lambda m: f" {numbers.decimal(m[0].replace(',', ''))} "),
        (r"--++|\s-\s", lambda m: " — "),
        (r"(?<!\S)-|-(?!\S)", lambda m: " "),
    ]


def _rules() -> list[tuple[re.Pattern[str], Replacement]]:
    """Patterns in the order in which they apply: the more particular first."""
    table = _abbreviations() + amounts() + _plain_numbers()
    return [(re.compile(pattern), replace) for pattern, replace in table]


def _tidy() -> list[tuple[re.Pattern[str], str]]:
    """What makes readable text of the rules' words and spaces."""
    table = [
        (r"(?<![A-Za-z])'|'(?![A-Za-z])", " "),  # quotes, not apostrophes
        (rf"([A-Za-z']{{{LONGEST_WORD}}})(?=[A-Za-z'])", r"\1 "),
        (rf"([A-Za-z'-]{{{LONGEST_WORD}}})-", r"\1 "),
        (r"\s++", " "),
        (r" (?=[,.;:!?)])|^ | $", ""),
        (r"([.,;:!?'()-]{3})[.,;:!?'()-]++", r"\1"),  # rows of marks cost as unknown words do
        (r"([,;:])(?: ?[,;:])++", r"\1"),
    ]
    return [(re.compile(pattern), say) for pattern, say in table]


_RULES = _rules()
_TIDY = _tidy()
