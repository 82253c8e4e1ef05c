"""Pronunciation lexicons: words of a text, and what is spoken in their place.

They are applied before normalization. The longest match wins, and of two rules for the same words
that of the more particular lexicon; what a rule has written is not matched again.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from f5serve.text.lexicon_rules import JOINERS, LexiconRule, folded, plain, rules_revision, unique
from f5serve.text.mapped_text import MappedText

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff]"
)
"""Scripts without spaces between words: Chinese, Japanese, Thai, Lao, Tibetan, Burmese, Khmer."""

_HANGUL = re.compile("[\uac00-\ud7a3]")


class Lexicon:
    """Rules, compiled once for each language; for any number of threads.

    Args:
        rules: of two with the same key the first counts.
    """

    def __init__(self, rules: Iterable[LexiconRule] = ()) -> None:
        rules = tuple(rules)
        self._layers: tuple[_Layer, ...] = (_Layer(rules),) if rules else ()

    @property
    def rules(self) -> tuple[LexiconRule, ...]:
        """All rules, the more particular ones first."""
        return tuple(rule for layer in self._layers for rule in layer.rules)

    @property
    def revision(self) -> str:
        """A SHA-256 in hexadecimal that changes with the rules; "" without any."""
        revisions = [layer.revision for layer in self._layers]
        if len(revisions) < 2:
            return "".join(revisions)
        return hashlib.sha256(" ".join(revisions).encode()).hexdigest()

    def over(self, below: Lexicon) -> Lexicon:
        """This lexicon above a less particular one; what is compiled stays so."""
        both = Lexicon()
        both._layers = self._layers + below._layers
        return both

    def apply(self, mapped: MappedText, language: str) -> MappedText:
        """The text with what is spoken for its words; all of a match becomes one span.

        Takes time in line with the length of the text, whatever the number of rules.

        Args:
            mapped: NFC, as `clean_text` returns it.
            language: ISO 639-1 of the text; "" where it is unknown, then rules of every language
                count.
        """
        if not self._layers:
            return mapped
        indexes = [layer.index(language) for layer in self._layers]
        text = _SearchedText(plain(mapped.text), folded(mapped.text))
        parts: list[MappedText] = []
        copied = position = 0
        while position < len(mapped.text):
            rule = _longest(indexes, text, position)
            if rule is None:
                position += 1
                continue
            end = position + len(rule.text)
            parts += [mapped[copied:position], _speak(rule, mapped[position:end])]
            copied = position = end
        return MappedText.join([*parts, mapped[copied:]]) if parts else mapped


class _Layer:
    """The rules of one place, and their indexes by language."""

    def __init__(self, rules: tuple[LexiconRule, ...]) -> None:
        self.rules = rules
        self._languages = {rule.language for rule in rules} | {""}
        self._indexes: dict[str | None, _Index] = {}

    @cached_property
    def revision(self) -> str:
        return rules_revision(self.rules)

    def index(self, language: str) -> _Index:
        """The rules for a language; two threads may make it at once, which is harmless."""
        known = language if language in self._languages else None
        index = self._indexes.get(known)
        if index is None:
            index = _Index(r for r in self.rules if known == "" or r.language in ("", known))
            self._indexes[known] = index
        return index


class _SearchedText(NamedTuple):
    """A text as rules see it: its capitals kept, and folded; both as long as the text."""

    plain: str
    folded: str

    def may_begin(self, place: int) -> bool:
        """Whether a word may end, and another begin, before this character."""
        if not 0 < place < len(self.plain):
            return True
        before, after = self.plain[place - 1], self.plain[place]
        if after in JOINERS or unicodedata.category(after)[0] == "M":
            return False
        if not (_is_word(before) and _is_word(after)):
            return True
        return not (before.isascii() and after.isascii()) and bool(
            _UNSPACED.match(before) or _UNSPACED.match(after)
        )

    def may_end(self, place: int) -> bool:
        """As `may_begin`; Korean particles are written onto a word."""
        return self.may_begin(place) or bool(
            _HANGUL.match(self.plain, place - 1) and _HANGUL.match(self.plain, place)
        )


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_" or char in JOINERS or unicodedata.category(char)[0] == "M"


class _Index:
    """Tables of rules: for whole words or not, in these capitals or in any."""

    def __init__(self, rules: Iterable[LexiconRule]) -> None:
        found: defaultdict[tuple[bool, bool], list[LexiconRule]] = defaultdict(list)
        for rule in unique(rules):
            found[rule.case_sensitive, rule.word_boundaries].append(rule)
        # Of two matches that are as long, the one in these capitals counts.
        self._tables = [_PrefixTable(some, *kind) for kind, some in sorted(found.items())[::-1]]

    def find(self, text: _SearchedText, start: int, may_begin: bool) -> LexiconRule | None:
        """The longest rule that matches at a place.

        Args:
            may_begin: whether a word may begin there.
        """
        best: LexiconRule | None = None
        for table in self._tables:
            if may_begin or not table.is_whole:
                best = _longer(best, table.find(text, start))
        return best


class _PrefixTable:
    """Rules in the order of their texts, each with the one that is its longest prefix.

    All texts that begin at a place of another text are prefixes of one of them: of the last one
    that is not behind it in this order.
    """

    def __init__(self, rules: Iterable[LexiconRule], is_exact: bool, is_whole: bool) -> None:
        self.is_whole = is_whole
        self._is_exact = is_exact
        found: dict[str, LexiconRule] = {}
        for rule in rules:
            text = plain(rule.text) if is_exact else folded(rule.text)
            # At most two share a text: one for this language, and one for all.
            if text not in found or rule.language:
                found[text] = rule
        self._texts = sorted(found)
        self._rules = [found[text] for text in self._texts]
        self._prefixes = _longest_prefixes(self._texts)
        self._first_chars = {text[0] for text in self._texts}
        self._max_chars = max(map(len, self._texts))

    def find(self, text: _SearchedText, start: int) -> LexiconRule | None:
        """The longest rule that matches at a place, where a word may begin."""
        searched = text.plain if self._is_exact else text.folded
        if searched[start] not in self._first_chars:
            return None
        at = bisect_right(self._texts, searched[start : start + self._max_chars]) - 1
        while at >= 0:
            own = self._texts[at]
            if searched.startswith(own, start) and (
                not self.is_whole or text.may_end(start + len(own))
            ):
                return self._rules[at]
            at = self._prefixes[at]
        return None


def _longest_prefixes(texts: list[str]) -> list[int]:
    """For each of some sorted texts the index of the longest other one that it begins with, -1
    without any."""
    prefixes: list[int] = []
    for index, text in enumerate(texts):
        at = index - 1
        while at >= 0 and not text.startswith(texts[at]):
            at = prefixes[at]
        prefixes.append(at)
    return prefixes


def _longest(indexes: list[_Index], text: _SearchedText, start: int) -> LexiconRule | None:
    """The longest rule that matches; of the most particular lexicon, where two are as long."""
    may_begin = text.may_begin(start)
    best: LexiconRule | None = None
    for index in indexes:
        best = _longer(best, index.find(text, start, may_begin))
    return best


def _longer(best: LexiconRule | None, other: LexiconRule | None) -> LexiconRule | None:
    """The rule with the longer text; `best`, where they are as long."""
    if best is None or (other is not None and len(other.text) > len(best.text)):
        return other
    return best


def _speak(rule: LexiconRule, match: MappedText) -> MappedText:
    if rule.pinyin:
        from f5serve.text.pinyin import mark_phrases  # few texts need it

        return mark_phrases(match, {match.text: rule.pinyin})
    return MappedText(rule.alias, (match.source_span(0, len(match.text)),) * len(rule.alias))
