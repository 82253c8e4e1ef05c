"""Transcripts: reads them from text, SRT and CSV files, and warns about unlikely ones."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter

from f5serve.errors import InvalidRequest
from f5serve.types import Voice
from f5serve.voices.names import describe

MAX_TRANSCRIPT_BYTES = 65_536
MAX_TABLE_BYTES = 4_000_000

_TIMES = re.compile(r"\s*[\d:.,]+\s*-->\s*[\d:.,]+.*")
_TAGS = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_DELIMITERS = ",;\t|"
_FILE_TITLES = frozenset({"file", "filename", "file_name", "audio", "audio_file", "path", "wav"})
_TEXT_TITLES = frozenset({"text", "transcript", "transcription", "ref_text", "sentence"})

MAX_UPPER_SHARE = 0.9
"""Share of upper-case letters from which on a transcript is warned about."""

MIN_LETTERS = 8
"""Shorter transcripts are not warned about."""

USUAL_LETTERS_PER_S = {"alphabet": (3.0, 25.0), "syllables": (1.2, 14.0)}
"""A rate outside of it is rare: the transcript is of another recording, or of a part of it."""

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
"""The only scripts of a language, by the first word of Unicode character names."""


def decode_text(data: bytes, what: str, max_bytes: int = MAX_TRANSCRIPT_BYTES) -> str:
    """Decodes UTF-8, or UTF-16 with a byte order mark.

    Args:
        what: name of the text in errors.

    Raises:
        InvalidRequest: code NOT_TEXT or TEXT_TOO_LONG.
    """
    if len(data) > max_bytes:
        raise InvalidRequest(
            f"{what} has {len(data):,} bytes; {max_bytes:,} is the limit.",
            code="TEXT_TOO_LONG",
            hint="Send the words of the recording, and no others.",
        )
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"{what} is not text in UTF-8.", code="NOT_TEXT", hint="Save it as plain UTF-8 text."
        ) from None


def read_srt(text: str) -> str:
    """The text of all cues of an SRT file, without numbers, times and markup."""
    lines = text.splitlines()
    kept: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        is_number = line.strip().isdecimal() and _TIMES.fullmatch(following) is not None
        if not is_number and not _TIMES.fullmatch(line):
            kept.append(_TAGS.sub("", line).strip())
    return " ".join(filter(None, kept))


def read_words(text: str) -> str | None:
    """The text of a CSV table `word,start_time,end_time,confidence`; None for other tables.

    Earlier versions wrote words without quotes, so everything before the last three columns is
    one word, commas included.
    """
    rows = _rows(text)
    titles = [title.strip().lower() for title in rows[0]] if rows else []
    if titles[:1] != ["word"]:
        return None
    times = len(titles) - 1
    words = [",".join(row[: max(1, len(row) - times)]).strip() for row in rows[1:]]
    return " ".join(filter(None, words))


def read_table(text: str) -> dict[str, str] | None:
    """Transcripts by file, of a CSV table with a header such as `file,text`; None for others."""
    rows = _rows(text)
    titles = [title.strip().lower() for title in rows[0]] if rows else []
    files = [i for i, title in enumerate(titles) if title in _FILE_TITLES]
    texts = [i for i, title in enumerate(titles) if title in _TEXT_TITLES]
    if not files or not texts:
        return None
    file, words = files[0], texts[0]
    full = [row for row in rows[1:] if len(row) > max(file, words)]
    return {row[file].strip(): row[words].strip() for row in full}


def _rows(text: str) -> list[list[str]]:
    title = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=title.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter))
    except csv.Error:  # an unclosed quote, or a cell beyond the module's limit
        return []
    return [row for row in rows if any(cell.strip() for cell in row)]


def transcript_warnings(voice: Voice, is_unread: bool) -> tuple[str, ...]:
    """What is unlikely about the transcript of a voice, as sentences for users.

    Args:
        is_unread: a recogniser wrote the transcript, and it was not confirmed.
    """
    found = (
        _case_warning(voice.ref_text),
        _script_warning(voice.ref_text, voice.language),
        "" if is_unread else _rate_warning(voice.ref_text, voice.wave.duration_s),
    )
    subject = f"The transcript of the {describe(voice.name, voice.style)}"
    unread = (
        f"{subject} was written by a recogniser; wrong words in it are "
        "heard in the speech. Read it, and send the voice again with the right one."
    )
    warnings = tuple(f"{subject} {warning}" for warning in found if warning)
    return (unread, *warnings) if is_unread else warnings


def _case_warning(text: str) -> str:
    cased = [char for char in text if char.isupper() or char.islower()]
    if len(cased) < MIN_LETTERS or sum(map(str.isupper, cased)) < MAX_UPPER_SHARE * len(cased):
        return ""
    return "is in capitals, which may be spelled out in the speech. Send it in small letters."


def _script_warning(text: str, language: str) -> str:
    expected = _SCRIPTS.get(language.replace("_", "-").partition("-")[0].strip().lower())
    script = _main_script(text)
    if expected is None or not script or script in expected:
        return ""
    shown = "Chinese" if script == "CJK" else script.capitalize()
    return (
        f"is in {shown} letters, in which {language!r} is not written. Send the words"
        " in the language that is spoken in the recording."
    )


def _rate_warning(text: str, duration_s: float) -> str:
    kind = "syllables" if _main_script(text) in _SYLLABIC else "alphabet"
    slow, fast = USUAL_LETTERS_PER_S[kind]
    rate = sum(map(str.isalnum, text)) / duration_s if duration_s else 0.0
    if slow <= rate <= fast:
        return ""
    return (
        f"has {rate:.1f} letters for each second of the recording, which is rare. Check that"
        " it holds all words that are said, and no others."
    )


def _main_script(text: str) -> str:
    """The script of most letters of a text; "" if there are few letters."""
    names = [unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()]
    if len(names) < MIN_LETTERS // 2:
        return ""
    name, count = Counter(names).most_common(1)[0]
    return name if count * 2 > len(names) else ""
