"""Rules of text normalization: a kind, a pattern, and what a match is spoken as.

A caller can leave kinds alone: what such a rule would rewrite is then hidden from all others behind
one character, and comes back as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from f5serve.text.mapped_text import MappedText, Replacement

_HIDDEN = 0xF0000
_MOST_HIDDEN = 0xFFFD
_PLANE = re.compile("[\U000f0000-\U000ffffd]")
"""Private characters that stand for hidden text; none is a letter, digit, space or mark."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        kind: one of `TEXT_KINDS`.
        pattern: of what is rewritten. It must take linear time on any text: possessive quantifiers,
            and no match that begins inside a longer run.
        replace: a match to the words for it; None leaves it as it is.
    """

    kind: str
    pattern: re.Pattern[str]
    replace: Replacement


def make_rules(table: Iterable[tuple[str, str, Replacement]], flags: int = 0) -> tuple[Rule, ...]:
    """Rules of (kind, pattern, replace), with their patterns compiled."""
    return tuple(Rule(kind, re.compile(pattern, flags), say) for kind, pattern, say in table)


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
    for rule in rules:
        if rule.kind in off:
            mapped = mapped.sub(rule.pattern, partial(_hide, hidden, rule.replace))
        else:
            mapped = mapped.sub(rule.pattern, rule.replace)
    return hidden.restore(mapped)


def _hide(hidden: HiddenText, replace: Replacement, match: re.Match[str]) -> str | None:
    return None if replace(match) is None else hidden.hide(match[0])
