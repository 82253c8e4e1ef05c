"""Written English to words that a pronouncing dictionary can look up.

Text as people write it flows in (numbers, money, times, units, signs, accents, addresses); plain
ASCII words and punctuation flow out. What has no rule of its own is read sign by sign or digit by
digit; only decoration (quotes, bullets, emoji, markup stars) is silent. Knows nothing about
phonemes or models.
"""

from __future__ import annotations

import re
import unicodedata

from f5serve.text.english import numbers
from f5serve.text.english.signs import (
    ABBREVIATIONS,
    ATTACHED_UNITS,
    CURRENCIES,
    IRREGULAR_PLURALS,
    LETTERS,
    MARKS,
    MONTHS,
    SCALES,
    SIGNS,
    UNITS,
)
from f5serve.text.traced import Say, Traced

LONGEST_WORD = 24
"""Letters; longer runs are cut, because an unknown word costs quadratic time to pronounce."""


def spoken(text: str) -> str:
    """Words and ASCII punctuation: "£3.2bn" -> "three point two billion pounds"."""
    return trace(text).text


def trace(text: str) -> Traced:
    """As `spoken`, each word with its place in `text`."""
    traced = Traced.of(text).each(_to_ascii)
    for pattern, say in _RULES:
        traced = traced.sub(pattern, say)
    traced = traced.each(_read_sign)
    for pattern, template in _TIDY:
        traced = traced.sub(pattern, template)
    return traced.strip()


def unspeakable(text: str) -> list[str]:
    """Characters that English letters, digits and signs cannot render, in order, each once."""
    return [character for character in dict.fromkeys(text) if not _is_speakable(character)]


def _is_speakable(character: str) -> bool:
    for part in unicodedata.normalize("NFKD", character):
        kind = unicodedata.category(part)
        if kind in ("Cn", "Co", "Cs", "Nl", "No"):
            return False
        if kind[0] == "L" and not part.isascii() and part not in LETTERS:
            return False
        if kind in ("Mn", "Mc") and not _is_latin_mark(part):
            return False
    return True


def _is_latin_mark(mark: str) -> bool:
    """Accents, and the selectors that only choose between two looks of an emoji."""
    return "\u0300" <= mark <= "\u036f" or "\ufe00" <= mark <= "\ufe0f"


def _to_ascii(character: str) -> str:
    """Accents off, other digits as 0-9, one form for each mark; signs stay as they are."""
    if character in SIGNS or (character.isascii() and character not in MARKS):
        return character
    plain = "".join(map(_fold, unicodedata.normalize("NFKD", _fold(character))))
    plain = "".join(part for part in plain if not unicodedata.combining(part))
    if unicodedata.decomposition(character).startswith("<super>"):
        return f"^{plain}"  # else 2⁵ would become 25
    return f" {plain}" if "⁄" in plain else plain  # else 2½ would become 21⁄2


def _fold(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return str(digit) if digit is not None else (MARKS | LETTERS).get(character, character)


def _read_sign(character: str) -> str:
    if character in SIGNS:
        return f" {SIGNS[character]} "
    if character.isascii() and (character.isalpha() or character in ".,;:!?'()- "):
        return character
    return " — " if character == "—" else " "


def _plural(unit: str, number: str) -> str:
    """The unit after that number: "1" mile, "2" miles, "2" miles per hour."""
    if number == "1":
        return unit
    head, space, tail = unit.partition(" ")
    return IRREGULAR_PLURALS.get(head, numbers.plural(head)) + space + tail


def _say_address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0])
    names = {".": "dot", ":": "colon", "?": "question mark", "-": "dash", "_": "underscore"}
    return "".join(f" {names[c]} " if c in names else c for c in text)


def _say_money(match: re.Match[str]) -> str:
    unit, small = CURRENCIES[match["sign"] or match["after"]]
    number = (match["number"] or match["number2"]).replace(",", "")
    if match["scale"]:
        scale = SCALES[match["scale"].strip()]
        return f" {numbers.decimal(number)} {scale} {_plural(unit, '')} "
    whole, _, cents = number.partition(".")
    if len(cents) != 2:
        return f" {numbers.decimal(number)} {_plural(unit, number)} "
    words = f" {numbers.cardinal(whole)} {_plural(unit, whole)} "
    if int(cents):
        words += f"and {numbers.cardinal(str(int(cents)))} {_plural(small, str(int(cents)))} "
    return words


def _say_time(match: re.Match[str]) -> str:
    minute = match["minute"]
    if minute == "00":
        words = "" if match["noon"] is not None or match["second"] else "o'clock"
    else:
        words = f"oh {numbers.digits(minute[1])}" if minute < "10" else numbers.cardinal(minute)
    hour = numbers.cardinal(str(int(match["hour"])))
    if match["second"]:
        seconds = str(int(match["second"]))
        words += f" and {numbers.cardinal(seconds)} {_plural('second', seconds)}"
    return f" {hour} {words} "


def _say_decade(match: re.Match[str]) -> str:
    number = (match[1] or "") + match[2]
    words = numbers.year(number) if match[1] else numbers.cardinal(number)
    return f" {numbers.plural(words)} "


def _say_date(match: re.Match[str]) -> str:
    day, month = numbers.ordinal(str(int(match[3]))), MONTHS[int(match[2]) - 1]
    return f" {month} {day}, {numbers.year(match[1])} "


def _say_fraction(match: re.Match[str]) -> str:
    top, bottom = str(int(match[1])), str(int(match[2]))
    if int(bottom) < 2:
        return f" {numbers.cardinal(top)} over {numbers.cardinal(bottom)} "
    part = {"2": "half", "4": "quarter"}.get(bottom) or numbers.ordinal(bottom)
    return f" {numbers.cardinal(top)} {_plural(part, top)} "


