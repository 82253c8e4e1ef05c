"""Amounts in European languages: money, measures, percent, temperatures and durations."""

from __future__ import annotations

import re
from collections.abc import Mapping

from f5serve.text.mapped_text import Replacement
from f5serve.text.normalization.european_language import Currency, EuropeanLanguage, Measures
from f5serve.text.normalization.european_match import LETTER, RuleRow, any_of, without_spaces
from f5serve.text.normalization.european_numbers import (
    DASH,
    NUMBER,
    SIGNED,
    SPACE,
    Noun,
    split_number,
)

_AMOUNT = rf"(?P<low>{SIGNED})(?:{DASH}(?P<high>{NUMBER}))?"
_TO = rf"(?P<to>{DASH}(?=\d))?"
"""Behind a unit: the dash of a range whose ends both have one, 5%-10%."""

_VOWELS = "aeiouyhàâéèêëîïôûù"


def amount_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Rules in the order in which they apply."""
    measures = language.measures
    return [
        *_money_rules(language),
        _unit_rule(language, "percent", measures.percents),
        _unit_rule(language, "temperature", measures.temperatures),
        _unit_rule(language, "measure", measures.units),
        *_magnitude_rules(language),
    ]


def _range_end(language: EuropeanLanguage, match: re.Match[str]) -> str:
    return f" {language.to} " if match["to"] else ""


def _unit_rule(language: EuropeanLanguage, kind: str, units: Mapping[str, Noun]) -> RuleRow:
    numbers = language.numbers
    nouns = {without_spaces(key): noun for key, noun in units.items()}

    def say(match: re.Match[str]) -> str:
        noun = nouns[without_spaces(match["unit"])]
        low, high = match["low"], match["high"]
        words = f"{numbers.number(low, noun.gender)} {language.to} " if high else ""
        words += numbers.counted(high or low, noun)
        if match["per"]:
            divisor = nouns.get(match["per"])
            words += f" {language.measures.per} {divisor.one if divisor else match['per']}"
        return words + _range_end(language, match)

    unit = any_of(units)
    pattern = (
        rf"{_AMOUNT}(?:{SPACE}|-)?(?P<unit>{unit})(?:(?<=\.)|(?!\w))"
        rf"(?:/(?P<per>{unit}|{LETTER}{{2,20}}+)(?!\w))?{_TO}"
    )
    return kind, pattern, say


def duration_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Hours, minutes and seconds that last; they come before times of a day."""
    measures, numbers = language.measures, language.numbers

    def say(match: re.Match[str]) -> str:
        nouns = (measures.hour, measures.minute, measures.second)
        found = [
            numbers.counted(value.lstrip("0") or "0", noun)
            for value, noun in zip(match.groups(), nouns, strict=True)
            if value
        ]
        return _join(found, measures)

    begin, s = r"(?<![\w.,:])", f"{SPACE}?"
    return [
        (
            "time",
            rf"{begin}(\d{{1,4}}){s}h{s}(\d{{1,2}}){s}(?:m|min)\.?(?:{s}(\d{{1,2}}){s}s)?(?!\w)",
            say,
        ),
        ("time", rf"{begin}()(\d{{1,4}}){s}(?:m|min){s}(\d{{1,2}}){s}s(?!\w)", say),
        ("time", rf"{begin}()(\d{{1,4}})[′’']{s}(\d{{1,2}})(?:[″”\"]|''|’’)", say),
    ]


def _join(parts: list[str], measures: Measures) -> str:
    if len(parts) > 1 and measures.duration_join:
        parts[-1] = f"{measures.duration_join} {parts[-1]}"
    return " ".join(parts)


