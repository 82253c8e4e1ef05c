"""Digits to words in many languages, by the rules of Unicode's CLDR.

English has rules of its own, for more than numbers, in `text/english/`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import lru_cache

MAX_DIGITS = 15
"""Longer numbers are read digit by digit, as are those that a language's rules fail on."""


@lru_cache(maxsize=16)
def speller(language: str) -> Callable[[str], str] | None:
    """What says numbers in a language (ISO 639-1); None where its rules are not installed.

    The function takes digits with `.` and `,` between them: "1,203" -> one thousand two hundred
    three. Which of the two marks is a decimal point goes by how many digits follow it.
    """
    if importlib.util.find_spec("unicode_rbnf") is None:
        return None
    from unicode_rbnf import RbnfEngine

    try:
        engine = RbnfEngine.for_language(language)
    except ValueError:
        return None

    def say(number: int) -> str:
        try:
            return str(engine.format_number(number).text)
        except (ValueError, KeyError, RecursionError):
            return ""

    def spell(text: str) -> str:
        whole, fraction = _halves(text)
        if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
            words = [say(int(digit)) for digit in whole]
        else:
            words = [say(int(whole))]
        return " ".join([*words, *(say(int(digit)) for digit in fraction)])

    return spell


def _halves(text: str) -> tuple[str, str]:
    """Digits before and after the decimal mark: "1.203,5" -> 1203, 5."""
    parts = re.split(r"[.,]", text)
    if len(parts) == 1:
        return text, ""
    if len(parts[-1]) == 3 and all(len(part) == 3 for part in parts[1:]):
        return "".join(parts), ""
    return "".join(parts[:-1]), parts[-1]