def _say_unit(match: re.Match[str]) -> str:
    number = match["number"].replace(",", "")
    unit = UNITS.get(match["unit"]) or ATTACHED_UNITS[match["attached"]]
    return f" {numbers.decimal(number)} {_plural(unit, number)} "


def _say_dotted(match: re.Match[str]) -> str:
    return f" {' point '.join(map(numbers.cardinal, match[0].split('.')))} "


def _say_phone(match: re.Match[str]) -> str:
    return f" {', '.join(map(numbers.digits, re.split('[- ]', match[0])))} "


_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_DOMAINS = "com|org|net|io|edu|gov|dev|ai"


def _abbreviations() -> list[tuple[str, Say]]:
    return [
        (r"\d{16,}", lambda m: f" {numbers.digits(m[0])} "),  # first: long runs cost the others
        ("|".join(rf"(?<!\w){re.escape(k)}" for k in ABBREVIATIONS), lambda m: ABBREVIATIONS[m[0]]),
        (r"\bSt\.(?=\s[A-Z])", lambda m: "Saint"),
        (r"(?<=[a-z]\s)St\.", lambda m: "Street"),
        (r"\bNo\.(?=\s?\d)|#(?=\d)", lambda m: "number "),
        (
            rf"https?://[^\s,;]*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|"
            rf"\b(?:[A-Za-z][\w-]*\.)+(?:{_DOMAINS})\b(?:/[^\s,;]*[\w/])?",
            _say_address,
        ),
    ]


def _amounts() -> list[tuple[str, Say]]:
    signs = f"[{''.join(map(re.escape, CURRENCIES))}]"
    longest_first = sorted(UNITS, key=len, reverse=True)
    units = "|".join(map(re.escape, longest_first))
    return [
        (
            rf"(?P<sign>{signs})\s?(?P<number>{_NUMBER})"
            r"(?:(?P<scale>(?:mn|bn|[kmb])\b|\s(?:thousand|[mbtr]+illion)\b))?"
            rf"|(?P<number2>{_NUMBER})\s?(?P<after>{signs})(?!\d)",
            _say_money,
        ),
        (
            r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?!\d)"
            r"(?P<noon>(?=\s?[ap]\.?m))?",
            _say_time,
        ),
        (r"\b([12]\d)?([1-9]0|00)'?s\b", _say_decade),
        (r"\b(\d[\d,]*)(?:st|nd|rd|th)\b", lambda m: numbers.ordinal(m[1].replace(",", ""))),
        (
            r"(?<![\d-])([12]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\d-])",
            _say_date,
        ),
        (r"(?<=\d)\s+(?=\d+⁄)", lambda m: " and "),
        (r"(?<![\d/⁄])(\d+)⁄(\d+)(?![\d/⁄])", _say_fraction),
        (r"(?<![\d/⁄.,])([1-7])/([23458])(?![\d/⁄]|[.,]\d)", _say_fraction),
        (
            rf"(?P<number>{_NUMBER})(?:\s?(?P<unit>{units})|"
            rf"(?P<attached>[{''.join(ATTACHED_UNITS)}]))(?![A-Za-z/])",
            _say_unit,
        ),
    ]


def _plain_numbers() -> list[tuple[str, Say]]:
    return [
        (r"\d+(?:\.\d+){2,}", _say_dotted),
        (r"(?<![\d-])(?:\d{3}[- ])?\d{3}-\d{4}(?![\d-])", _say_phone),
        (r"(?<![\d-])(\d[\d,.]*)[-—](?=\d[\d,.]*(?![\d-]))", lambda m: f"{m[1]} to "),
        (r"(?<![\w)])-(?=\d)", lambda m: "minus "),
        (r"(?<=\d)\s?\*\s?(?=\d)", lambda m: " times "),
        (r"(?<=\^\d)\^?([\d²³])", lambda m: unicodedata.normalize("NFKC", m[1])),
        (r"(?<=\d)\^(?=\w)", lambda m: " to the power of "),
        (r"~\s?(?=\d)", lambda m: "about "),
        (
            r"(?<![\d.,])(1[1-9]\d\d|20\d\d)(?!\d|[.,]\d)",
            lambda m: f" {numbers.year(m[1])} ",
        ),
        (_NUMBER, lambda m: f" {numbers.decimal(m[0].replace(',', ''))} "),
        (r"--+|\s-\s", lambda m: " — "),
        (r"(?<!\S)-|-(?!\S)", lambda m: " "),
    ]


def _rules() -> list[tuple[re.Pattern[str], Say]]:
    """Patterns in the order in which they apply: the more particular first."""
    table = _abbreviations() + _amounts() + _plain_numbers()
    return [(re.compile(pattern), say) for pattern, say in table]


def _tidy() -> list[tuple[re.Pattern[str], str]]:
    """What makes readable text of the rules' words and spaces."""
    table = [
        (r"(?<![A-Za-z])'|'(?![A-Za-z])", " "),  # quotes, not apostrophes
        (rf"([A-Za-z']{{{LONGEST_WORD}}})(?=[A-Za-z'])", r"\1 "),
        (rf"([A-Za-z'-]{{{LONGEST_WORD}}})-", r"\1 "),
        (r"\s+(?=[,.;:!?)])|^\s+|\s+$", ""),
        (r"\s+", " "),
        (r"([,;:])(?:\s*[,;:])+", r"\1"),
    ]
    return [(re.compile(pattern), say) for pattern, say in table]


_RULES = _rules()
_TIDY = _tidy()
