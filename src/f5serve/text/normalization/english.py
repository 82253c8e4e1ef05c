"""Normalizes English: to the words that are spoken, and to ASCII for a pronouncing dictionary.

`verbalize` rewrites numbers, signs, abbreviations and capitals, and keeps all other letters and
marks. `normalize_english` takes them to ASCII as well: what has no rule of its own is read sign by
sign or digit by digit; only decoration (quotes, bullets, emoji, markup stars) is silent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from f5serve.text import numbers
from f5serve.text.mapped_text import MappedText, Replacement
from f5serve.text.markup import is_emoji
from f5serve.text.normalization.english_acronyms import acronyms, shouting
from f5serve.text.normalization.english_amounts import amounts, in_full, ranges
from f5serve.text.normalization.english_codes import addresses, codes
from f5serve.text.normalization.english_dates import dates, day_first_dates, ordinals, times, years
from f5serve.text.normalization.english_names import abbreviations, romans
from f5serve.text.normalization.english_patterns import INT, Table, bare
from f5serve.text.normalization.english_tables import LETTERS, MARKS, SIGNS
from f5serve.text.normalization.rules import Rule, apply_rules, make_rules

LONGEST_WORD = 24
"""Letters; longer runs are cut, because an unknown word costs quadratic time to pronounce."""

_OPENING = "-([{<\"'“‘”’«»—–‒―¿¡\U000f0000"
_CLOSING = ")]}>\"'“‘”’«»—–‒―.,;:!?…"


def verbalize(
    mapped: MappedText, off: frozenset[str] = frozenset(), day_first: bool = False
) -> MappedText:
    """What English is spoken as, with the letters and marks of the text.

    Args:
        off: kinds of rules that leave the text alone.
        day_first: 03/04 is the third of April, as in Britain.
    """
    return apply_rules(mapped, (*_DAY_FIRST, *_RULES) if day_first else _RULES, off)


def normalize_english(text: str) -> MappedText:
    """Words and ASCII punctuation: "£3.2bn" -> "three point two billion pounds"."""
    mapped = apply_rules(MappedText.of(text), _RULES_OF_WORDS).map_chars(_to_ascii)
    mapped = apply_rules(mapped, _ASCII_RULES).map_chars(_read_sign)
    for pattern, template in _TIDY:
        mapped = mapped.sub(pattern, template)
    return mapped.strip()


def unsupported_characters(text: str) -> list[str]:
    """Characters that English letters, digits and signs cannot render, in order, each once."""
    return [character for character in dict.fromkeys(text) if not _is_speakable(character)]


def _is_speakable(character: str) -> bool:
    if is_emoji(character):  # whatever it decomposes into, and if it is newer than the tables
        return True
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


@lru_cache(maxsize=4096)
def _to_ascii(character: str) -> str:
    """Accents off, other digits as 0-9, one form for each mark; signs stay as they are."""
    if character in SIGNS or character in "–⁄" or (character.isascii() and character not in MARKS):
        return character
    if is_emoji(character):
        return " "
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
    return " — " if character in "—–" else " "


def _spaced(say: Replacement) -> Replacement:
    """The same words, apart from what they would touch: "5kg" -> "five kilograms"."""

    def say_apart(match: re.Match[str]) -> str | None:
        words = say(match)
        if words is None:
            return None
        text = match.string
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        touches_before = before and not before.isspace() and before not in _OPENING
        touches_after = after and not after.isspace() and after not in _CLOSING
        words = words.strip()
        if not words:
            return " " if touches_before and touches_after else ""
        return f"{' ' if touches_before else ''}{words}{' ' if touches_after else ''}"

    return say_apart


def _without_emoji(match: re.Match[str]) -> str | None:
    if not any(map(is_emoji, match[0])) and not re.search("[\ufe0e\ufe0f\u20e3]", match[0]):
        return None
    kept = "".join(c for c in match[0] if not is_emoji(c) and c not in "\u200d\ufe0e\ufe0f\u20e3")
    kept = re.sub("[\U000e0020-\U000e007f]", "", kept).strip()
    after = match.string[match.end() : match.end() + 1]
    if not kept and (match.start() == 0 or not after or after in ".,!?;:)"):
        return ""
    return f" {kept} " if kept else " "


def _first() -> Table:
    """Rules for what the others rely on."""
    pictures = "\u2139\u200d\u231a-\u27bf\u2934-\u303d\u3297\u3299\ufe0e\ufe0f\u20e3"
    pictures = f"[{pictures}\U0001f000-\U0001faff\U000e0020-\U000e007f]"
    return [
        ("cardinal", r"(?![0-9])\d", lambda m: str(unicodedata.decimal(m[0]))),
        ("decimal", r"\.(?<![\w.]\.)(?=\d)", lambda m: "0."),
        ("cardinal", r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", lambda m: ""),
        (
            "cardinal",
            r"\d(?<![\d.,]\d)(?<!\d \d)\d{0,2}(?: \d{3}(?![\d-]))+(?=\s(?:k?m|kg|people)\b|[.,]?$)",
            _join_groups,
        ),
        ("emoji", rf"(?<! ) *+{pictures}++(?: ++{pictures}++)*+ *+", _without_emoji),
    ]


def _join_groups(match: re.Match[str]) -> str:
    return match[0].replace(" ", "")


def _last_numbers() -> Table:
    """Whatever digits are left."""
    number = r"(?>\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+)"
    return [
        ("cardinal", r"-(?<=[^\W\d_]-)(?=\d)", lambda m: ""),
        ("year", r"\d(?<![\d.,]\d)(?<=[12]\d)?\d{3}(?!\d|[.,]\d)(?:-(?=[^\W\d_]))?", _say_four),
        (
            "cardinal",
            rf"({INT}(?:,\d{{3}}(?!\d))*+)\+(?![\w+=(])(?!\s\d)",
            lambda m: f"{_plain(m[1])} plus",
        ),
        ("cardinal", rf"({number})(?:-(?=[^\W\d_]))?", lambda m: _plain(m[1])),
    ]


def _plain(number: str) -> str:
    return numbers.decimal(bare(number))


def _say_four(match: re.Match[str]) -> str | None:
    digits = match[0].rstrip("-")
    return in_full(digits) if re.fullmatch(r"1[1-9]\d\d|20\d\d", digits) else None


def _signs() -> Table:
    """Whatever signs are left."""
    signs = "".join(map(re.escape, (sign for sign in SIGNS if sign not in "²³")))
    return [
        ("sign", r"(?<=[^\W_])_++(?=[^\W_])", lambda m: " "),
        ("sign", r"§§", lambda m: "sections"),
        ("sign", r"[-=]>", lambda m: "to"),
        ("sign", r"([$€£])\1+", lambda m: SIGNS[m[1]]),
        ("sign", rf"[{signs}]", lambda m: SIGNS[m[0]]),
        ("sign", r"[*`~^|_™]++", lambda m: ""),
    ]


def _rules(mark: str) -> tuple[Rule, ...]:
    """All rules in the order in which they apply: the more particular first.

    Args:
        mark: between the letters of an acronym.
    """
    first, *rest = _first(), [
        *addresses(), *shouting(), *abbreviations(), *romans(), *dates(), *codes(), *times(),
        *years(), *ordinals(), *amounts(), *ranges(), *_last_numbers(), *_signs(), *acronyms(mark),
    ]  # fmt: skip
    spaced = [(kind, pattern, _spaced(say)) for table in rest for kind, pattern, say in table]
    return make_rules(
        [
            *first,
            *spaced,
            ("sign", r"-(?<=\S -)(?=[^\W\d_])|-(?<=\w-)(?= [^\W\d_])", lambda m: ""),
            ("sign", r"  ++", lambda m: " "),
        ]
    )


def _ascii_rules() -> tuple[Rule, ...]:
    """Rules for what became a digit or a hyphen only in ASCII."""
    spaced = [(kind, pattern, _spaced(say)) for kind, pattern, say in _last_numbers()]
    return make_rules(
        [
            ("acronym", r"(?<![\w.])[A-Za-z](?:\.[A-Z])++s?(?!\w|\.\w|\.\s*\S)", _join_letters),
            *spaced,
            ("sign", r"--++|\s-\s", lambda m: " — "),
            ("sign", r"(?<!\S)-|-(?!\S)", lambda m: " "),
        ]
    )


def _join_letters(match: re.Match[str]) -> str:
    """As the dictionary has it: "F.B.I" -> "FBI"."""
    return match[0].replace(".", "")


def _tidy() -> list[tuple[re.Pattern[str], str]]:
    """What makes readable text of the rules' words and spaces."""
    table = [
        (r"(?<![A-Za-z])'|'(?![A-Za-z])", " "),  # quotes, not apostrophes
        (rf"([A-Za-z']{{{LONGEST_WORD}}})(?=[A-Za-z'])", r"\1 "),
        (rf"([A-Za-z'-]{{{LONGEST_WORD}}})-", r"\1 "),
        (r"\s++", " "),
        (r" (?=[,.;:!?)])|^ | $", ""),
        (r"([.,;:!?'()-]{3})[.,;:!?'()-]++", r"\1"),  # rows of marks cost as unknown words do
        (r"([,;:])(?: ?[,;:])++", r"\1"),
    ]
    return [(re.compile(pattern), say) for pattern, say in table]


_DAY_FIRST = make_rules((kind, pattern, _spaced(say)) for kind, pattern, say in day_first_dates())
_RULES = _rules(".")
_RULES_OF_WORDS = _rules("")
_ASCII_RULES = _ascii_rules()
_TIDY = _tidy()
