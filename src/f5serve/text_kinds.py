"""Values of fields about texts: kinds that normalization reads as words, `normalize`, `markup`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

TextKind = Literal[
    "abbreviation", "acronym", "address", "cardinal", "date", "decimal", "emoji", "fraction",
    "handle", "measure", "money", "ordinal", "percent", "phone", "postcode", "range", "ratio",
    "roman", "sign", "temperature", "time", "version", "year",
]  # fmt: skip
"""What a rule of text normalization can be about.

`address` is URLs and e-mail, `handle` hashtags and @names, `measure` numbers with units, `sign`
mathematical and other symbols, `acronym` capitals that are letters, not a word.
"""

Markup = Literal["auto", "strict", "off"]
"""What becomes of brackets that are no tag of a script: text, or an error; `off` reads no tags."""

TEXT_KINDS: tuple[str, ...] = get_args(TextKind)
VALUES = f"auto, on, off, or kinds to leave alone: {', '.join(TEXT_KINDS)}"
"""What `normalize` takes, for hints."""


def parse_normalize(value: str | Sequence[str]) -> str:
    """One spelling of each value: auto, on, off, or kinds in order with commas between; "" is "".

    Raises:
        ValueError: with the first word that is none of them.
    """
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    words = [word.lower() for word in words]
    if not words or words in (["auto"], ["on"], ["off"]):
        return "".join(words)
    for word in words:
        if word not in TEXT_KINDS:
            raise ValueError(word)
    return ",".join(sorted(set(words)))
