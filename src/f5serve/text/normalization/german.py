"""Normalizes German: numbers, dates, money, units, signs and abbreviations as words.

Ordinals take their ending from the word before them: "am 1. Mai" ersten, "der 3. Platz" dritte.
"""

from __future__ import annotations

from f5serve.text.mapped_text import MappedText
from f5serve.text.normalization import german_grammar as grammar
from f5serve.text.normalization import german_tables as tables
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
from f5serve.text.normalization.european_match import (
    LETTER,
    UPPER,
    RuleRow,
    any_of,
    word_before,
)
from f5serve.text.normalization.european_numbers import SIGNED, SPACE, START, Noun
from f5serve.text.normalization.german_grammar import NUMBERS

_JOINED = (
    "jährig|tägig|wöchig|monatig|stündig|minütig|sekündig|stellig|köpfig|teilig|seitig|stöckig"
    "|fach|malig"
)
_CITIES = (
    "Berlin|Hamburg|München|Köln|Frankfurt|Stuttgart|Düsseldorf|Dortmund|Essen|Leipzig|Bremen|Dresden"
    "|Hannover|Nürnberg|Duisburg|Bochum|Bonn|Münster|Karlsruhe|Mannheim|Augsburg|Wiesbaden|Kiel|Aachen"
    "|Freiburg|Mainz|Rostock|Kassel|Potsdam|Heidelberg|Ulm|Jena|Erfurt|Magdeburg|Regensburg|Würzburg"
)


def _first() -> list[RuleRow]:
    months = "|".join((*tables.MONTHS, *tables.MONTH_ABBREVIATIONS))
    return [
        (
            "abbreviation",
            rf"(?<![\d\w.])(?<!\d{SPACE})(?:{any_of(tables.WITHOUT_NUMBER)})",
            lambda match: tables.WITHOUT_NUMBER[match[0]],
        ),
        (
            "abbreviation",
            r"(?<!\w)(\w{2,30}+)(?<=[a-zäöüß]str)\.",
            lambda m: f"{m[1][:-3]}straße",
        ),
        (
            "abbreviation",
            r"(?<!\w)(\w{3,30}+)(?<=[a-zäöüß]nr)\.(?= ?\d)",
            lambda m: f"{m[1][:-2]}nummer",
        ),
        ("abbreviation", r"(?<=\d) ?ff?\.", lambda match: " folgende"),
        (
            "ordinal",
            rf"(?<![\w.,])(\d{{1,2}})\.(?={SPACE}?(?:bis|und|oder|/|,){SPACE}?(?:zum{SPACE})?"
            rf"\d{{1,2}}\.{SPACE}?(?:{months}))",
            lambda match: grammar.say_day(word_before(match), int(match[1])),
        ),
        (
            "postcode",
            rf"(?<![\w.,])(?:D-)?(?<![\d.,])(\d{{5}})(?={SPACE}(?:{_CITIES})(?!\w))",
            lambda match: NUMBERS.digits(match[1]),
        ),
        (
            "postcode",
            rf"(?:(?<=\d,{SPACE})|(?<!\w)D-)(\d{{5}})(?={SPACE}[{UPPER}])",
            lambda match: NUMBERS.digits(match[1]),
        ),
        (
            "measure",
            rf"(?<![\w.,-])(\d),(\d\d){SPACE}?m(?![\w/])",
            lambda m: (
                f"{NUMBERS.cardinal(m[1], 'm')} Meter {NUMBERS.cardinal(m[2].lstrip('0'))}"
                if m[1] != "0" and m[2] != "00"
                else None
            ),
        ),
        ("cardinal", r"(?<!\w)24/7(?!\w)", lambda match: NUMBERS.cardinal("24") + " sieben"),
    ]


def _before_numbers() -> list[RuleRow]:
    return [
        (
            "cardinal",
            rf"{START}(?<![\w-])1(?=-[{UPPER}][a-zäöüß])",
            lambda m: NUMBERS.cardinal("1", "m"),
        ),
        (
            "range",
            rf"{START}1[-–—](\d{{1,3}})(?={SPACE}[{UPPER}])",
            lambda m: f"ein bis {NUMBERS.cardinal(m[1])}",
        ),
        ("money", rf"{START}(\d{{1,6}})[.,][-–—]{{1,2}}(?!\w)", lambda m: NUMBERS.cardinal(m[1])),
        (
            "cardinal",
            rf"(?<![\w.,])(\d{{1,3}})x(?={SPACE}{LETTER})",
            lambda m: f"{NUMBERS.cardinal(m[1], 'm')}mal",
        ),
        ("year", r"(?<![\w.,/])(\d{2}|1[1-9]\d0|20\d0|\d)er(n?)(?!\w)", grammar.say_decade),
        (
            "percent",
            rf"({SIGNED}){SPACE}?%-?(ig\w{{0,6}})",
            lambda m: f"{NUMBERS.number(m[1])}prozent{m[2]}",
        ),
        (
            "cardinal",
            rf"(?<![\w.,])(\d{{1,6}})-?((?:{_JOINED})\w{{0,6}})(?!\w)",
            lambda m: f"{NUMBERS.cardinal(m[1], 'm')}{m[2]}",
        ),
        ("ordinal", rf"(?<![\w.,])(\d{{1,4}})\.(?={SPACE}[^\W\d_])", grammar.say_ordinal),
        (
            "ordinal",
            rf"(?<![\w.,])(\d{{1,4}})\.(?=-{LETTER})",
            lambda match: NUMBERS.ordinal(match[1], grammar.ordinal_form(match) or ""),
        ),
        ("roman", r"(?<![\w'’-])(?P<roman>[IVX]++)(?P<mark>\.?)(?!\w)", grammar.say_regnal),
        ("year", rf"{START}(?<![\w–—-])1[1-9]\d\d(?!\d|[.,:/–—-]\d|\w)", grammar.say_year),
        ("cardinal", rf"{START}(?<![\w/-])1(?=(?:{SPACE})[^\W\d_])", grammar.say_one),
    ]


