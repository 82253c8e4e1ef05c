"""Which lines of a plain text are headings: "Chapter 3", "III.", "第三章", "Prologue"."""

from __future__ import annotations

import re

MAX_HEADING_CHARS = 100

_HIGH = (
    "part|book|volume|act|partie|livre|tome|acte|teil|buch|band|akt|parte|libro|acto|часть|книга"
    "|том"
)
_CHAPTER = "chapter|chapitre|kapitel|capítulo|capitulo|capitolo|hoofdstuk|rozdział|глава"
_OTHER = "scene|section|letter|canto|stave|deel|część"
_ROMAN = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![A-Za-z])"
_NUMBER = (
    rf"(?:\d{{1,4}}|{_ROMAN}|(?i:(?:the )?(?:one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve|\w{3,6}teen|\w{3,5}ty(?:-\w{3,5})?|first|second|third|last)))"
)
_NAMED = re.compile(
    rf"(?i:(?P<word>{_HIGH}|{_CHAPTER}|{_OTHER}))\s{{1,3}}{_NUMBER}"
    r"(?:\s?[.:—–-]|\s{1,3}[A-ZÀ-ÞА-Я\"'“‘«]|\s?$)"
    r"|第[\d〇零一二三四五六七八九十百千两]{1,7}(?P<unit>[章回节節話话部卷篇集幕])"
    rf"|(?i:(?:{_CHAPTER})\s\w{{3,16}}|\w{{4,16}}\s(?:kapitel|buch|teil|chapter|act|scene|canto))$"
)
_HIGH_WORDS = frozenset(_HIGH.split("|"))
_HIGH_UNITS = frozenset("部卷篇集幕")

_BARE_NUMBER = re.compile(rf"(?:{_ROMAN}|\d{{1,3}})\.?|[一二三四五六七八九十]{{1,3}}、?")
_NUMBER_AND_TITLE = re.compile(rf"{_ROMAN}\.\s{{1,3}}[A-ZÀ-Þ][^.!?]{{1,80}}")
_ALONE = re.compile(
    r"(?:prologue|epilogue|introduction|preface|foreword|afterword|conclusion|appendix|interlude"
    r"|prolog|epilog|vorwort|nachwort|einleitung|prólogo|epílogo|introducción|avant-propos|prologo"
    r"|epilogo|пролог|эпилог|序|序章|序言|前言|楔子|引子|尾声|后记|後記|あとがき|プロローグ|エピローグ)[.:]?",
    re.IGNORECASE,
)


def heading_level(line: str) -> int:
    """1 for a part, 2 for a chapter, 0 for a line that is no heading."""
    if len(line) > MAX_HEADING_CHARS:
        return 0
    if is_part(line):
        return 1
    is_heading = (
        is_named_heading(line)
        or is_bare_number(line)
        or _ALONE.fullmatch(line)
        or _NUMBER_AND_TITLE.fullmatch(line)
    )
    return 2 if is_heading else 0


def is_named_heading(line: str) -> bool:
    """Whether it begins as "Chapter 3" does."""
    return _NAMED.match(line) is not None


def is_part(line: str) -> bool:
    """Whether it is the heading of a part, which has chapters: "Part Two", "第一部"."""
    found = _NAMED.match(line)
    return found is not None and (
        (found["word"] or "").lower() in _HIGH_WORDS or found["unit"] in _HIGH_UNITS
    )


def is_bare_number(line: str) -> bool:
    """Whether it is a number and nothing else: "III.", "12"."""
    return _BARE_NUMBER.fullmatch(line) is not None
