"""Forms of German numbers: endings of ordinals, genders, cases of names, years and fractions."""

from __future__ import annotations

import re

from f5serve.text.normalization import german_tables as tables
from f5serve.text.normalization.european_match import roman_value, word_before, word_behind
from f5serve.text.normalization.european_numbers import Numbers

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


def ordinal_form(match: re.Match[str]) -> str | None:
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


def say_ordinal(match: re.Match[str]) -> str | None:
    """Digits with a stop that are an ordinal; None where the stop ends a sentence."""
    form = ordinal_form(match)
    return None if form is None else NUMBERS.ordinal(match[1], form)


def say_day(lead: str, day: int) -> str:
    """The day of a date behind the word `lead`: "am" ersten, "der" erste."""
    low = lead.lower()
    form = "n" if low in _WITH_N else "" if low in _WITH_E else "r"
    return NUMBERS.ordinal(str(day), form)


def say_time(hour: int, minute: int, second: int | None, suffix: str) -> str:
    """Hours and minutes: "vierzehn Uhr dreißig"."""
    words = f"{NUMBERS.cardinal(str(hour), 'm')} Uhr"
    if minute or second:
        words += f" {NUMBERS.cardinal(str(minute))}"
    if second:
        noun = tables.UNITS["s"]
        words += f" und {NUMBERS.counted(str(second), noun)}"
    return words


def say_fraction(whole: str, top: str, bottom: str) -> str | None:
    """Parts: "drei Viertel", "zweieinhalb"."""
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


def say_regnal(match: re.Match[str]) -> str | None:
    """Roman numerals: "Ludwig XIV." der Vierzehnte, in the case of the name; "im II. Quartal"."""
    head = match.string[max(0, match.start() - 60) : match.start()].split()
    value = roman_value(match["roman"])
    if not value:
        return None
    name = head[-1] if head else ""
    is_genitive = name not in _NAMES and name.removesuffix("s") in _NAMES
    if is_genitive:
        name = name.removesuffix("s")
    if name not in _NAMES:
        form = ordinal_form(match) if match["mark"] else None
        return None if form is None else NUMBERS.ordinal(str(value), form)
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


def say_year(match: re.Match[str]) -> str | None:
    """A year from 1100 to 1999; None where it counts the noun behind it."""
    lead, behind = word_before(match).lower(), word_behind(match)
    if lead not in _YEAR_LEADS and behind[:1].isupper():
        return None
    return NUMBERS.year(match[0])


def say_one(match: re.Match[str]) -> str | None:
    """ "1 Hund" -> ein, "1 Katze" -> eine; a number behind "Kapitel" stays "eins"."""
    noun = word_behind(match)
    if word_before(match) in _NUMBERED or not noun:
        return None
    if noun[0].isupper():
        return NUMBERS.cardinal("1", "f" if _is_feminine(noun) else "m")
    return NUMBERS.cardinal("1", "m") if noun == "mal" else None


def say_decade(match: re.Match[str]) -> str:
    """The 90er, the 1980er."""
    read = NUMBERS.year if len(match[1]) == 4 else NUMBERS.cardinal
    return f"{read(match[1])}er{match[2]}"
