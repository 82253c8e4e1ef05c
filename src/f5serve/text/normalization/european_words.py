"""Words and marks in European languages: abbreviations, addresses, Roman numerals, signs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from f5serve.text.mapped_text import Replacement
from f5serve.text.markup import is_emoji
from f5serve.text.normalization.european_language import EuropeanLanguage
from f5serve.text.normalization.european_match import (
    LETTER,
    UPPER,
    RuleRow,
    any_of,
    roman_value,
    without_spaces,
    word_before,
    word_behind,
)
from f5serve.text.normalization.european_numbers import NUMBER, SPACE

_TOP_DOMAINS = (
    "com|org|net|io|edu|gov|dev|ai|app|info|eu|de|at|ch|fr|be|es|mx|ar|it|pt|br|uk|us|ca|nl|pl|tv"
)
_URL = r"(?i:https?://)[^\s,;<>]*[\w/]"
_MAIL = r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++"
_DOMAIN = (
    r"(?<![\w@./-])(?:[\w-]{1,63}\.){1,6}"
    rf"(?:{_TOP_DOMAINS})(?![\w-]|\.\w)(?:/[^\s,;<>]*[\w/])?"
)
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"
_ENTITIES = {"&nbsp;": " ", "&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">", "&#39;": "'"}
_CAMEL = re.compile(rf"(?<=[a-zß-ÿ])(?=[{UPPER}])|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
_TOKEN = re.compile(rf"\d++|{LETTER}++|.")
_CAPITALS_BEFORE = re.compile(rf"(?<!\w)[{UPPER}]++\W{{1,3}}$")
_CAPITALS_BEHIND = re.compile(rf"\W{{1,3}}[{UPPER}]++(?!\w)")
_MOST_LETTERS = 6


def address_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """What comes first: emoji, left-overs of markup, addresses, handles and versions."""
    signs, numbers = language.signs, language.numbers

    def say_address(match: re.Match[str]) -> str:
        text = re.sub(r"^(?i:https?://)", "", match[0]).rstrip("/")
        return _spell_address(language, text)

    def say_hashtag(match: re.Match[str]) -> str:
        words = _CAMEL.sub(" ", match[1].replace("_", " "))
        return f"{signs.hashtag} {words}"

    def say_version(match: re.Match[str]) -> str:
        words = f" {numbers.point} ".join(map(numbers.cardinal, match["parts"].split(".")))
        is_named = word_before(match).lower() == signs.version.lower()
        return words if is_named else f"{signs.version} {words}"

    return [
        ("emoji", r" ?[\u00a9\u00ae\u200d\u203c-\U0001ffff]", _drop_emoji),
        ("sign", any_of(_ENTITIES), lambda match: _ENTITIES[match[0]]),
        (
            "sign",
            r"(?<!\w)(?:\*{1,3}|_{2,3}|`{1,3})(?=\w)|(?<=[\w.!?])(?:\*{1,3}|`{1,3})(?!\w)",
            _drop,
        ),
        ("address", f"{_URL}|{_MAIL}|{_DOMAIN}", say_address),
        ("handle", r"(?<![\w&#/])#([^\W\d_]\w*+)", say_hashtag),
        (
            "handle",
            rf"(?<![\w@.])@({LETTER}[\w.]*\w|{LETTER})",
            lambda match: _spell_address(language, match[0]),
        ),
        (
            "version",
            r"(?<![\w.,])[vV](?P<parts>\d{1,6}(?:\.\d{1,6}){0,5})(?!\w|\.\d)",
            say_version,
        ),
    ]


def dotted_rule(language: EuropeanLanguage) -> RuleRow:
    """Versions and addresses of machines without a "v": 2.10.3; dates come before."""
    point = f" {language.numbers.point} "

    def say(match: re.Match[str]) -> str | None:
        if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", match[0]):
            return None
        return point.join(map(language.numbers.cardinal, match[0].split(".")))

    return "version", r"(?<![\d.,])\d{1,9}+(?:\.\d{1,9}+){2,9}+(?![\w]|[.,]\d)", say


def _drop_emoji(match: re.Match[str]) -> str | None:
    last = match[0][-1]
    return "" if is_emoji(last) or last in _JOINERS else None


def _drop(match: re.Match[str]) -> str:
    return ""


def _spell_address(language: EuropeanLanguage, text: str) -> str:
    words = []
    for token in _TOKEN.findall(text):
        if token.isdecimal():
            words.append(language.numbers.cardinal(token))
        elif token == "www":
            words.append("w w w")
        elif token.isalnum():
            words.append(token)
        else:
            words.append(language.signs.address.get(token, ""))
    return " ".join(filter(None, words))


def abbreviation_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Abbreviations, the more particular first."""
    table = language.abbreviations
    return [
        _abbreviation(table.closing, "", "closing"),
        _abbreviation({**table.anywhere, **language.acronyms.mixed}, "", "end"),
        _abbreviation(table.before_number, rf"(?={SPACE}?\d|{SPACE}[IVXLC]++(?!\w))", "keep"),
        _abbreviation(table.before_name, rf"(?={SPACE}[{UPPER}])", "keep"),
    ]


