"""Written numbers of German, French, Spanish, Italian and Portuguese, and how they are spoken.

All five write a comma before decimals and group thousands by points or spaces. The way of English
is understood where it cannot be meant otherwise: 1,299.99.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from f5serve.text.numbers import MAX_DIGITS, ruleset_speller

SPACE = "[ \u00a0\u2009\u202f]"
START = r"(?=\d)(?<!\d)(?<!\d[.,])"
"""Before the first digit of a number: not within another one."""

NUMBER = (
    r"(?>[1-9]\d{0,2}(?:\.\d{3}(?!\d)){1,4}(?:,\d++)?"
    rf"|[1-9]\d{{0,2}}(?:(?:{SPACE}|['’])\d{{3}}(?!\d)){{1,4}}(?:,\d++)?"
    r"|[1-9]\d{0,2}(?:,\d{3}(?!\d)){1,4}\.\d++"
    r"|[1-9]\d{0,2}(?:,\d{3}(?!\d)){2,4}"
    r"|\d++(?:[.,]\d++)?)"
)
"""A number without a sign, whole: what follows cannot make it shorter."""

SIGNED = rf"(?=[-−–+±\d])(?>(?:(?<![\w\])%°,.+\-−–])[-−–+±]|{START}){NUMBER})"
"""A number, and the sign before it; its first character is looked for first, which is faster."""

DASH = rf"(?:[-–—]|{SPACE}[-–—]{SPACE})"
"""Between the two ends of a range."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A word that is counted.

    Attributes:
        one: the singular.
        many: the plural; "" where it is the same.
        gender: a key of `Numbers.cardinals`: "m", "f" or "n".
    """

    one: str
    many: str = ""
    gender: str = "m"

    def form(self, is_one: bool) -> str:
        """Singular or plural."""
        return self.one if is_one or not self.many else self.many


ROMANCE_CARDINALS = {
    "": "spellout-numbering",
    "m": "spellout-cardinal-masculine",
    "f": "spellout-cardinal-feminine",
}
ROMANCE_ORDINALS = {
    "": "spellout-ordinal-masculine",
    "m": "spellout-ordinal-masculine",
    "f": "spellout-ordinal-feminine",
}
"""Rulesets of CLDR for French, Spanish, Italian and Portuguese; see `Numbers`."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a language speaks numbers.

    Attributes:
        code: of CLDR's rules, "de" or "pt_PT".
        cardinals: gender to ruleset of CLDR; "" is the form that counts.
        ordinals: form to ruleset; "" is the one taken where nothing says which.
        comma: the word for the decimal comma.
        point: the word for a decimal point.
        minus: the word for a minus before a number.
        plus: the word for a plus before a number.
        plus_minus: the words for ±; "" for both of them.
        year_ruleset: of numbers that are years.
        fraction_as_number: decimals are one number, 3,14 "trois virgule quatorze", not digits.
        of_millions: word between whole millions and what they count: "dos millones de euros".
        singular_below_two: the plural begins at 2, not behind 1: "1,5 million".
    """

    code: str
    cardinals: Mapping[str, str]
    ordinals: Mapping[str, str]
    comma: str
    point: str
    minus: str
    plus: str = "plus"
    plus_minus: str = ""
    year_ruleset: str = "spellout-numbering"
    fraction_as_number: bool = True
    of_millions: str = ""
    singular_below_two: bool = False

    def is_available(self) -> bool:
        """Whether CLDR's rules are installed."""
        return bool(self.cardinal("1"))

    def cardinal(self, digits: str, gender: str = "") -> str:
        """A whole number; with a leading zero, or too long for a name, digit by digit."""
        if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return self._spell(self.cardinals.get(gender) or self.cardinals[""], digits)

    def digits(self, text: str) -> str:
        """Each digit on its own; other characters are left out."""
        ruleset = self.cardinals[""]
        return " ".join(self._spell(ruleset, digit) for digit in text if digit.isdecimal())

    def ordinal(self, digits: str, form: str = "") -> str:
        """The place in a row, in a form of `ordinals`."""
        if len(digits) > MAX_DIGITS:
            return self.digits(digits)
        return self._spell(self.ordinals.get(form) or self.ordinals[""], digits)

    def year(self, digits: str) -> str:
        """A year: "1999" -> "neunzehnhundertneunundneunzig"."""
        if len(digits) > 1 and digits[0] == "0":
            return self.cardinal(digits)
        return self._spell(self.year_ruleset, digits)

    def number(self, text: str, gender: str = "") -> str:
        """A number as it is written, with its sign: "-1.299,5"."""
        sign, whole, mark, decimals = split_number(text)
        words = [self._sign(sign)] if sign else []
        words.append(self.cardinal(whole, "" if decimals else gender))
        if decimals:
            words += [self.comma if mark == "," else self.point, self._decimals(decimals)]
        return " ".join(words)

    def counted(self, text: str, noun: Noun) -> str:
        """A written number and what it counts: "21 pages" -> "vingt-et-une pages"."""
        of = self._of(split_number(text)[1]) if noun.gender else ""
        return f"{self.number(text, noun.gender)} {of}{noun.form(self.is_one(text))}"

    def _of(self, whole: str) -> str:
        is_millions = whole.endswith("000000") and whole[0] != "0" and len(whole) <= MAX_DIGITS
        return f"{self.of_millions} " if self.of_millions and is_millions else ""

    def is_one(self, text: str) -> bool:
        """Whether the singular follows a written number."""
        _, whole, _, decimals = split_number(text)
        if self.singular_below_two:
            return whole in ("0", "1")
        return whole == "1" and not decimals

    def _spell(self, ruleset: str, digits: str) -> str:
        words_of = ruleset_speller(self.code, ruleset)
        return words_of(int(digits)) if words_of else ""

    def _sign(self, sign: str) -> str:
        if sign == "±":
            return self.plus_minus or f"{self.plus} {self.minus}"
        return self.plus if sign == "+" else self.minus

    def _decimals(self, digits: str) -> str:
        bare = digits.lstrip("0")
        if not self.fraction_as_number or not bare or len(bare) > 3:
            return self.digits(digits)
        zeros = self.digits(digits[: -len(bare)])
        return f"{zeros} {self.cardinal(bare)}".strip()


def split_number(text: str) -> tuple[str, str, str, str]:
    """Sign, whole part without grouping, decimal mark and decimals of a written number."""
    sign = text[:1] if text[:1] in "-−–+±" else ""
    text = text.removeprefix(sign)
    text = "".join(c for c in text if c in ".," or c.isdecimal())
    last = max(text.rfind("."), text.rfind(","))
    if last < 0:
        return sign, text, "", ""
    mark, whole, decimals = text[last], text[:last], text[last + 1 :]
    is_mixed = (",." if mark == "." else ".,")[0] in whole
    is_grouping = whole.count(mark) or (mark == "." and len(decimals) == 3 and whole[:1] != "0")
    if is_grouping and not is_mixed and not (whole.isdecimal() and len(whole) > 3):
        return sign, (whole + decimals).replace(mark, ""), "", ""
    return sign, whole.replace(".", "").replace(",", ""), mark, decimals
