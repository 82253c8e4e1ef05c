"""Finds the language of a text: by its script, then by its words and letters.

Scripts that one language mostly uses decide alone. Texts in Latin letters are distinguished by
frequent words and by letters that few languages have; without clear evidence the language of the
voice counts, and plain letters without one are taken for English.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache

from f5serve.errors import InvalidRequest
from f5serve.text.language_words import CORE, ENDINGS, MARKS, WORDS

_SCRIPTS = {
    "ja": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "ko": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff",
    "zh": "\u2e80-\u2fdf\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "ru": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "ar": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "he": "\u0590-\u05ff\ufb1d-\ufb4f",
    "hi": "\u0900-\u097f\ua8e0-\ua8ff",
    "th": "\u0e00-\u0e7f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "bn": "\u0980-\u09ff", "pa": "\u0a00-\u0a7f", "gu": "\u0a80-\u0aff", "or": "\u0b00-\u0b7f",
    "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f", "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff", "lo": "\u0e80-\u0eff", "bo": "\u0f00-\u0fff", "my": "\u1000-\u109f",
    "ka": "\u10a0-\u10ff\u1c90-\u1cbf", "am": "\u1200-\u139f", "km": "\u1780-\u17ff",
    "hy": "\u0530-\u058f",
}  # fmt: skip
"""The language that is assumed for each script, and the script's characters."""

_RUN = re.compile("|".join(f"(?P<{name}>[{chars}]+)" for name, chars in _SCRIPTS.items()))

_ALSO = {
    "ru": {
        "uk": "їєґ", "be": "ў", "sr": "ђћ", "mk": "ѓќѕ", "kk": "әғқұһ", "mn": "", "bg": "",
        "ky": "", "tg": "ҷӣӯ", "tt": "",
    },
    "ar": {"ur": "ٹڈڑںے", "ps": "ښځڅ", "ku": "ێۆڕڵ", "fa": "پچژگ", "ug": "", "sd": ""},
    "hi": {"mr": "", "ne": "", "sa": ""},
    "zh": {"ja": "", "yue": ""},
    "he": {"yi": ""},
    "bn": {"as": "ৰৱ"},
    "am": {"ti": ""},
}  # fmt: skip
"""Other languages of a script, with letters that tell them apart; the first that has some wins."""

_MOSTLY = 0.5
_KANA = 0.1
"""More kana than this, and a text in Chinese characters is Japanese."""

_OWN_LETTERS = 0.005
"""A share of letters below this may come from names of another language."""

_FOREIGN_LETTERS = 0.06
"""More accented letters than this, and a Latin text of unknown language is not English."""

_WORD = re.compile(r"[^\W\d_]++'?")
"""With its apostrophe, which shows what was left out: l' of l'eau, don' of don't."""

_SAMPLE = 20_000
"""Characters of a text in Latin letters that are looked at."""

_CORE_WEIGHT, _ENDING_WEIGHT, _LONG_WORD = 0.7, 0.6, 5

_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*+")
MAX_TAG_CHARS = 35
_REGION = re.compile(r"[A-Za-z]{2}|\d{3}")
_MONTH_FIRST = ("", "US", "CA", "PH", "PR", "GU", "VI", "AS")
"""Regions of English where 03/04 is the fourth of March; none is the United States."""

_LONG_NAMES = {
    "ces": "cs", "cze": "cs", "cmn": "zh", "deu": "de", "dut": "nl", "ell": "el", "eng": "en",
    "fas": "fa", "fin": "fi", "fra": "fr", "fre": "fr", "ger": "de", "gre": "el", "hin": "hi",
    "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl", "per": "fa",
    "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "rus": "ru", "spa": "es", "swe": "sv",
    "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi", "zho": "zh", "chi": "zh",
    "ara": "ar", "heb": "he", "dan": "da", "nor": "no", "nb": "no", "nn": "no", "iw": "he",
    "in": "id", "ji": "yi",
}  # fmt: skip
"""ISO 639-2 and withdrawn or narrower codes that people send for those of ISO 639-1."""


def canonical_tag(tag: str) -> str:
    """A BCP 47 tag as its language and its region: "zh-Hans-cn" -> "zh-CN", "eng" -> "en".

    Raises:
        InvalidRequest: code BAD_OPTION for what is no tag.
    """
    language = parse_tag(tag)
    region = next((part for part in tag.split("-")[1:] if _REGION.fullmatch(part)), "")
    return f"{language}-{region.upper()}" if region else language


def is_day_first(tag: str) -> bool:
    """Whether English dates in digits have their day first, by the region of a canonical tag."""
    language, _, region = tag.partition("-")
    return language == "en" and region not in _MONTH_FIRST