def _abbreviation(table: Mapping[str, str], behind: str, stop: str) -> RuleRow:
    """`stop` says where the last stop stays: "end" of the text, "closing" also before a capital."""
    both = dict(table)
    for key, words in table.items():
        both.setdefault(key[0].upper() + key[1:], words[0].upper() + words[1:])
    bare = {without_spaces(key): words for key, words in both.items()}

    def say(match: re.Match[str]) -> str:
        words = bare[without_spaces(match[0])]
        rest = match.string[match.end() :][:2]
        ends = not rest.strip() or (stop == "closing" and rest[0].isspace() and rest[1:].isupper())
        return f"{words}." if stop != "keep" and ends and match[0].endswith(".") else words

    return (
        "abbreviation",
        rf"(?<![\w.])(?:{any_of(both)})(?:(?<=[.°º])|(?!\w)){behind}",
        say,
    )


def roman_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Roman numerals after names, after words such as "Kapitel", and before others."""
    romans, numbers = language.romans, language.numbers
    before = re.compile(romans.before, re.IGNORECASE)
    after = re.compile(romans.after or "(?!)", re.IGNORECASE)

    def say(match: re.Match[str]) -> str | None:
        value, mark = roman_value(match["roman"]), match["mark"]
        is_short = len(match["roman"]) == 1
        if not value or (is_short and match["roman"] in "LCDM"):
            return None
        word = word_before(match)
        if word in romans.names:
            is_end = not match.string[match.end() :].strip()
            return romans.regnal(word, value) + (mark if is_end else "")
        if before.fullmatch(word):
            say_it = romans.before_say
            return (say_it(word, value) if say_it else numbers.cardinal(str(value))) + mark
        if after.fullmatch(word_behind(match)) and romans.after_say:
            return romans.after_say(value)
        is_numeral = not is_short and set(match["roman"]) <= set("IVX")
        return numbers.cardinal(str(value)) + mark if word.istitle() and is_numeral else None

    return [
        ("roman", rf"(?<![\w'’-])(?P<roman>[IVXLCDM]++)(?P<mark>{romans.regnal_mark})(?!\w)", say)
    ]


def sign_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """Signs beside numbers, which must still be digits."""
    signs, numbers = language.signs, language.numbers
    between = signs.between_numbers

    def say_power(match: re.Match[str]) -> str | None:
        digits = unicodedata.normalize("NFKC", match[1]).replace("\u2212", "-")
        return f"{between['^']} {numbers.number(digits)}" if "^" in between else None

    return [
        (
            "sign",
            rf"(?<=\d){SPACE}?({any_of(between)}){SPACE}?(?=[\d(])",
            lambda match: f" {between[match[1]]} ",
        ),
        ("sign", r"(?<=\d)(⁻?[⁰¹²³⁴-⁹]{1,9})", say_power),
        (
            "sign",
            rf"(?<=\d){SPACE}?[-–]{SPACE}?(?={NUMBER}{SPACE}?=)",
            lambda match: f" {numbers.minus} ",
        ),
    ]


def before_number_rule(language: EuropeanLanguage) -> RuleRow:
    """Signs before numbers, such as ~; before the rules that make words of what follows them."""
    before = language.signs.before_number
    return (
        "sign",
        rf"({any_of(before)}){SPACE}?(?=\d)",
        lambda match: f"{before[match[1]]} ",
    )


def last_rules(language: EuropeanLanguage) -> list[RuleRow]:
    """What comes last: signs anywhere, then capitals."""
    signs = language.signs.words
    return [
        ("sign", any_of(signs), lambda match: signs[match[0]]),
        ("acronym", rf"(?<!\w)([{UPPER}]{{2,}}+)(s?)(?!\w)", _acronym(language)),
    ]


def _acronym(language: EuropeanLanguage) -> Replacement:
    table = language.acronyms
    vowels = frozenset(table.vowels)

    def is_spelled(text: str) -> bool:
        return text in table.letters or not vowels.intersection(text)

    def is_shouted(match: re.Match[str]) -> bool:
        head = match.string[max(0, match.start() - 40) : match.start()]
        behind = _CAPITALS_BEHIND.match(match.string, match.end(), match.end() + 40)
        return bool(_CAPITALS_BEFORE.search(head) or behind)

    def say(match: re.Match[str]) -> str | None:
        text = match[1]
        if len(text) > _MOST_LETTERS or text in table.words:
            return None
        if not is_spelled(text) and (len(text) > 3 or is_shouted(match) or _is_syllable(text)):
            return None
        return " ".join(text) + match[2]

    def _is_syllable(text: str) -> bool:
        is_closed = text[0] not in vowels and text[-1] not in vowels
        return is_closed or text.lower() in table.short_words

    return say