def _money_rules(language: EuropeanLanguage) -> list[RuleRow]:
    money = language.money
    signs = {sign: currency for currency in money.currencies for sign in currency.signs}
    words = {word: currency for currency in money.currencies for word in currency.words}
    sign, behind = any_of(signs), any_of({**signs, **words})
    scale = rf"(?:{SPACE}?(?P<scale>{any_of(money.magnitudes)})(?!\w))?"

    def say(match: re.Match[str]) -> str:
        currency = {**signs, **words}[match["sign"]]
        low, high, found = _grouped(match["low"]), _grouped(match["high"]), match["scale"]
        if match["minus"]:
            low = match["minus"] + low
        text = f"{_money_words(language, low, currency, found)}"
        if high:
            bare = language.numbers.number(low, currency.unit.gender)
            text = f"{bare} {language.to} {_money_words(language, high, currency, found)}"
        if match["per"]:
            divisor = language.measures.units.get(match["per"])
            text += f" {language.measures.per} {divisor.one if divisor else match['per']}"
        return text + _range_end(language, match)

    per = rf"(?:/(?P<per>{any_of(language.measures.units)}|{LETTER}{{2,20}}+)(?!\w))?"
    before = (
        rf"(?<![\w$])(?P<minus>(?<![\w)])[-−–+])?(?P<sign>{sign}){SPACE}?(?P<low>{SIGNED})"
        rf"(?:[.,][-–—]{{1,2}}(?!\d))?(?:{DASH}(?:(?P=sign){SPACE}?)?(?P<high>{NUMBER}))?"
        rf"{scale}{per}{_TO}"
    )
    after = (
        rf"(?P<minus>)(?P<low>{SIGNED})(?:[.,][-–—]{{1,2}}(?!\d))?(?:{DASH}(?P<high>{NUMBER}))?"
        rf"{scale}{SPACE}?(?P<sign>{behind})(?!\w){per}{_TO}"
    )
    return [("money", after, say), ("money", before, say)]


def _grouped(text: str | None) -> str:
    """No currency has thousandths: 12,500 of one is the way of English."""
    return re.sub(r"^(\D?[1-9]\d{0,2}),(\d{3})$", r"\1\2", text or "")


def _money_words(
    language: EuropeanLanguage, text: str, currency: Currency, scale: str | None
) -> str:
    numbers, money = language.numbers, language.money
    if scale:
        return _magnitude_words(language, text, scale, currency.unit.form(is_one=False))
    sign, whole, _, decimals = split_number(text)
    subunit = currency.subunit
    if len(decimals) != 2 or subunit is None:
        return numbers.counted(text, currency.unit)
    cents = decimals.lstrip("0")
    if not cents:
        return numbers.counted(sign + whole, currency.unit)
    if whole == "0":
        return numbers.counted(sign + cents, subunit)
    parts = [numbers.counted(sign + whole, currency.unit), money.join]
    parts.append(
        numbers.counted(cents, subunit)
        if money.says_subunit
        else numbers.cardinal(cents, subunit.gender if cents == "1" else "")
    )
    return " ".join(filter(None, parts))


def _magnitude_words(language: EuropeanLanguage, text: str, scale: str, unit: str) -> str:
    """Such as "trois millions d'euros"; `unit` may be ""."""
    noun, money = language.money.magnitudes[scale], language.money
    if not noun.gender:  # "mille", "tausend": a numeral, no noun
        is_decimal = bool(split_number(text)[3])
        words = language.numbers.number(text if is_decimal else f"{text}000")
        return " ".join(filter(None, (words, noun.form(False) if is_decimal else "", unit)))
    words = language.numbers.counted(text, noun)
    if not unit:
        return words
    if money.elided_of and unit[0].lower() in _VOWELS:
        return f"{words} {money.elided_of}{unit}"
    return " ".join(filter(None, (words, money.of, unit)))


def _magnitude_rules(language: EuropeanLanguage) -> list[RuleRow]:
    abbreviated = [
        key
        for key in language.money.magnitudes
        if key.endswith(".") or 1 < len(key) <= 3 or key == "k"  # 4K and 3M are names
    ]

    def say(match: re.Match[str]) -> str:
        words = _magnitude_words(language, match["high"] or match["low"], match["scale"], "")
        if match["high"]:
            words = f"{language.numbers.number(match['low'])} {language.to} {words}"
        return words

    replace: Replacement = say
    return [
        ("cardinal", rf"{_AMOUNT}{SPACE}?(?P<scale>{any_of(abbreviated)})(?!\w)", replace),
    ]
