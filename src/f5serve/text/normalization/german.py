"""Normalizes German: numbers, dates, money, units, signs and abbreviations as words.

Ordinals take their ending from the word before them: "am 1. Mai" ersten, "der 3. Platz" dritte.
"""

from __future__ import annotations

import re

from f5serve.text.mapped_text import MappedText
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
    roman_value,
    word_before,
    word_behind,
)
from f5serve.text.normalization.european_numbers import SIGNED, SPACE, START, Noun, Numbers

NUMBERS = Numbers(
    code="de",
    cardinals={
        "": "spellout-numbering",
        "m": "spellout-cardinal-masculine",
        "n": "spellout-cardinal-neuter",
        "f": "spellout-cardinal-feminine",
    },
    ordinals={
        "": "spellout-ordinal",
        "n": "spellout-ordinal-n",
        "r": "spellout-ordinal-r",
        "s": "spellout-ordinal-s",
    },
    comma="Komma",
    point="Punkt",
    minus="minus",
    year_ruleset="spellout-numbering-year",
    fraction_as_number=False,
)

_WITH_N = frozenset([
    "am", "im", "vom", "zum", "beim", "zur", "den", "dem", "des", "einem", "einen", "eines",
    "einer", "ab", "bis", "seit", "und", "oder", "nach", "vor", "keinen", "meinem", "meinen",
    "seinem", "seinen", "ihrem", "ihren", "unserem", "unseren", "diesem", "diesen", "jedem",
    "jeden", "zwischen", "allen", "beiden", "ins", "deren", "dessen", "letzten",
])  # fmt: skip
_WITH_E = frozenset([
    "der", "die", "das", "diese", "dieser", "dieses", "jede", "eine", "keine", "meine", "seine",
    "ihre", "unsere",
])  # fmt: skip
_WITH_GENDER = frozenset([
    "ein", "kein", "mein", "sein", "ihr", "unser", "dein", "euer",
])  # fmt: skip
_DATIVE = frozenset([
    "in", "an", "auf", "aus", "bei", "mit", "nach", "seit", "von", "zu", "unter", "über", "vor",
    "hinter", "neben", "zwischen", "während", "wegen", "laut", "gegenüber", "samt", "ab", "trotz",
])  # fmt: skip
_ACCUSATIVE = frozenset([
    "durch", "für", "gegen", "ohne", "um",
])  # fmt: skip
_YEAR_LEADS = frozenset([
    "jahr", "jahre", "jahren", "jahres", "seit", "von", "bis", "um", "ab", "vor", "nach", "anno",
    "im", "in", "sommer", "winter", "herbst", "frühling", "ende", "anfang", "mitte", "stand",
    "januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober",
    "november", "dezember", "zwischen",
])  # fmt: skip
_NUMBERED = frozenset([
    "Nummer", "Kapitel", "Platz", "Seite", "Teil", "Band", "Liga", "Klasse", "Stufe", "Artikel",
    "Absatz", "Paragraf", "Version", "Zimmer", "Raum", "Gleis", "Tor", "Gruppe", "Level", "Phase",
    "Formel", "Abbildung", "Tabelle", "Linie", "Punkt", "Schritt", "Top", "Folge", "Staffel",
    "Zeile", "Satz", "Runde", "Akt", "Szene", "Bundesliga",
])  # fmt: skip


def _is_feminine(noun: str) -> bool:
    if noun in tables.FEMININE_NOUNS:
        return True
    is_other = noun in tables.NOT_FEMININE or noun in tables.NEUTER_NOUNS
    return not is_other and noun.endswith(tables.FEMININE_ENDINGS)


def _noun_ending(noun: str) -> str:
    """The form of an ordinal without an article, or behind "ein"."""
    if _is_feminine(noun):
        return ""
    return "s" if noun in tables.NEUTER_NOUNS else "r"


def _ordinal_form(match: re.Match[str]) -> str | None:
    """The form of the ordinal that a match is; None where its stop ends a sentence."""
    lead, noun = word_before(match), word_behind(match)
    low = lead.lower()
    if low in _WITH_N:
        return "n"
    if low in _WITH_E:
        head = match.string[max(0, match.start() - 60) : match.start()].split()
        is_dative = low in ("der", "dieser") and len(head) > 1 and head[-2].lower() in _DATIVE
        return "n" if is_dative else ""
    if low in _WITH_GENDER:
        return _noun_ending(noun)
    return _noun_ending(noun) if noun in tables.ORDINAL_NOUNS else None


def _say_ordinal(match: re.Match[str]) -> str | None:
    form = _ordinal_form(match)
    return None if form is None else NUMBERS.ordinal(match[1], form)


def _say_day(lead: str, day: int) -> str:
    low = lead.lower()
    form = "n" if low in _WITH_N else "" if low in _WITH_E else "r"
    return NUMBERS.ordinal(str(day), form)


def _say_time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    words = f"{NUMBERS.cardinal(str(hour), 'm')} Uhr"
    if minute or second:
        words += f" {NUMBERS.cardinal(str(minute))}"
    if second:
        noun = tables.UNITS["s"]
        words += f" und {NUMBERS.counted(str(second), noun)}"
    return words


