"""Normalizes French, as in France: numbers, dates, money, units and abbreviations as words."""

from __future__ import annotations

import re

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization import french_tables as tables
from f5serve.text.normalization.european import build_rules, verbalize_by
from f5serve.text.normalization.european_language import (
    Abbreviations,
    Acronyms,
    Dates,
    EuropeanLanguage,
    Fractions,
    Measures,
    Money,
    Phones,
    Romans,
    Signs,
    Times,
)
from f5serve.text.normalization.european_match import LETTER, UPPER, RuleRow
from f5serve.text.normalization.european_numbers import (
    ROMANCE_CARDINALS,
    ROMANCE_ORDINALS,
    SPACE,
    Noun,
    Numbers,
)

NUMBERS = Numbers(
    code="fr",
    cardinals=ROMANCE_CARDINALS,
    ordinals={
        **ROMANCE_ORDINALS,
        "mp": "spellout-ordinal-masculine-plural",
        "fp": "spellout-ordinal-feminine-plural",
    },
    comma="virgule",
    point="point",
    minus="moins",
    plus_minus="plus ou moins",
    singular_below_two=True,
)

_PARTS = {"2": "demi", "3": "tiers", "4": "quart"}
_OUT_OF = ("10", "20", "100")
"""Marks are out of these: 18/20 is no fraction."""


def _gender_before(word: str) -> str:
    noun = word.lower()
    single = noun if noun in tables.FEMININE_NOUNS else noun.removesuffix("s")
    if single in tables.FEMININE_NOUNS:
        return "f"
    is_other = single in tables.NOT_FEMININE
    return "f" if not is_other and single.endswith(tables.FEMININE_ENDINGS) else ""


def _say_day(lead: str, day: int) -> str:
    return "premier" if day == 1 else NUMBERS.cardinal(str(day))


def _say_time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    words = NUMBERS.counted(str(hour), tables.UNITS["h"])
    if second:
        minutes = NUMBERS.counted(str(minute), tables.UNITS["min"])
        return f"{words} {minutes} et {NUMBERS.counted(str(second), tables.UNITS['s'])}"
    return f"{words} {NUMBERS.cardinal(str(minute), 'f')}" if minute else words


def _say_fraction(whole: str, top: str, bottom: str) -> str | None:
    part = int(bottom)
    if (
        part < 2
        or part > 1000
        or (top != "1" and bottom in _OUT_OF)
        or (top, bottom) == ("24", "7")
    ):
        return None
    is_one = top == "1"
    if whole and is_one and part == 2:
        return f"{NUMBERS.cardinal(whole)} et demi"
    name = _PARTS.get(bottom) or NUMBERS.ordinal(str(part))
    if not is_one and not name.endswith("s"):
        name += "s"
    words = f"{NUMBERS.cardinal(top)} {name}"
    return f"{NUMBERS.cardinal(whole)} et {words}" if whole else words


def _say_regnal(name: str, value: int) -> str:
    if value > 1:
        return NUMBERS.cardinal(str(value))
    return "première" if name in tables.FEMININE_NAMES else "premier"


def _say_phone_group(group: str) -> str:
    """Pairs of digits as numbers: "0612" -> zéro six, douze; three digits as one number."""
    if len(group) == 3 and group[0] != "0":
        return NUMBERS.cardinal(group)
    if len(group) % 2:
        return NUMBERS.digits(group)
    pairs = (group[index : index + 2] for index in range(0, len(group), 2))
    return ", ".join(map(NUMBERS.cardinal, pairs))


def _first() -> list[RuleRow]:
    return [
        ("fraction", r"(?<![\w/])1/2(?=[ -]finales?(?!\w))", lambda match: "demi"),
        (
            "postcode",
            rf"(?<![\w.,])0([1-9]\d{{3}})(?={SPACE}[{UPPER}][a-zà-ÿ])",
            lambda match: f"{NUMBERS.cardinal('0')} {NUMBERS.cardinal(match[1])}",
        ),
        (
            "measure",
            rf"(?<![\w.,-])(\d),(\d\d){SPACE}?m(?![\w/])",
            lambda m: (
                f"{NUMBERS.counted(m[1], tables.UNITS['m'])} {NUMBERS.cardinal(m[2].lstrip('0'))}"
                if m[1] != "0" and m[2] != "00"
                else None
            ),
        ),
        ("abbreviation", rf"(?<!\w)S(te?)-(?=[{UPPER}])", _say_saint),
    ]


def _say_saint(match: re.Match[str]) -> str:
    return "Sainte-" if match[1] == "te" else "Saint-"


def _before_numbers() -> list[RuleRow]:
    return [
        (
            "cardinal",
            rf"(?<![\w.,])(\d{{1,3}}){SPACE}?x(?={SPACE}{LETTER})",
            lambda match: f"{NUMBERS.cardinal(match[1])} fois",
        ),
        (
            "ordinal",
            r"(?<![\w.,])2n(de?s?)(?!\w)",
            lambda match: f"secon{match[1]}",
        ),
    ]