LANGUAGE = EuropeanLanguage(
    numbers=NUMBERS,
    to="bis",
    dates=Dates(
        months=tables.MONTHS,
        month_abbreviations=tables.MONTH_ABBREVIATIONS,
        weekday_abbreviations=tables.WEEKDAY_ABBREVIATIONS,
        day=grammar.say_day,
        day_mark=r"\.",
        leads=frozenset(["am", "vom", "zum", "bis", "ab", "seit", "der", "den", "dem"]),
        has_dotted=True,
    ),
    times=Times(say=grammar.say_time, suffix="Uhr", hour_letter="", to="bis"),
    money=Money(currencies=tables.CURRENCIES, magnitudes=tables.MAGNITUDES),
    measures=Measures(
        units=tables.UNITS,
        percents={"%": Noun("Prozent", "", "n"), "‰": Noun("Promille", "", "n")},
        temperatures={
            "°C": Noun("Grad Celsius"),
            "° C": Noun("Grad Celsius"),
            "°F": Noun("Grad Fahrenheit"),
            "°": Noun("Grad"),
        },
        per="pro",
        hour=tables.UNITS["h"],
        minute=tables.UNITS["min"],
        second=tables.UNITS["s"],
    ),
    fractions=Fractions(
        say=grammar.say_fraction, ratio="zu", over="Schrägstrich", splits_at_unit=False
    ),
    abbreviations=Abbreviations(
        anywhere=tables.ANYWHERE,
        closing=tables.CLOSING,
        before_name=tables.BEFORE_NAME,
        before_number=tables.BEFORE_NUMBER,
    ),
    romans=Romans(
        before=(
            "Kapitel|Band|Teil|Akt|Artikel|Klasse|Typ|Weltkrieg|Hartz|Stufe|Abschnitt|Szene|Phase|Zone"
            "|Buch|Anhang|Tafel|Absatz|Nummer"
        ),
        names=(),
        regnal=lambda name, value: NUMBERS.ordinal(str(value)),
        after="Weltkrieg|Weltkriegs|Republik|Reich|Quartal|Liga|Bataillon|Korps|Jahrhundert",
        after_say=lambda value: NUMBERS.ordinal(str(value), "n"),
        regnal_mark=r"\.?",
    ),
    acronyms=Acronyms(
        letters=tables.ACRONYM_LETTERS,
        words=tables.ACRONYM_WORDS,
        mixed=tables.MIXED_ACRONYMS,
        short_words=tables.SHORT_WORDS,
    ),
    phones=Phones(
        patterns=(
            r"\(?0\d{1,4}\)?(?:[ \u00a0]?[/-][ \u00a0]?|[ \u00a0])\d{2,9}"
            r"(?:[ \u00a0-]\d{1,9}){0,4}",
            r"0\d{8,11}",
        ),
        group=NUMBERS.digits,
    ),
    signs=Signs(
        words={
            "§§": "Paragrafen", "§": "Paragraf", "&": "und", "%": "Prozent", "‰": "Promille",
            "€": "Euro",
            "£": "Pfund", "°C": "Grad Celsius", "°": "Grad", "=": "gleich", "≠": "ungleich",
            "≈": "ungefähr",
            "≤": "kleiner gleich", "≥": "größer gleich", "±": "plus minus", "√": "Wurzel aus",
            "×": "mal", "÷": "geteilt durch", "−": "minus", "²": "hoch zwei", "³": "hoch drei",
            "∞": "unendlich", "π": "Pi", "µ": "Mikro", "©": "Copyright", "®": "", "™": "",
            "†": "gestorben",
            "•": "", "→": "nach", "$": "Dollar", "+": "plus", "@": "at",
        },
        between_numbers={
            "×": "mal", "x": "mal", "*": "mal", "·": "mal", "+": "plus", "−": "minus",
            "÷": "geteilt durch",
            "^": "hoch", "<": "kleiner als", ">": "größer als",
        },
        before_number={
            "~": "ungefähr", "≈": "ungefähr", "#": "Nummer", "<": "unter", ">": "über",
            "Ø": "Durchschnitt",
        },
        address={
            ".": "Punkt", "/": "Schrägstrich", "-": "Bindestrich", "_": "Unterstrich", "@": "at",
            ":": "Doppelpunkt",
            "?": "Fragezeichen", "=": "gleich", "&": "und", "#": "Raute", "+": "plus",
            "%": "Prozent", "~": "Tilde",
        },
        version="Version",
        hashtag="Hashtag",
    ),
    ordinal_marks={},
    gender_before=lambda word: "",
)  # fmt: skip

_RULES = build_rules(LANGUAGE, _first(), _before_numbers())


def verbalize(mapped: MappedText, off: frozenset[str]) -> MappedText:
    """What German text is spoken as, with its letters and marks."""
    return verbalize_by(LANGUAGE, _RULES, mapped, off)
