"""Words that are spoken otherwise than they are written, marked by tags of SSML.

`<sub alias="World Wide Web">WWW</sub>`, `<say-as interpret-as="ordinal">3</say-as>`. These tags
pass cleaning; `spoken_text` takes them out, and keeps the words within as what is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from f5serve.text.mapped_text import MappedText
from f5serve.types import Span

MAX_CHARS = 500
"""Of an alias, and of the words that it stands for."""

KINDS = ("characters", "spell-out", "verbatim", "digits", "cardinal", "number", "ordinal", "date",
         "telephone")  # fmt: skip
"""Values of interpret-as that are read in a way of their own."""

_AROUND = 40
"""Characters on either side that may decide the form of a word."""

_EQUALS = r"\s{0,9}=\s{0,9}"
_INTERPRET_AS = rf"interpret-as{_EQUALS}[\"'](?P<kind>{'|'.join(KINDS)})[\"']"
_FORMAT = rf"format{_EQUALS}[\"'](?P<format>[A-Za-z]{{0,20}})[\"']"
ALIASED = (
    rf"<(?:sub\s{{1,9}}alias{_EQUALS}(?=[\"']\s{{0,9}}[^\s\"'])"
    rf"(?:\"(?P<alias>[^\"]{{1,{MAX_CHARS}}}+)\"|'(?P<quoted>[^']{{1,{MAX_CHARS}}}+)')"
    rf"|say-as\s{{1,9}}{_INTERPRET_AS}(?:\s{{1,9}}{_FORMAT})?)\s{{0,9}}>"
    rf"(?!\s{{0,9}}</)(?P<written>(?:[^<]|<(?![/!A-Za-z])){{1,{MAX_CHARS}}}+)"
    r"</(?(kind)say-as|sub)\s{0,9}>"
)
"""Either tag with the words within, as a pattern for any case; `written` are these words."""

_ALIASED = re.compile(ALIASED, re.IGNORECASE)
_END_TAG = re.compile(r"</(?:sub|say-as)\s{0,9}>$", re.IGNORECASE)


class Alias(NamedTuple):
    """Words of a text, and how they are spoken.

    Attributes:
        place: of the words in the text without tags.
        kind: one of `KINDS`; "" for an alias.
        value: the alias, or the format of a date.
    """

    place: Span
    kind: str
    value: str


def take_aliases(mapped: MappedText) -> tuple[MappedText, list[Alias]]:
    """The text without these tags, with the words as they are written, and what was marked."""
    if "</" not in mapped.text:
        return mapped, []
    parts: list[MappedText] = []
    aliases: list[Alias] = []
    end = removed = 0
    for match in _ALIASED.finditer(mapped.text):
        start, stop = match.span("written")
        removed += start - match.start()
        place = start - removed, stop - removed
        aliases.append(Alias(place, (match["kind"] or "").lower(), _value(match)))
        parts += [mapped[end : match.start()], mapped[start:stop]]
        end = match.end()
        removed += end - stop
    return (MappedText.join([*parts, mapped[end:]]), aliases) if parts else (mapped, [])


def speak_aliases(
    mapped: MappedText, aliases: Sequence[Alias], language: str
) -> tuple[MappedText, tuple[str, ...]]:
    """The text with what is spoken for marked words, each with the span of all of them.

    Args:
        aliases: as `take_aliases` found them in this text.
        language: ISO 639-1 of the text; "" where it is unknown.

    Returns:
        The text, and a warning for each kind that could not be read as it was marked.
    """
    if not aliases:
        return mapped, ()
    from f5serve.text.say_as import say_as  # few texts need it

    parts: list[MappedText] = []
    warnings: dict[str, str] = {}
    end = 0
    for (start, stop), kind, value in aliases:
        written = mapped[start:stop]
        around = mapped.text[max(0, start - _AROUND) : start], mapped.text[stop : stop + _AROUND]
        spoken = say_as(written.text, kind, value, language, around) if kind else value
        if spoken is None:
            wrong = f"{written.text[:40]!r} cannot be read as {kind}"
            warnings.setdefault(kind, f"{wrong}, and is spoken as if it were not marked.")
        else:
            written = written.replaced(spoken, [(0, stop - start)] * len(spoken))
        parts += [mapped[end:start], written]
        end = stop
    return MappedText.join([*parts, mapped[end:]]), tuple(warnings.values())


def with_aliases(text: str) -> str:
    """The text with aliases in place of their words, and without the other tags."""
    if "</" not in text:
        return text
    return _ALIASED.sub(lambda match: match["written"] if match["kind"] else _value(match), text)


def without_end_tag(line: str) -> str:
    """A line without the tag that closes its last words."""
    return _END_TAG.sub("", line) if line.endswith(">") else line


def _value(match: re.Match[str]) -> str:
    return (match["alias"] or match["quoted"] or match["format"] or "").strip()
