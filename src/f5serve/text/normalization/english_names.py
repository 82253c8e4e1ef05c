"""Abbreviations, streets and Roman numerals in written English."""

from __future__ import annotations

import re

from f5serve.text import numbers
from f5serve.text.normalization.english_patterns import (
    APOSTROPHE,
    Table,
    alternatives,
    closed,
    ends_sentence,
    in_pairs,
    word_set,
)

_TITLES = {"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor"} | {
    "MR": "Mister", "MRS": "Missus", "DR": "Doctor", "MS": "Miz",
}  # fmt: skip
_RANKS = {
    "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Cpt": "Captain", "Lt": "Lieutenant",
    "Sgt": "Sergeant", "Maj": "Major", "Cmdr": "Commander", "Adm": "Admiral", "Sen": "Senator",
    "Rep": "Representative", "Gov": "Governor", "Pres": "President", "Rev": "Reverend",
    "Hon": "Honorable", "Fr": "Father", "Supt": "Superintendent", "Det": "Detective",
    "Insp": "Inspector", "Cpl": "Corporal", "Pvt": "Private", "Mt": "Mount", "Ft": "Fort",
    "St": "Saint",
}  # fmt: skip
"""Only before a name."""

_STREETS = {
    "St": "Street", "Dr": "Drive", "Ave": "Avenue", "Av": "Avenue", "Blvd": "Boulevard",
    "Rd": "Road", "Ln": "Lane", "Ct": "Court", "Pl": "Place", "Sq": "Square", "Hwy": "Highway",
    "Pkwy": "Parkway", "Ter": "Terrace", "Cir": "Circle",
}  # fmt: skip
_SIDES = {
    "N": "North", "S": "South", "E": "East", "W": "West", "NE": "Northeast", "NW": "Northwest",
    "SE": "Southeast", "SW": "Southwest",
}  # fmt: skip

_PLAIN = {
    "e.g.": "for example", "i.e.": "that is", "vs.": "versus", "approx.": "approximately",
    "etc.": "et cetera", "Etc.": "et cetera", "cf.": "compare", "viz.": "namely", "ca.": "circa",
    "esp.": "especially", "incl.": "including", "excl.": "excluding", "dept.": "department",
    "Dept.": "Department", "govt.": "government", "Govt.": "Government", "avg.": "average",
    "est.": "estimated", "Est.": "Established", "Assn.": "Association", "Univ.": "University",
    "Inc.": "Incorporated", "Ltd.": "Limited", "Corp.": "Corporation", "Bros.": "Brothers",
    "Jr.": "Junior", "Sr.": "Senior", "Esq.": "Esquire", "Blvd.": "Boulevard",
    "Attn:": "Attention:", "Mgr.": "Manager", "E.g.": "For example", "I.e.": "That is",
    "Approx.": "Approximately",
    "intl.": "international", "Intl.": "International", "natl.": "national",
    "misc.": "miscellaneous",
    "Ph.D.": "P.H.D", "PhD": "P.H.D", "Ph.D": "P.H.D", "PhDs": "P.H.Ds", "w/o": "without",
    "b/c": "because", "Blvd": "Boulevard", "vs": "versus", "Pkwy": "Parkway", "a.k.a.": "A.K.A",
    "and/or": "and or", "WWII": "World War two", "WWI": "World War one", "WW2": "World War two",
    "WW1": "World War one", "Wars I and II": "Wars one and two", "tel.": "telephone",
    "Tel.": "Telephone",
    "bldg.": "building", "Bldg.": "Building",
    "ext.": "extension", "yrs.": "years", "hrs.": "hours", "mos.": "months", "wks.": "weeks",
}  # fmt: skip

_COUNTED = {
    "no.": "number", "No.": "Number", "nos.": "numbers", "Nos.": "Numbers", "p.": "page",
    "pp.": "pages", "vol.": "volume", "vols.": "volumes", "Vol.": "Volume", "ch.": "chapter",
    "Ch.": "Chapter", "chap.": "chapter", "Chap.": "Chapter", "fig.": "figure", "Fig.": "Figure",
    "figs.": "figures", "Figs.": "Figures", "sec.": "section", "Sec.": "Section", "art.": "article",
    "Art.": "Article", "par.": "paragraph", "para.": "paragraph", "eq.": "equation",
    "St.": "Street", "Eq.": "Equation", "ed.": "edition", "ver.": "version", "P.": "Page",
    "Pp.": "Pages",
    "pg.": "page", "Pg.": "Page", "ln.": "line", "max.": "maximum", "min.": "minimum",
    "c.": "circa", "Apt.": "Apartment", "apt.": "apartment", "Ste.": "Suite", "Rm.": "Room",
}  # fmt: skip
"""Only before a number."""