def parse_tag(tag: str) -> str:
    """The language of a BCP 47 tag, ISO 639-1 where there is one: "pt-BR" -> "pt".

    Raises:
        InvalidRequest: code BAD_OPTION for what is no tag.
    """
    if len(tag) > MAX_TAG_CHARS or not _TAG.fullmatch(tag):
        raise InvalidRequest(
            f"{tag[: MAX_TAG_CHARS + 1]!r} is no language tag.",
            code="BAD_OPTION",
            hint="Give a tag of BCP 47 with hyphens, such as en, pt-BR or zh-Hans.",
        )
    return _primary(tag)


def language_of(text: str, spoken: str = "") -> str:
    """The language of a text, ISO 639-1; "" if unknown.

    The script decides first, then frequent words and rare letters, then the language of the
    speaker. Plain Latin letters without any evidence, or with a speaker whose language is written
    in another script, are taken for English.

    Args:
        spoken: the language of the speaker, a BCP 47 tag, or "".
    """
    spoken = _primary(spoken)
    count = sum(map(str.isalpha, text))
    if not count:
        return spoken
    if not text.isascii():
        script = _script_language(text, count)
        if script:
            return _within_script(text, count, script, spoken)
    if spoken and not _is_latin(spoken):
        spoken = ""
    if spoken and spoken not in WORDS:
        return spoken
    found = _by_words(text, spoken) or spoken
    if found:
        return found
    foreign = sum(char.isalpha() for char in text if char > "\x7f")
    return "en" if foreign <= _FOREIGN_LETTERS * count else ""


def _primary(tag: str) -> str:
    language = tag.strip().lower().replace("_", "-").partition("-")[0]
    return _LONG_NAMES.get(language, language)


def _is_latin(language: str) -> bool:
    return language not in _SCRIPTS and not any(language in also for also in _ALSO.values())


def _script_language(text: str, count: int) -> str:
    """The language assumed for the script of most letters; "" for Latin ones, and for a mixture."""
    letters: Counter[str] = Counter()
    for run in _RUN.finditer(text):
        letters[run.lastgroup or ""] += sum(map(str.isalpha, run[0]))
    for language in _SCRIPTS:
        share = letters[language] / count
        if share > _MOSTLY or (language == "ja" and share > _KANA):
            return language
    return ""


def _within_script(text: str, count: int, script: str, spoken: str) -> str:
    """One of the languages of a script: by letters of its own, then by the speaker."""
    also = _ALSO.get(script, {})
    lower = text.lower()
    for language, letters in also.items():
        if sum(map(lower.count, letters)) > _OWN_LETTERS * count:
            return language
    return spoken if spoken in also else script


def _by_words(text: str, spoken: str) -> str:
    """The language that words and letters speak for; "" without clear evidence."""
    text = text[:_SAMPLE]
    words = _WORD.findall(text.lower().replace("’", "'"))
    scores = _scores(words, text)
    if not scores:
        return ""
    best, score = max(scores.items(), key=lambda item: item[1])
    if best == spoken:
        return best
    share = score / max(1, len(words))
    second = max((value for name, value in scores.items() if name != best), default=0.0)
    if spoken:  # names and loanwords are no change of language
        is_clear = score >= 1.5 and share >= 0.25 and score >= 2 * scores.get(spoken, 0.0) + 0.5
    else:
        is_clear = score >= 0.6 and share >= 0.12 and score >= 2 * scores.get("en", 0.0)
    return best if (is_clear or (best == "en" and not spoken)) and score >= 1.25 * second else ""


def _scores(words: list[str], text: str) -> dict[str, float]:
    """How much speaks for each language: 1 for a word that it alone has, less for shared ones."""
    weights, marks = _tables()
    scores: defaultdict[str, float] = defaultdict(float)
    for word, times in Counter(words).items():
        times = 1 if len(word) == 1 else times  # an initial, or a letter of a list
        for language, weight in weights.get(word, ()):
            scores[language] += times * weight
        if word not in weights and len(word) >= _LONG_WORD:
            for language, endings in ENDINGS.items():
                scores[language] += _ENDING_WEIGHT * times * word.endswith(endings)
    if not text.isascii():
        for mark, times in Counter(filter(marks.__contains__, text.lower())).items():
            for language, weight in marks[mark]:
                scores[language] += times * weight
    return dict(scores)


_Weights = dict[str, list[tuple[str, float]]]


@cache
def _tables() -> tuple[_Weights, _Weights]:
    """The languages of each word and of each mark, and how much it speaks for each."""
    words, marks = _weights(WORDS), _weights(MARKS)
    for language, core in CORE.items():
        for word in core:
            found = words.get(word, [])
            others = [(name, weight) for name, weight in found if name != language]
            own = max(_CORE_WEIGHT, 1 / (len(others) + 1))
            words[word] = [*others, (language, own)]
    return words, marks


def _weights(table: dict[str, frozenset[str]]) -> _Weights:
    languages: defaultdict[str, list[str]] = defaultdict(list)
    for language, parts in table.items():
        for part in parts:
            languages[part].append(language)
    return {part: [(name, 1 / len(own)) for name in own] for part, own in languages.items()}
