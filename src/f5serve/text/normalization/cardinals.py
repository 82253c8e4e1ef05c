"""Plain numbers of languages that have no rules of their own, by Unicode's CLDR."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from f5serve.text.mapped_text import MappedText, Replacement
from f5serve.text.normalization import cardinals_tables as tables
from f5serve.text.normalization.cardinals_tables import NumberWords
from f5serve.text.normalization.rules import Rule, apply_rules, make_rules
from f5serve.text.numbers import MAX_DIGITS, ruleset_speller

_CHAIN = r"(?<![\d])(?<!\d[-–/:.,٫٬])\d++(?:[-–/:.,٫٬]\d++)*+"
"""Digits with marks between them: a number, a range, a date, a time."""

_SPACES = " \u00a0\u2009\u202f"
_SPACED = (
    rf"(?<![\d.,:/-])(?<!\d[{_SPACES}])[1-9]\d{{0,2}}(?P<space>[{_SPACES}])\d{{3}}"
    r"(?:(?P=space)\d{3})*+(?:[.,]\d++)?+(?!\d|[-/:.,]\d|(?P=space)\d)"
)
_GLUED_UNIT = re.compile(
    r"(?:[kcmd]?m[²³]?|[km]?g|[cdm]?l|[KMGT]B|[kM]?W|V|Hz|%|[км]?г|[мсд]?л|[кмс]?м|[A-ZА-ЯΑ-Ω])(?!\w)"
)
_ALPHABETS = re.compile("[A-Za-zÀ-ɏͰ-ϿЀ-ԯ]")

_LEFT = (
    ("dates", "date", r"\d[./-]\d++[./-]\d|\d\. ?+(?=[^\W\d_])"),
    ("times", "time", r"\d:\d\d|(?<![\d.])\d{1,2}\.\d\d(?![\d.])"),
    ("fractions", "fraction", r"\d/\d|[½⅓⅔¼¾⅕-⅞]"),
    ("ordinals", "ordinal", r"\d[-'’:]?[^\W\d_]"),
    ("signs", "sign", r"[%€$£¥₽₴₺₹₩₫฿₪°&@#+=×÷<>≤≥±§√]"),
)
"""What is left alone: its name, its kind, and how it is found."""


class _Number(NamedTuple):
    """A number as digits; `fraction` is None where it is whole."""

    whole: str
    fraction: str | None = None


def verbalize_cardinals(
    mapped: MappedText, language: str, off: frozenset[str] = frozenset()
) -> tuple[MappedText, str]:
    """Plain numbers, simple decimals and percent as words, and a warning of what is left alone.

    Args:
        language: ISO 639-1; where its numbers are not known, nothing is changed.
        off: kinds of rules that leave the text alone.
    """
    language = tables.SAME.get(language, language)
    rules = _rules(language)
    if rules:
        mapped = apply_rules(mapped, rules, off)
    return mapped, _warning(mapped.text, language, off, bool(rules))


def _warning(text: str, language: str, off: frozenset[str], has_numbers: bool) -> str:
    left = [name for name, kind, pattern in _LEFT if kind not in off and re.search(pattern, text)]
    if not has_numbers and "cardinal" not in off and re.search(r"\d", text):
        left.insert(0, "numbers")
    if not left:
        return ""
    listed = " and ".join(filter(None, [", ".join(left[:-1]), left[-1]])).capitalize()
    if not language:
        return f"{listed} are not read as words where the language is unknown: send `language`."
    name = tables.NAMES.get(language, f"the language {language}")
    return f"{listed} are not read as words in {name}: write them out, or send `language`."


@lru_cache(maxsize=32)
def _rules(language: str) -> tuple[Rule, ...]:
    """The rules of a language; none where its numbers are not known."""
    words_of = _speller(language)
    if words_of is None:
        return ()
    own = tables.WORDS.get(language, NumberWords(""))
    reader = _Reader(language, own, words_of)
    table: list[tuple[str, str, Replacement]] = []
    if own.minus:
        table.append(("sign", r"(?<![^\s(\[])[-−](?=\d)", lambda match: f"{own.minus} "))
    if own.percent_first:
        table.append(("percent", rf"[%٪]\s?({_CHAIN})", reader.percent))
    if own.percent:
        table.append(("percent", rf"({_CHAIN})\s?[%٪]", reader.percent))
    if language == "ko":
        table.append(("cardinal", rf"{_CHAIN}\s?{tables.KOREAN_COUNTERS}", _count_in_korean))
    if not own.point:
        table.append(("cardinal", _SPACED, reader.spaced))
    table.append(("decimal", _CHAIN, reader.decimal))
    table.append(("cardinal", _CHAIN, reader.cardinal))
    return make_rules(table)


def _speller(language: str) -> Callable[[str], str] | None:
    """Digits to words, with CLDR's mistakes mended; None where they are not known."""
    by_rules = None
    if language and language not in tables.WRONG:
        by_rules = ruleset_speller(tables.RULES_OF.get(language, language))
    if by_rules is None or not by_rules(1):
        return None
    words_of = by_rules
    longest = tables.LONGEST.get(language, MAX_DIGITS)
    mends = [(re.compile(wrong), right) for wrong, right in tables.MENDS.get(language, ())]

    def number(value: int) -> str:
        words = words_of(value).replace("\u200b", "")
        for wrong, right in mends:
            words = wrong.sub(right, words)
        return words

    names = [number(digit) for digit in range(10)]

    def spell(digits: str) -> str:
        if len(digits) > longest or (len(digits) > 1 and digits[0] == "0"):
            return " ".join(names[int(digit)] for digit in digits)
        return number(int(digits))

    return spell