_KINGS = word_set(
    "Abdullah Albert Alexander Alfonso Amenhotep Baldwin Benedict Boniface Carlos Catherine Charles"
    " Christian Clement Cleopatra Constantine Darius Edgar Edward Elizabeth Emmanuel Ferdinand"
    " Francis Francois François Frederick Friedrich George Gregory Gustav Haakon Harald Henry"
    " Hussein Innocent Ivan James John Joseph Juan Julius Justinian Leo Leopold Louis Ludwig"
    " Malcolm Manuel Margrethe Mary Maximilian Mehmed Murad Napoleon Nicholas Olav Otto Paul Pedro"
    " Peter Philip Pius Ptolemy Rainier Rama Ramesses Ramses Richard Robert Rudolf Selim Sigismund"
    " Sixtus Suleiman Theodosius Thutmose Umberto Urban Vittorio Wilhelm William Xerxes"
)
_RULER = re.compile(
    r"\b(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Prince|Sultan|Pharaoh|Shah)\s"
    r"(?:[A-Z]\w{1,20}\s)?$"
)
_CALM = re.compile(r"['’]s|[.,;:!?)]|\s*$|\s(?:of|was|ruled|reigned|died|became|and|in|who)\b")
"""Behind a king's "I", which else is the speaker."""

_NUMBERED = word_set(
    "War Chapter Part Book Volume Vol Act Scene Section Article Title Type Phase Stage Class Level"
    " Grade Tier Category Episode Season Round Step Appendix Figure Table Schedule Bowl Amendment"
    " Vatican Division Quadrant Canto Mark"
)
_NO_NAMES = word_set(
    "A An And Are As At Begin But By For From Give Has Her His If In Insert Is It Like My No Of On"
    " Or Our Run She Start Take That The Their This To Use Was We When With You Your"
)
_MEDICAL = re.compile(
    r"\s(?:drip|fluid|line|bag|therapy|infusion|antibiotic|access|push|medic|treat|pole|catheter"
    r"|tube|insert|drug|contrast|dose)"
)
_PARTS = {
    name: word for name, word in _COUNTED.items() if word.lower() in ("volume", "chapter")
} | {"Pt.": "Part"}  # fmt: skip
_JOINED = "[Rr]ock|[Dd]rum|[Ss]alt|[Ss]urf|[Ss]hake|[Cc]ut|[Mm]ac|[Ss]teak|[Gg]uns|[Ff]ish"
_LESS = {"IV": 4, "IX": 9, "XL": 40, "XC": 90, "CD": 400, "CM": 900}
_ONE = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


def abbreviations() -> Table:
    """Rules for titles, streets and other short forms."""
    title = alternatives(_TITLES)
    street = alternatives(_STREETS)
    words = [word for word in _PLAIN if word[-1] not in ".:"]
    dotted = [word for word in _PLAIN if word[-1] in ".:"]
    return [
        (
            "abbreviation",
            rf"\b({_JOINED})\s?{APOSTROPHE}[nN]{APOSTROPHE}(?=\s?[A-Za-z])",
            lambda m: f"{m[1]} and",
        ),
        (
            "abbreviation",
            rf"(?<![\w.])(?:{alternatives(_COUNTED)})\s?(?=#?\d)",
            lambda m: f"{_COUNTED[m[0].strip()]} ",
        ),
        (
            "abbreviation",
            rf"(?<![\w-])(?P<number>\d{{1,5}})(?P<letter>[A-Z])?(?P<side>\s(?:[NSEW]|[NS][EW])\b\.?)?"
            rf"(?P<name>(?:\s(?:[A-Z][\w'’]{{0,20}}|\d{{1,3}}(?:st|nd|rd|th))\.?){{1,3}}?)\s"
            rf"(?P<street>{street})\b(?P<dot>\.?)(?P<after>\s(?:[NSEW]|[NS][EW])\b)?",
            _say_street,
        ),
        (
            "abbreviation",
            rf"(?<=[\w.]\s)(?P<street>{street})\.(?=\s*$|,|\s[^A-Z]|\s(?:He|She|It|They|We|The|I)\b)",
            _say_lone_street,
        ),
        ("abbreviation", rf"(?<![^\W\d_])({title})\.", lambda m: _TITLES[m[1]]),
        ("abbreviation", rf"\b({title})(?=\s[A-Z])", lambda m: _TITLES[m[1]]),
        (
            "abbreviation",
            rf"(?<![^\W\d_])({alternatives(_RANKS)})\.(?=\s[A-Z])",
            lambda m: _RANKS[m[1]],
        ),
        ("abbreviation", r"\bSt(?=\s[A-Z])", lambda m: "Saint"),
        ("abbreviation", r"\b([Rr]d|[Aa]ve)\.", lambda m: closed(m, _STREETS[m[1].capitalize()])),
        ("abbreviation", r"(?<=&\s)Co\.|(?<=\band\s)Co\.", lambda m: closed(m, "Company")),
        ("abbreviation", r"(?<=\d(?:st|nd|rd|th)\s)ed\.", lambda m: closed(m, "edition")),
        (
            "abbreviation",
            rf"(?<![^\W\d_])(?:{alternatives(dotted)}|(?:{alternatives(words)})(?![\w/]))",
            lambda m: closed(m, _PLAIN[m[0]]),
        ),
        ("abbreviation", r"(?<=\w)\sv\.(?=\s[A-Z])", lambda m: " versus"),
        ("abbreviation", r"(?<=\w\s)(?:Ave|Rd|Ln|Hwy)\b(?!\.)", lambda m: _STREETS[m[0]]),
        ("abbreviation", r"(?<![\w/])w/\s?(?=[A-Za-z])", lambda m: "with "),
    ]


