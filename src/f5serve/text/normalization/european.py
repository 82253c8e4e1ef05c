"""Rules of text normalization for German, French, Spanish, Italian and Portuguese.

A language is a table (`EuropeanLanguage`); `build_rules` makes its rules, in the order in which
they apply: the more particular first, plain numbers last.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization.european_amounts import amount_rules, duration_rules
from f5serve.text.normalization.european_dates import date_rules
from f5serve.text.normalization.european_language import EuropeanLanguage
from f5serve.text.normalization.european_match import (
    RuleRow,
    any_of,
    roman_value,
    spaced,
    without_spaces,
    word_behind,
)
from f5serve.text.normalization.european_numbers import (
    DASH,
    NUMBER,
    SIGNED,
    SPACE,
    START,
    split_number,
)
from f5serve.text.normalization.european_words import (
    abbreviation_rules,
    address_rules,
    before_number_rule,
    dotted_rule,
    last_rules,
    roman_rules,
    sign_rules,
)
from f5serve.text.normalization.rules import Rule, apply_rules, make_rules

_LONGEST_PHONE = 16
_SHORTEST_PHONE = 7


def build_rules(
    language: EuropeanLanguage,
    first: Iterable[RuleRow] = (),
    before_numbers: Iterable[RuleRow] = (),
) -> tuple[Rule, ...]:
    """The rules of a language, in order.

    Args:
        language: its table.
        first: its own rules that come before all but addresses.
        before_numbers: its own rules that come after dates, times, money and measures.
    """
    table = [
        *address_rules(language),
        *first,
        *abbreviation_rules(language),
        *_phones(language),
        *duration_rules(language),
        *date_rules(language),
        dotted_rule(language),
        before_number_rule(language),
        _fraction_of_unit(language),
        *amount_rules(language),
        *before_numbers,
        *_ordinals(language),
        *roman_rules(language),
        *_seasons(language),
        *_fractions(language),
        *sign_rules(language),
        *_years(language),
        *_ranges(language),
        *_cardinals(language),
        *last_rules(language),
    ]
    return make_rules((kind, pattern, spaced(replace)) for kind, pattern, replace in table)


def verbalize_by(
    language: EuropeanLanguage, rules: tuple[Rule, ...], mapped: MappedText, off: frozenset[str]
) -> MappedText:
    """The text as it is spoken; as it is where CLDR's rules for numbers are not installed."""
    if not language.numbers.is_available():
        return mapped
    return apply_rules(mapped, rules, off)


def _phones(language: EuropeanLanguage) -> list[RuleRow]:
    phones = language.phones

    def say(match: re.Match[str]) -> str | None:
        groups = re.findall(r"\d++", match[0])
        if not _SHORTEST_PHONE <= sum(map(len, groups)) <= _LONGEST_PHONE:
            return None
        words = ", ".join(map(phones.group, groups))
        return f"{phones.plus} {words}" if match[0].startswith("+") else words

    national = "|".join(phones.patterns) or "(?!)"
    return [
        (
            "phone",
            rf"(?<![\w+])\+\d{{1,15}}+(?:(?:[ \u00a0\u2009\u202f./-]{{1,2}}|{SPACE}?\(|(?<=\)))"
            rf"\d{{1,12}}+\)?){{0,7}}+(?!\w)",
            say,
        ),
        ("phone", rf"(?<![\w.,/+-])(?:{national})(?!\w|[.,/-]\d)", say),
    ]


def _ordinals(language: EuropeanLanguage) -> list[RuleRow]:
    marks, numbers = language.ordinal_marks, language.numbers

    def say(match: re.Match[str]) -> str | None:
        digits = match["number"]
        if not digits.isdecimal():
            if match["mark"].isalpha() and not language.has_roman_ordinals:
                return None
            digits = str(roman_value(digits))
        return numbers.ordinal(digits, marks[match["mark"]]) if int(digits) else None

    return [
        (
            "ordinal",
            rf"(?<![\w.,])(?P<number>\d{{1,6}}|[IVX]{{1,7}})(?P<mark>{any_of(marks)})(?!\w)",
            say,
        ),
    ]


