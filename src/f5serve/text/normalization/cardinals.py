"""Plain numbers of languages that have no rules of their own, by Unicode's CLDR."""

from __future__ import annotations

import re

from f5serve.text.mapped_text import MappedText
from f5serve.text.numbers import number_speller

_NUMBER = re.compile(r"(?<![\d.,])\d++(?:[.,]\d++)*+(?![\d])")


def verbalize_cardinals(
    mapped: MappedText, language: str, off: frozenset[str] = frozenset()
) -> tuple[MappedText, str]:
    """Digits as words where the language's numbers are known; and a warning where they are not."""
    spell = number_speller(language) if language else None
    if spell is None:
        warning = ""
        if re.search(r"\d", mapped.text):
            warning = f"Numbers are not read as words in the language {language or 'unknown'}."
        return mapped, warning
    return mapped.sub(_NUMBER, lambda match: spell(match[0])), ""
