"""Rules of text normalization: a kind, a pattern, and what a match is spoken as.

A caller can leave kinds alone: what such a rule would rewrite is then hidden from all others behind
one character, and comes back as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from f5serve.text.mapped_text import MappedText, Replacement

_HIDDEN = 0xF0000
_MOST_HIDDEN = 0xFFFD
_PLANE = re.compile("[\U000f0000-\U000ffffd]")
"""Private characters that stand for hidden text; none is a letter, digit, space or mark."""


@dataclass(frozen=True)
class Rule:
    """One rule; its pattern is compiled when a text first has what it needs.

    Attributes:
        kind: one of `TEXT_KINDS`.
        source: the pattern of what is rewritten. It must take linear time on any text: possessive
            quantifiers, and no match that begins inside a longer run.
        replace: a match to the words for it; None leaves it as it is.
    """

    kind: str
    source: str
    replace: Replacement
    flags: int = 0

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.source, self.flags)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Of these characters at least one is in every match, or beside it; empty where that is
        unknown. A rule whose characters a text has not costs nothing."""
        return _needed_by_pattern(self.source, self.flags)


_NONE: frozenset[str] = frozenset()
_DIGIT = "0-9"
"""Stands for the decimal digits of all scripts, in sets of characters."""

_MOST_NEEDED = 64


@lru_cache(maxsize=4096)
def _needed_by_pattern(source: str, flags: int) -> frozenset[str]:
    """As `Rule.needs`; English has two sets of rules that are mostly the same."""
    return _needed(_parser.parse(source, flags), bool(flags & re.IGNORECASE))


def _needed(parsed: Iterable[Any], ignores_case: bool) -> frozenset[str]:
    """The smallest set of which each match of a parsed pattern needs a character."""
    sets = (_needed_by_part(str(code), argument, ignores_case) for code, argument in parsed)
    return min((found for found in sets if found), key=len, default=_NONE)


def _needed_by_part(code: str, argument: Any, ignores_case: bool) -> frozenset[str]:
    if code in ("LITERAL", "IN"):
        return _characters([(code, argument)] if code == "LITERAL" else argument, ignores_case)
    if code in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, parts = argument
        return _needed(parts, ignores_case) if least else _NONE
    if code == "SUBPATTERN":
        return _needed(argument[-1], ignores_case or bool(argument[1] & re.IGNORECASE))
    if code in ("ASSERT", "ATOMIC_GROUP"):
        return _needed(argument[-1] if code == "ASSERT" else argument, ignores_case)
    if code == "BRANCH":
        branches = [_needed(branch, ignores_case) for branch in argument[1]]
        return _NONE.union(*branches) if all(branches) else _NONE
    return _NONE


def _characters(items: Iterable[tuple[Any, Any]], ignores_case: bool) -> frozenset[str]:
    """The characters of a class; none where it has too many, or letters in any case."""
    found: set[str] = set()
    for kind, value in items:
        if str(kind) == "CATEGORY" and str(value) == "CATEGORY_DIGIT":
            found.add(_DIGIT)
        elif str(kind) == "LITERAL":
            found.add(chr(value))
        elif str(kind) == "RANGE" and value[1] - value[0] < _MOST_NEEDED:
            found.update(map(chr, range(value[0], value[1] + 1)))
        else:
            return _NONE
    has_cases = ignores_case and any(char.lower() != char.upper() for char in found)
    return _NONE if has_cases or len(found) > _MOST_NEEDED else frozenset(found)


def characters_of(text: str) -> set[str]:
    """The characters of a text, and the one for digits if it has any."""
    found = set(text)
    if any(map(str.isdecimal, found)):
        found.add(_DIGIT)
    return found


def make_rules(table: Iterable[tuple[str, str, Replacement]], flags: int = 0) -> tuple[Rule, ...]:
    """Rules of (kind, pattern, replace)."""
    return tuple(Rule(kind, pattern, say, flags) for kind, pattern, say in table)


class HiddenText:
    """Parts of a text that no rule may see, each behind one private character."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def hide(self, text: str) -> str:
        """The character that stands for `text`; `text` itself once there are too many."""
        if len(self._parts) > _MOST_HIDDEN:
            return text
        self._parts.append(text)
        return chr(_HIDDEN + len(self._parts) - 1)

    def hide_private(self, mapped: MappedText) -> MappedText:
        """Private characters of the text itself, which would be taken for hidden parts."""
        return mapped.sub(_PLANE, lambda match: self.hide(match[0]))

    def restore(self, mapped: MappedText) -> MappedText:
        """All hidden parts as they were."""
        if not self._parts:
            return mapped
        return mapped.sub(_PLANE, lambda match: self._parts[ord(match[0]) - _HIDDEN])


def apply_rules(
    mapped: MappedText, rules: Iterable[Rule], off: frozenset[str] = frozenset()
) -> MappedText:
    """The text after all rules, in order; what rules of a kind in `off` match stays as it is.

    Each new character has the span of the whole match.
    """
    hidden = HiddenText()
    mapped = hidden.hide_private(mapped)
    there, seen = characters_of(mapped.text), mapped
    for rule in rules:
        if seen is not mapped:
            there, seen = characters_of(mapped.text), mapped
        if rule.needs and rule.needs.isdisjoint(there):
            continue
        replace = partial(_hide, hidden, rule.replace) if rule.kind in off else rule.replace
        mapped = mapped.sub(rule.pattern, replace)
    return hidden.restore(mapped)


def _hide(hidden: HiddenText, replace: Replacement, match: re.Match[str]) -> str | None:
    return None if replace(match) is None else hidden.hide(match[0])