_ORDINAL_MARKS = {
    "er": "m", "ᵉʳ": "m", "ers": "mp", "re": "f", "ʳᵉ": "f", "ère": "f", "ere": "f", "res": "fp",
    "ères": "fp",
    "e": "m", "ᵉ": "m", "è": "m", "ème": "m", "eme": "m", "ième": "m", "es": "mp", "èmes": "mp",
    "ièmes": "mp",
}  # fmt: skip

LANGUAGE = EuropeanLanguage(
    numbers=NUMBERS,
    to="à",
    dates=Dates(
        months=tables.MONTHS,
        month_abbreviations=tables.MONTH_ABBREVIATIONS,
        weekday_abbreviations=tables.WEEKDAY_ABBREVIATIONS,
        day=_say_day,
        day_mark="(?:er|ᵉʳ)?",
        leads=frozenset(["le", "du", "au", *tables.WEEKDAY_ABBREVIATIONS.values()]),
        to="au",
    ),
    times=Times(say=_say_time, suffix="heures?", hour_letter="[hH]", to="à"),
    money=Money(
        currencies=tables.CURRENCIES, magnitudes=tables.MAGNITUDES, of="de", elided_of="d'"
    ),
    measures=Measures(
        units=tables.UNITS,
        percents={"%": Noun("pour cent"), "‰": Noun("pour mille")},
        temperatures={
            "°C": Noun("degré Celsius", "degrés Celsius"),
            "° C": Noun("degré Celsius", "degrés Celsius"),
            "°F": Noun("degré Fahrenheit", "degrés Fahrenheit"),
            "°": Noun("degré", "degrés"),
        },
        per="par",
        hour=tables.UNITS["h"],
        minute=tables.UNITS["min"],
        second=tables.UNITS["s"],
    ),
    fractions=Fractions(say=_say_fraction, ratio="à", over="sur"),
    abbreviations=Abbreviations(
        anywhere=tables.ANYWHERE,
        closing=tables.CLOSING,
        before_name=tables.BEFORE_NAME,
        before_number=tables.BEFORE_NUMBER,
    ),
    romans=Romans(
        before=(
            "chapitre|tome|volume|acte|scène|partie|article|livre|titre|annexe|phase|type|niveau"
            "|section|guerre|règle"
        ),
        names=tables.NAMES,
        regnal=_say_regnal,
        after="siècle|siècles|république|arrondissement|dynastie|légion",
        after_say=lambda value: NUMBERS.ordinal(str(value)),
    ),
    acronyms=Acronyms(
        letters=tables.ACRONYM_LETTERS,
        words=tables.ACRONYM_WORDS,
        mixed=tables.MIXED_ACRONYMS,
        short_words=tables.SHORT_WORDS,
    ),
    phones=Phones(
        patterns=(
            r"0[1-9](?:[ \u00a0\u2009\u202f.-]?\d{2}){4}",
            r"0[ \u00a0]?8\d{2}(?:[ \u00a0]\d{3}){2}",
        ),
        group=_say_phone_group,
    ),
    signs=Signs(
        words={
            "§": "paragraphe", "&": "et", "%": "pour cent", "‰": "pour mille", "€": "euro",
            "£": "livre",
            "$": "dollar", "°C": "degrés Celsius", "°": "degré", "=": "égale", "≠": "différent de",
            "≈": "environ", "≤": "inférieur ou égal à", "≥": "supérieur ou égal à",
            "±": "plus ou moins",
            "√": "racine de", "×": "fois", "÷": "divisé par", "−": "moins", "²": "au carré",
            "³": "au cube",
            "∞": "infini", "π": "pi", "©": "copyright", "®": "", "™": "", "•": "", "→": "vers",
            "+": "plus", "@": "arobase",
        },
        between_numbers={
            "×": "fois", "x": "fois", "*": "fois", "·": "fois", "+": "plus", "−": "moins",
            "÷": "divisé par",
            "^": "puissance", "<": "inférieur à", ">": "supérieur à",
        },
        before_number={
            "~": "environ", "≈": "environ", "#": "numéro", "<": "moins de", ">": "plus de",
        },
        address={
            ".": "point", "/": "slash", "-": "tiret", "_": "tiret bas", "@": "arobase",
            ":": "deux-points",
            "?": "point d'interrogation", "=": "égale", "&": "et", "#": "dièse", "+": "plus",
            "%": "pour cent", "~": "tilde",
        },
        version="version",
        hashtag="hashtag",
    ),
    ordinal_marks=_ORDINAL_MARKS,
    gender_before=_gender_before,
)  # fmt: skip

_RULES = build_rules(LANGUAGE, _first(), _before_numbers())


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What French text is spoken as, with its letters and marks."""
    return verbalize_by(LANGUAGE, _RULES, mapped, off)
