"""Rules that Spanish, Italian and Portuguese share beside those of `european.py`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from f5serve.text.normalization.european_match import (
    LETTER,
    RuleRow,
    any_of,
    roman_value,
    without_spaces,
    word_before,
)
from f5serve.text.normalization.european_numbers import SPACE, Noun, Numbers

_PART = (
    rf"(?<![\w/.,⁄])(?<!\d{SPACE})"
    r"(?:(?P<top>\d{1,2})[/⁄](?P<bottom>\d{1,2})(?![\d/⁄]|[.,]\d)|(?P<sign>[½⅓⅔¼¾]))"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """How parts of things are spoken.

    Attributes:
        numbers: of the language.
        units: as they are written, to their nouns.
        halves: the words for a half, masculine and feminine.
        of: between another part and the unit.
        link: between a number and a half: "y".
        say: as `Fractions.say`.
        is_feminine: whether a noun is, in the singular or the plural.
    """

    numbers: Numbers
    units: Mapping[str, Noun]
    halves: tuple[str, str]
    of: str
    link: str
    say: Callable[[str, str, str], str | None]
    is_feminine: Callable[[str], bool]


def part_rows(parts: Parts) -> list[RuleRow]:
    """Parts of a unit or of a thing: "1/2 kg" -> "medio kilogramo", "½ taza" -> "media taza"."""
    units, halves = parts.units, parts.halves
    nouns = {without_spaces(key): noun for key, noun in units.items()}

    def part_of_unit(match: re.Match[str]) -> str | None:
        noun, (top, bottom) = nouns[without_spaces(match["unit"])], _halves(match)
        if (top, bottom) == ("1", "2"):
            return f"{halves[noun.gender == 'f']} {noun.one}"
        words = parts.say("", top, bottom)
        return f"{words} {parts.of} {noun.one}" if words else None

    def half(match: re.Match[str]) -> str | None:
        if _halves(match) != ("1", "2"):
            return None
        return halves[parts.is_feminine(match["word"])]

    def and_a_half(match: re.Match[str]) -> str:
        noun = nouns.get(match["word"])
        words = noun.form(is_one=match["whole"] == "1") if noun else match["word"]
        feminine = noun.gender == "f" if noun else parts.is_feminine(words)
        number = parts.numbers.cardinal(match["whole"], "f" if feminine else "m")
        return f"{number} {words} {parts.link} {halves[feminine]}"

    return [
        (
            "measure",
            rf"(?<![\w/.,])(?P<whole>[1-9]\d{{0,2}})(?:{SPACE}1[/⁄]2|{SPACE}?½){SPACE}"
            rf"(?P<word>{any_of(units)}|{LETTER}{{2,30}})(?!\w)",
            and_a_half,
        ),
        ("measure", rf"{_PART}{SPACE}?(?P<unit>{any_of(units)})(?!\w)", part_of_unit),
        ("fraction", rf"{_PART}(?={SPACE}(?P<word>{LETTER}{{1,30}}))", half),
    ]


def _halves(match: re.Match[str]) -> tuple[str, str]:
    if match["sign"]:
        top, _, bottom = unicodedata.normalize("NFKC", match["sign"]).partition("⁄")
        return top, bottom
    return match["top"], match["bottom"]


def one_row(
    before: frozenset[str],
    nouns: frozenset[str],
    no_nouns: frozenset[str],
    say: Callable[[str], str],
) -> RuleRow:
    """The number 1 before a noun is an article: "hay 1 persona" -> "hay una persona".

    Behind a noun it is a number: "capítulo 1".

    Args:
        before: words in small letters after which it is one; so it is after a mark.
        nouns: words before which it always is one.
        no_nouns: words before which it never is.
        say: the word behind, to the article with its space.
    """

    def article(match: re.Match[str]) -> str | None:
        word = match["word"]
        head = match.string[max(0, match.start() - 2) : match.start()].rstrip()
        is_article = (
            word.lower() in nouns
            or not head
            or head[-1] in ",:;.!?(¿¡"
            or word_before(match).lower() in before
        )
        return say(word) if is_article and word.lower() not in no_nouns else None

    return (
        "cardinal",
        rf"(?<![\w.,/:+-])1{SPACE}(?=(?P<word>{LETTER}{{3,30}})(?!\w))",
        article,
    )


def shared_rows(degrees: str, kilometre: str) -> list[RuleRow]:
    """Signs that stand for degrees where they cannot be ordinals, and "km 45" of a road."""

    def say_degrees(match: re.Match[str]) -> str | None:
        number = match["number"]
        is_ordinal = number.isdecimal() and int(number) < 13
        return None if is_ordinal else f"{number} {degrees}"

    return [
        (
            "temperature",
            r"(?<![\w.,])(?P<number>\d{1,3}[.,]\d{1,2})[°º](?!\w)",
            say_degrees,
        ),
        (
            "temperature",
            r"(?<![\w.,])(?P<number>\d{1,3})°(?=\s?(?:[.,;:!?)]|$))",
            say_degrees,
        ),
        ("temperature", r"(?<![\w)])(?P<number>[-−]\d{1,3})[°º](?!\w)", say_degrees),
        (
            "temperature",
            r"(?<!\w)(?P<number>(?i:hace|hacía|fa|faz|fazia) \d{1,3})[°º](?!\w)",
            say_degrees,
        ),
        (
            "measure",
            rf"(?<![\w/])(?<!\d{SPACE})[kK]m\.?{SPACE}(?=\d)",
            lambda match: f"{kilometre} ",
        ),
    ]


def pair_row(words: str, links: str, say: Callable[[str, int], str]) -> RuleRow:
    """Two Roman numerals behind one word: "siglos XV y XVI".

    Args:
        words: pattern of the word.
        links: pattern of what stands between the two.
        say: the word and a value to the words of the number.
    """

    def both(match: re.Match[str]) -> str | None:
        low, high = roman_value(match["low"]), roman_value(match["high"])
        if not low or not high:
            return None
        word = match["word"]
        return f"{word} {say(word, low)} {match['link']} {say(word, high)}"

    roman = "[IVXL]{1,7}"
    return (
        "roman",
        rf"(?<!\w)(?P<word>(?i:{words})){SPACE}(?P<low>{roman}){SPACE}(?P<link>{links}){SPACE}"
        rf"(?P<high>{roman})(?!\w)",
        both,
    )


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def numeral_row(numbers: Numbers, nouns: Mapping[str, str], most: int = 20) -> RuleRow:
    """Roman numerals before a noun: "II Guerra" -> "segunda Guerra"; above `most` a cardinal.

    Args:
        numbers: of the language.
        nouns: each noun to its form of `Numbers.ordinals`.
        most: the last ordinal.
    """
    genders = {noun.lower(): gender for noun, gender in nouns.items()}

    def say(match: re.Match[str]) -> str | None:
        value = roman_value(match["roman"])
        if not value:
            return None
        if value > most:
            return numbers.cardinal(str(value))
        return numbers.ordinal(str(value), genders[match["noun"].lower()])

    noun = any_of(genders)
    return (
        "roman",
        rf"(?<![\w-])(?P<roman>[IVXL]{{1,7}})(?={SPACE}(?P<noun>(?i:{noun}))(?!\w))",
        say,
    )