def _fractions(language: EuropeanLanguage) -> list[RuleRow]:
    fractions, numbers = language.fractions, language.numbers

    def say(match: re.Match[str]) -> str | None:
        if match["sign"]:
            top, _, bottom = unicodedata.normalize("NFKC", match["sign"]).partition("⁄")
        else:
            top, bottom = match["top"], match["bottom"]
        words = fractions.say(match["whole"] or "", top, bottom)
        if words is None:
            words = f"{numbers.number(top)} {fractions.over} {numbers.number(bottom)}"
            words = f"{numbers.number(match['whole'])} {words}" if match["whole"] else words
        return words

    def say_ratio(match: re.Match[str]) -> str:
        parts = re.findall(r"\d++", match[0])
        return f" {fractions.ratio} ".join(map(numbers.cardinal, parts))

    space = f"{SPACE}?"
    return [
        (
            "fraction",
            rf"(?<![\w/.,⁄])(?:(?P<whole>\d{{1,4}}){SPACE})?(?P<top>\d{{1,4}})[/⁄]"
            r"(?P<bottom>\d{1,4})(?![\d/⁄]|[.,]\d)(?P<sign>)",
            say,
        ),
        (
            "fraction",
            rf"(?:(?<![\d.,])(?P<whole>\d{{1,4}}){space})?(?P<sign>[¼-¾⅐-⅞])(?P<top>)(?P<bottom>)",
            say,
        ),
        ("ratio", r"(?<![\w:.,])\d{1,4}+(?::\d{1,4}+)++(?![\d:])", say_ratio),
        ("ratio", rf"(?<![\w:.,])\d{{1,4}}{SPACE}:{SPACE}\d{{1,4}}(?![\d:])", say_ratio),
    ]


def _fraction_of_unit(language: EuropeanLanguage) -> RuleRow:
    """Such as 1/2 l and 2 1/2 kg; before the rule that would take "2 l" alone."""
    units = language.measures.units
    nouns = {without_spaces(key): noun for key, noun in units.items()}
    numbers, fractions = language.numbers, language.fractions

    def say(match: re.Match[str]) -> str | None:
        top, _, bottom = (
            unicodedata.normalize("NFKC", match["part"]).replace("/", "⁄").partition("⁄")
        )
        words = fractions.say(match["whole"] or "", top, bottom)
        noun, whole = nouns[without_spaces(match["unit"])], match["whole"]
        if words is None:
            return None
        counted = numbers.cardinal(whole) if whole else ""
        if whole and fractions.splits_at_unit and words.startswith(counted):
            return numbers.counted(whole, noun) + words.removeprefix(counted)
        return f"{words} {noun.form(not whole)}"

    return (
        "measure",
        rf"(?<![\w.,/])(?:(?P<whole>\d{{1,4}}){SPACE}?)?"
        r"(?P<part>(?:(?<!\d)\d{1,2}[/⁄]\d{1,2}|[¼-¾⅐-⅞]))"
        rf"{SPACE}?(?P<unit>{any_of(units)})(?:(?<=\.)|(?!\w))",
        say,
    )


def _seasons(language: EuropeanLanguage) -> list[RuleRow]:
    numbers = language.numbers
    return [
        (
            "year",
            r"(?<![\w.,/-])(1[1-9]\d\d|20\d\d)/(\d\d)(?![\d/])",
            lambda match: f"{numbers.year(match[1])} {numbers.cardinal(match[2])}",
        ),
    ]


def _years(language: EuropeanLanguage) -> list[RuleRow]:
    if not language.years:
        return []
    return [("year", language.years, lambda match: language.numbers.year(match[0]))]


def _ranges(language: EuropeanLanguage) -> list[RuleRow]:
    numbers, fractions = language.numbers, language.fractions

    def say(match: re.Match[str]) -> str:
        low, high = match["low"], match["high"]
        is_years = re.fullmatch(r"1[1-9]\d\d|20\d\d", low) and len(high) in (2, 4)
        read = numbers.year if is_years else numbers.number
        is_falling = low.isdecimal() and high.isdecimal() and low.zfill(9) > high.zfill(9)
        if not is_falling or is_years or len(low) > 9:
            return f"{read(low)} {language.to} {read(high)}"
        to = (fractions.score or fractions.ratio) if len(low) < 3 else ""  # else a name: 747-400
        return " ".join(filter(None, (read(low), to, read(high))))

    def say_groups(match: re.Match[str]) -> str:
        return ", ".join(map(numbers.digits, match[0].split("-")))

    return [
        ("cardinal", r"(?<![\w-])(?=\d)\d{1,9}+(?:-\d{1,9}+){2,9}+(?![\w-])", say_groups),
        (
            "range",
            rf"(?<!\d[-–—])(?P<low>{SIGNED}){DASH}(?P<high>{NUMBER})(?![-–—]\d)",
            say,
        ),
    ]


def _cardinals(language: EuropeanLanguage) -> list[RuleRow]:
    numbers = language.numbers

    def say(match: re.Match[str]) -> str:
        return numbers.number(match[0], language.gender_before(word_behind(match)))

    def say_decimal(match: re.Match[str]) -> str | None:
        return numbers.number(match[0]) if split_number(match[0])[3] else None

    def say_list(match: re.Match[str]) -> str | None:
        if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3}){2,4}", match[0]):
            return None
        return ", ".join(map(numbers.cardinal, match[0].split(",")))

    return [
        ("cardinal", rf"{START}\d{{1,4}}+(?:,\d{{1,4}}+){{2,}}+(?![.\d])", say_list),
        ("decimal", SIGNED, say_decimal),
        ("cardinal", SIGNED, say),
        ("cardinal", r"\d++", say),
    ]
