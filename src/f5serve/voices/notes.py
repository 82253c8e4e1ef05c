"""What is odd about a transcript and does not keep it from being used: told, never refused.

Words flow in, sentences for whoever uses the voice flow out. Nobody has to hear the recording for
them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

from f5serve.types import Voice
from f5serve.voices.hearing import not_checked

CAPITALS = 0.9
"""Share of letters in capitals from which on a transcript is not as words are usually written."""

FEWEST_LETTERS = 8
"""With fewer of them, nothing is said about a transcript."""

USUAL_LETTERS_PER_S = {"alphabet": (3.0, 25.0), "syllables": (1.2, 14.0)}
"""Slower or faster is rare: words of another recording, or of a part of it."""

_SYLLABIC = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "YI"})
_SCRIPTS = {
    **dict.fromkeys(("zh", "yue", "wuu"), ("CJK",)),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ko": ("HANGUL", "CJK"),
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "kk", "ky", "mn", "tg"), ("CYRILLIC",)),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug"), ("ARABIC",)),
    **dict.fromkeys(("he", "yi"), ("HEBREW",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
    "el": ("GREEK",),
    "th": ("THAI",),
    "ka": ("GEORGIAN",),
    "hy": ("ARMENIAN",),
    "bn": ("BENGALI",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "kn": ("KANNADA",),
    "ml": ("MALAYALAM",),
    "gu": ("GUJARATI",),
    "my": ("MYANMAR",),
    "km": ("KHMER",),
    "am": ("ETHIOPIC",),
    "si": ("SINHALA",),
    "lo": ("LAO",),
    **dict.fromkeys(
        (
            *("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "nb", "nn", "fi", "pl"),
            *("cs", "sk", "hu", "ro", "tr", "vi", "id", "ms", "tl", "hr", "sl", "et", "lv", "lt"),
            *("ca", "eu", "gl", "ga", "cy", "is", "sw", "af", "sq", "la", "eo"),
        ),
        ("LATIN",),
    ),
}
"""Scripts of languages that are written in no other, by their names in Unicode."""


def told_of(voice: Voice, is_unread: bool) -> tuple[str, ...]:
    """What those who use a voice are told of its transcript.

    Args:
        is_unread: a recogniser wrote it, and nobody has read it.
    """
    found = (
        _of_capitals(voice.ref_text),
        _of_script(voice.ref_text, voice.language),
        "" if is_unread else _of_pace(voice.ref_text, voice.wave.duration_s),
    )
    which = f"The transcript of the voice {voice.name!r}"
    notes = tuple(f"{which} {note}" for note in found if note)
    return (not_checked(voice.name), *notes) if is_unread else notes


def _of_capitals(text: str) -> str:
    cased = [char for char in text if char.isupper() or char.islower()]
    if len(cased) < FEWEST_LETTERS or sum(map(str.isupper, cased)) < CAPITALS * len(cased):
        return ""
    return "is in capitals, which may be spelled out in the speech. Send it in small letters."


def _of_script(text: str, language: str) -> str:
    meant = _SCRIPTS.get(language.replace("_", "-").partition("-")[0].strip().lower())
    script = script_of(text)
    if meant is None or not script or script in meant:
        return ""
    return (
        f"is in {_shown(script)} letters, in which {language!r} is not written. Send the words"
        " in the language that is spoken in the recording."
    )


def _of_pace(text: str, duration_s: float) -> str:
    letters = sum(map(str.isalnum, text))
    kind = "syllables" if script_of(text) in _SYLLABIC else "alphabet"
    slow, fast = USUAL_LETTERS_PER_S[kind]
    pace = letters / duration_s if duration_s else 0.0
    if slow <= pace <= fast:
        return ""
    return (
        f"has {pace:.1f} letters for each second of the recording, which is rare. Check that"
        " it holds all words that are said, and no others."
    )


def script_of(text: str) -> str:
    """The script of most letters of a text, by its name in Unicode; "" where there are few."""
    names = [unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()]
    if len(names) < FEWEST_LETTERS // 2:
        return ""
    name, count = Counter(names).most_common(1)[0]
    return name if count * 2 > len(names) else ""


def _shown(script: str) -> str:
    return "Chinese" if script == "CJK" else script.capitalize()
