"""Which language a text is spoken in, as far as that decides who can align it.

A text and the language of its speaker, which may be unknown, flow in; a code flows out. No model
is asked: a wrong guess is found by the aligner, which does not find the words.
"""

from __future__ import annotations

import unicodedata

SCRIPTS = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "CYRILLIC": "ru",
    "ARABIC": "ar", "HEBREW": "he", "DEVANAGARI": "hi", "THAI": "th", "GREEK": "el",
}  # fmt: skip
"""A language that writes in each script, by the first word of its characters' names."""

_ALSO = {
    "ru": {"uk", "be", "bg", "sr", "mk", "kk", "mn"}, "ar": {"fa", "ur", "ps", "ku"},
    "hi": {"mr", "ne", "sa"}, "zh": {"ja", "yue"}, "he": {"yi"},
}  # fmt: skip
_MOSTLY = 0.5
_FOREIGN_LETTERS = 0.06
"""More accented letters than this, and a Latin text of unknown language is not English."""


def language_of(text: str, spoken: str = "") -> str:
    """The language of a text, ISO 639-1; "" where it cannot be told.

    The script decides first, then the language of the speaker; a text in plain Latin letters of
    which nothing is known, or whose speaker's language is not written so, is taken for English.
    """
    spoken = spoken.lower().replace("_", "-").split("-")[0]
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return spoken
    scripts = [_script(letter) for letter in letters]
    for script, language in SCRIPTS.items():
        share = scripts.count(script) / len(letters)
        if share > _MOSTLY or (language == "ja" and share > 0.1):
            return spoken if spoken in _ALSO.get(language, ()) else language
    if spoken and spoken not in SCRIPTS.values() and not any(spoken in a for a in _ALSO.values()):
        return spoken
    foreign = sum(not letter.isascii() for letter in letters) / len(letters)
    return "en" if foreign <= _FOREIGN_LETTERS else ""


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