class _Reader:
    """Reads chains of digits and marks in one language."""

    def __init__(self, language: str, own: NumberWords, spell: Callable[[str], str]) -> None:
        self.language = language
        self.own = own
        self.spell = spell
        self._numbers = lru_cache(maxsize=1024)(self._read)

    def cardinal(self, match: re.Match[str]) -> str | None:
        """Whole numbers, and ranges of them."""
        numbers = self._numbers(match[0])
        if not numbers or any(number.fraction is not None for number in numbers):
            return None
        return self._words_in_place(match, numbers)

    def decimal(self, match: re.Match[str]) -> str | None:
        """Numbers with a decimal mark, where the word for it is known."""
        numbers = self._numbers(match[0])
        if not any(number.fraction is not None for number in numbers):
            return None
        return self._words_in_place(match, numbers)

    def spaced(self, match: re.Match[str]) -> str | None:
        """Groups of three digits with spaces between them."""
        whole, mark, fraction = re.sub(match["space"], "", match[0]).partition(",")
        if not mark:
            whole, mark, fraction = whole.partition(".")
        if fraction and not self.own.mark:
            return None
        number = _Number(_ascii(whole), _ascii(fraction) if fraction else None)
        return self._words_in_place(match, [number])

    def percent(self, match: re.Match[str]) -> str | None:
        """A number and the sign."""
        numbers = self._numbers(match[1])
        if not numbers:
            return None
        words = self._joined(numbers)
        sign = _form(self.own, numbers[-1])
        for last, neuter in tables.BEFORE_PERCENT.get(self.language, ()):
            words = re.sub(rf"\b{last}$", neuter, words)
        spoken = f"{sign} {words}" if self.own.percent_first else f"{words} {sign}"
        return _apart(match, spoken)

    def _words_in_place(self, match: re.Match[str], numbers: list[_Number]) -> str | None:
        if not self._is_free(match):
            return None
        return _apart(match, self._joined(numbers))

    def _joined(self, numbers: list[_Number]) -> str:
        return " – ".join(map(self._say, numbers))

    def _say(self, number: _Number) -> str:
        whole = self.spell(number.whole)
        if number.fraction is None:
            return whole
        fraction = number.fraction
        if self.own.digits or len(fraction) > 2 or fraction.startswith("0"):
            decimals = " ".join(map(self.spell, fraction))
        else:
            decimals = self.spell(fraction)
        return f"{whole} {self.own.mark} {decimals}"

    def _is_free(self, match: re.Match[str]) -> bool:
        """Whether nothing behind the digits makes another thing of them: an ordinal, an ending."""
        rest = match.string[match.end() : match.end() + 4]
        if _ALPHABETS.match(rest):
            return _GLUED_UNIT.match(match.string, match.end()) is not None
        if rest[1:2].isalpha() and rest[0] in "-–:'’/":
            return rest[0] in tables.SUFFIXES.get(self.language, "")
        if self.language in tables.ORDINAL_DOT and re.match(r"\. ?+[^\W\d_]", rest):
            return rest.lstrip(". ")[:1].isupper()
        return not re.match(r"\. ?\d|[/:]\d", rest)

    def _read(self, chain: str) -> list[_Number]:
        """One number, or the two of a range; none where the chain is something else."""
        parts = re.split("[-–]", chain)
        if len(parts) > 2 or re.search("[/:]", chain):
            return []
        numbers = [self._number(part) for part in parts]
        return [number for number in numbers if number] if all(numbers) else []

    def _number(self, text: str) -> _Number | None:
        if text.isdecimal():
            return _Number(_ascii(text))
        marks = re.findall(r"\D", text)
        parts = list(map(_ascii, re.split(r"\D", text)))
        grouping = ",٬" if self.own.point else ".٬"
        is_group = len(marks) > 1 or marks[0] in grouping
        if len(set(marks)) == 1 and is_group and self._are_groups(parts):
            return _Number("".join(parts))
        *groups, fraction = parts
        if not self.own.mark or len(set(marks[:-1])) > 1 or marks[-1] in marks[:-1]:
            return None
        if len(groups) > 1 and not self._are_groups(groups):
            return None
        if self.language in tables.TIME_DOT and re.fullmatch(r"([01]?\d|2[0-3])\.[0-5]\d", text):
            return None
        return _Number("".join(groups), fraction)

    def _are_groups(self, parts: list[str]) -> bool:
        sizes = {len(part) for part in parts[1:-1]}
        allowed = {2, 3} if self.language in ("hi", "ne") else {3}
        return (
            1 <= len(parts[0]) <= 3
            and parts[0][0] != "0"
            and sizes <= allowed
            and len(parts[-1]) == 3
        )