def _say_fraction(whole: str, top: str, bottom: str) -> str | None:
    part = int(bottom)
    if part < 2 or part > 100 or (top, bottom) == ("24", "7"):
        return None
    if part == 2:
        if whole and top == "1":
            return f"{NUMBERS.cardinal(whole, 'm')}einhalb"
        words = "ein halb" if top == "1" else f"{NUMBERS.cardinal(top)} halbe"
    else:
        ordinal = (
            NUMBERS.ordinal(bottom).removeprefix("ein") if part == 100 else NUMBERS.ordinal(bottom)
        )
        name = f"{ordinal.removesuffix('e')}el"
        words = f"{NUMBERS.cardinal(top, 'n')} {name[0].upper()}{name[1:]}"
    return f"{NUMBERS.cardinal(whole)} {words}" if whole else words


def _say_regnal(match: re.Match[str]) -> str | None:
    """ "Ludwig XIV." -> der Vierzehnte, in the case that the words before the name ask for."""
    head = match.string[max(0, match.start() - 60) : match.start()].split()
    value = roman_value(match["roman"])
    if not head or not value:
        return None
    name = head[-1]
    is_genitive = name not in _NAMES and name.removesuffix("s") in _NAMES
    if is_genitive:
        name = name.removesuffix("s")
    if name not in _NAMES:
        return None
    article = _article(head, name in tables.FEMININE_NAMES, is_genitive)
    ordinal = NUMBERS.ordinal(str(value), "" if article in ("der", "die") else "n")
    if article == "der" and name in tables.FEMININE_NAMES:
        ordinal = NUMBERS.ordinal(str(value), "n")
    stop = "." if match["mark"] and not match.string[match.end() :].strip() else ""
    return f"{article} {ordinal[0].upper()}{ordinal[1:]}{stop}"


_NAMES = frozenset((*tables.MASCULINE_NAMES, *tables.FEMININE_NAMES))


def _article(head: list[str], is_feminine: bool, is_genitive: bool) -> str:
    if is_genitive:
        return "der" if is_feminine else "des"
    for word in reversed(head[:-1]):
        low = word.lower()
        if low in _DATIVE or low in ("vom", "zum", "beim", "zur"):
            return "der" if is_feminine else "dem"
        if low in _ACCUSATIVE:
            return "die" if is_feminine else "den"
        if not word[:1].isupper() or word[-1:] in ".,;:!?":
            break
    return "die" if is_feminine else "der"


def _say_year(match: re.Match[str]) -> str | None:
    lead, behind = word_before(match).lower(), word_behind(match)
    if lead not in _YEAR_LEADS and behind[:1].isupper():
        return None
    return NUMBERS.year(match[0])


def _say_one(match: re.Match[str]) -> str | None:
    """ "1 Hund" -> ein, "1 Katze" -> eine; a number behind "Kapitel" stays "eins"."""
    noun = word_behind(match)
    if word_before(match) in _NUMBERED or not noun:
        return None
    if noun[0].isupper():
        return NUMBERS.cardinal("1", "f" if _is_feminine(noun) else "m")
    return NUMBERS.cardinal("1", "m") if noun == "mal" else None


def _say_decade(match: re.Match[str]) -> str:
    read = NUMBERS.year if len(match[1]) == 4 else NUMBERS.cardinal
    return f"{read(match[1])}er{match[2]}"


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
        ("abbreviation", r"(?<!\w)(\w{2,30}+)(?<=[a-zäöüß]str)\.", lambda m: f"{m[1][:-3]}straße"),
        (
            "ordinal",
            rf"(?<![\w.,])(\d{{1,2}})\.(?={SPACE}?(?:bis|und|oder|/|,){SPACE}?(?:zum{SPACE})?"
            rf"\d{{1,2}}\.{SPACE}?(?:{months}))",
            lambda match: _say_day(word_before(match), int(match[1])),
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
        ("money", rf"{START}(\d{{1,6}})[.,][-–—]{{1,2}}(?!\w)", lambda m: NUMBERS.cardinal(m[1])),
        (
            "cardinal",
            rf"(?<![\w.,])(\d{{1,3}})x(?={SPACE}{LETTER})",
            lambda m: f"{NUMBERS.cardinal(m[1], 'm')}mal",
        ),
        ("year", r"(?<![\w.,/])(\d{2}|1[1-9]\d0|20\d0|\d)er(n?)(?!\w)", _say_decade),
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
        ("ordinal", rf"(?<![\w.,])(\d{{1,4}})\.(?={SPACE}[^\W\d_])", _say_ordinal),
        (
            "ordinal",
            rf"(?<![\w.,])(\d{{1,4}})\.(?=-{LETTER})",
            lambda match: NUMBERS.ordinal(match[1], _ordinal_form(match) or ""),
        ),
        ("roman", r"(?<![\w'’-])(?P<roman>[IVX]++)(?P<mark>\.?)(?!\w)", _say_regnal),
        ("year", rf"{START}(?<![\w-])1[1-9]\d\d(?!\d|[.,:/]\d|-\d|\w)", _say_year),
        ("cardinal", rf"{START}(?<![\w/-])1(?=(?:{SPACE})[^\W\d_])", _say_one),
    ]


LANGUAGE = EuropeanLanguage(
    numbers=NUMBERS,
    to="bis",
    dates=Dates(
        months=tables.MONTHS,
        month_abbreviations=tables.MONTH_ABBREVIATIONS,
        weekday_abbreviations=tables.WEEKDAY_ABBREVIATIONS,
        day=_say_day,
        day_mark=r"\.",
        leads=frozenset(["am", "vom", "zum", "bis", "ab", "seit", "der", "den", "dem"]),
        has_dotted=True,
    ),
    times=Times(say=_say_time, suffix="Uhr", hour_letter="", to="bis"),
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
    fractions=Fractions(say=_say_fraction, ratio="zu", over="Schrägstrich"),
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