def romans() -> Table:
    """Rules for Roman numerals: rulers, numbered things, years."""
    return [
        (
            "roman",
            r"(?P<name>[A-Z](?<!\w[A-Z])[^\W\d_]{1,20})\s(?P<roman>[IVXLC]{1,9})(?![\w-])",
            _say_roman,
        ),
        (
            "roman",
            r"(?P<name>[SACPsacp](?<!\w\w)(?:cene|ct|hapter|age|art))\s(?P<roman>[ivx]{1,6})(?![\w-])",
            _say_numbered,
        ),
        (
            "roman",
            r"(?P<name>[VvCcP](?<!\w\w)(?:ol|ols|h|hap|t)\.)\s(?P<roman>[IVXLC]{1,9})(?![\w-])",
            _say_numbered_part,
        ),
        ("roman", r"M(?<![\w.-]M)[MDCLXVI]{3,14}(?![\w-])", _say_year),
    ]


def roman_value(text: str) -> int:
    """The value of a Roman numeral as it is written today; 0 for other letters."""
    text = text.upper()
    if not _ROMAN.fullmatch(text):
        return 0
    total = 0
    while text:
        head = text[:2] if text[:2] in _LESS else text[0]
        total += _LESS.get(head) or _ONE[head]
        text = text[len(head) :]
    return total


def _say_street(match: re.Match[str]) -> str | None:
    short = match["street"]
    is_title = match["dot"] and not ends_sentence(match) and short in ("Dr", "St")
    if is_title and re.match(r"\s[A-Z]", match.string[match.end() :][:2]):
        return None  # "12 May Dr. Smith"
    side = match["side"] or ""
    first = f" {_SIDES[side.strip(' .')]}" if side else ""
    letter = f" {match['letter']}" if match["letter"] else ""
    after = f" {_SIDES[match['after'].strip()]}" if match["after"] else ""
    words = f"{in_pairs(match['number'])}{letter}{first}{match['name']} {_STREETS[short]}{after}"
    return f"{words}." if match["dot"] and not after and ends_sentence(match) else words


def _say_lone_street(match: re.Match[str]) -> str | None:
    before = re.search(r"(\S{1,40})\s$", match.string[max(0, match.start() - 41) : match.start()])
    is_named = before is not None and (before[1][0].isupper() or before[1][0].isdigit())
    return closed(match, _STREETS[match["street"]]) if is_named else None


def _say_roman(match: re.Match[str]) -> str | None:
    name, roman = match["name"], match["roman"]
    before = match.string[max(0, match.start() - 40) : match.start()]
    behind = match.string[match.end() : match.end() + 20]
    if name in _NUMBERED:
        return _say_numbered(match) if len(roman) > 1 or roman in "IVX" else None
    is_ruler = _RULER.search(before) is not None
    if is_ruler or name in _KINGS:
        is_sure = is_ruler or len(roman) > 1 or (roman == "I" and _CALM.match(behind))
        return _say_ordinal(match) if is_sure else None
    if len(roman) == 1 or name in _NO_NAMES or not set(roman) <= set("IVX"):
        return None
    if roman == "III" and re.search(r"(?<!\S)[^\sA-Z]*+[A-Z]\S*+\s$", before):
        return _say_ordinal(match)  # a person: the third of that name
    return None if _MEDICAL.match(behind) else _say_numbered(match)


def _say_ordinal(match: re.Match[str]) -> str | None:
    value = roman_value(match["roman"])
    return f"{match['name']} the {numbers.ordinal(str(value))}" if value else None


def _say_numbered(match: re.Match[str]) -> str | None:
    value = roman_value(match["roman"])
    return f"{match['name']} {numbers.cardinal(str(value))}" if value else None


def _say_numbered_part(match: re.Match[str]) -> str | None:
    name, value = _PARTS.get(match["name"]), roman_value(match["roman"])
    return f"{name} {numbers.cardinal(str(value))}" if name and value else None


def _say_year(match: re.Match[str]) -> str | None:
    value = roman_value(match[0])
    return numbers.year(str(value)) if 1000 <= value < 2100 else None