def _form(own: NumberWords, number: _Number) -> str:
    """The word for percent that goes with a number."""
    forms = own.percent.split("/")
    value = int(number.whole[-4:])
    last, is_teen = value % 10, 10 < value % 100 < 20
    is_one = number.whole == "1" and number.fraction is None
    if len(forms) < 3:
        return forms[0 if is_one else -1]
    if number.fraction is not None:
        return forms[3]
    if own.plural == "czech":
        return forms[0 if is_one else 1 if number.whole in ("2", "3", "4") else 2]
    if last == 1 and not is_teen:
        return forms[0]
    few = range(2, 10 if own.plural == "baltic" else 5)
    return forms[1 if last in few and not is_teen else 2]


def _count_in_korean(match: re.Match[str]) -> str | None:
    """Native numbers before the nouns that want them: 3 -> the number of three things."""
    found = re.fullmatch(r"(\d{1,2})\s?(\D+)", match[0])
    say = ruleset_speller("ko", "spellout-cardinal-native-attributive")
    if found is None or say is None or found[1].startswith("0"):
        return None
    if found[2] == "시" and int(found[1]) > 12:
        return None
    return f"{say(int(found[1]))} {found[2]}"


def _apart(match: re.Match[str], words: str) -> str:
    """The words, with spaces where they would run into letters of an alphabet."""
    text, start, end = match.string, match.start(), match.end()
    before = " " if start and _ALPHABETS.match(text[start - 1]) else ""
    after = " " if _ALPHABETS.match(text[end : end + 1]) else ""
    return f"{before}{words}{after}"


def _ascii(digits: str) -> str:
    if digits.isascii():
        return digits
    return "".join(str(unicodedata.decimal(digit)) for digit in digits)
