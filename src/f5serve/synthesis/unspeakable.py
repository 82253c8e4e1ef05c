"""Characters that the model of an engine cannot speak: refused, or left out of a long text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from f5serve.errors import InvalidRequest
from f5serve.text.mapped_text import MappedText
from f5serve.text.pinyin import show_pinyin
from f5serve.text.spoken import SpokenText
from f5serve.types import Engine

NAMED_CHARACTERS = 5
"""How many characters that cannot be spoken are named."""


def refuse_unspeakable(text: str, engine: Engine) -> None:
    """Refuse text that the engine's model would skip or garble.

    Raises:
        InvalidRequest: TEXT_NOT_SPEAKABLE, naming the first characters with their code points.
    """
    characters = engine.unspeakable(text)
    if characters:
        raise InvalidRequest(
            f"The model {engine.model} cannot speak {_named(characters)}.",
            code="TEXT_NOT_SPEAKABLE",
            hint="Take a model of the text's language: f5serve models list shows them.",
        )


def without_characters(spoken: SpokenText, characters: frozenset[str]) -> SpokenText | None:
    """What is spoken without these characters; None where no word is left."""
    mapped = spoken.mapped
    if characters.isdisjoint(mapped.text):
        return spoken
    kept = [index for index, one in enumerate(mapped.text) if one not in characters]
    text = "".join(mapped.text[index] for index in kept)
    if not any(map(str.isalnum, text)):
        return None
    return replace(spoken, mapped=MappedText(text, tuple(mapped.spans[index] for index in kept)))


def left_out_warning(characters: Sequence[str], model: str, parts: int) -> str:
    """The sentence on characters that were left out, and on parts that had nothing else."""
    more = f" {parts} sentences have nothing else and are left out." if parts else ""
    return f"The model {model} cannot speak {_named(characters)}, which is left out.{more}"


def _named(characters: Sequence[str]) -> str:
    named = ", ".join(map(_name, characters[:NAMED_CHARACTERS]))
    more = len(characters) - NAMED_CHARACTERS
    return f"{named} and {more} more" if more > 0 else named


def _name(character: str) -> str:
    if (pinyin := show_pinyin(character)) != character:
        return pinyin
    if unicodedata.category(character)[0] in "CMZ":  # nothing to see on its own
        return f"U+{ord(character):04X}"
    return f"{character} (U+{ord(character):04X})"
