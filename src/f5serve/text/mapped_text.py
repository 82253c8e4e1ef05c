"""A text that rules rewrite, with the span of the original text for each character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import itemgetter

from f5serve.types import Span as Span

Replacement = Callable[[re.Match[str]], str | None]
"""A match to what replaces it; None leaves it as it is."""

_SHARED = 20_000
"""Characters whose first spans are made once: to make them costs more than to clean a text."""


@cache
def _shared_spans() -> tuple[Span, ...]:
    return tuple(zip(range(_SHARED), range(1, _SHARED + 1), strict=True))


@dataclass(frozen=True, slots=True)
class MappedText:
    """A rewritten text and its source spans.

    Attributes:
        text: as it is now.
        spans: of each character of `text`, in the original text.
    """

    text: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, text: str) -> MappedText:
        """The original text."""
        count = len(text)
        if count <= _SHARED:
            return cls(text, _shared_spans()[:count])
        return cls(text, tuple(zip(range(count), range(1, count + 1), strict=True)))

    @classmethod
    def join(cls, parts: Iterable[MappedText]) -> MappedText:
        """All parts, one behind the other."""
        parts = list(parts)
        return cls(
            "".join(part.text for part in parts),
            tuple(chain.from_iterable(part.spans for part in parts)),
        )

    def __getitem__(self, part: slice) -> MappedText:
        return MappedText(self.text[part], self.spans[part])

    def strip(self) -> MappedText:
        """Without white space at its ends."""
        left = len(self.text) - len(self.text.lstrip())
        return self[left : max(left, len(self.text.rstrip()))]

    def map_chars(self, replace: Callable[[str], str]) -> MappedText:
        """Every character replaced by what `replace` returns for it; equal ones are asked once."""
        table = {character: replace(character) for character in set(self.text)}
        parts = [table[character] for character in self.text]
        if all(len(new) == 1 for new in table.values()):
            return MappedText("".join(parts), self.spans)
        spans = [span for span, new in zip(self.spans, parts, strict=True) for _ in new]
        return MappedText("".join(parts), tuple(spans))

    def sub(self, pattern: re.Pattern[str], replace: Replacement | str) -> MappedText:
        """As `re.sub`; each new character has the span of the whole match."""
        parts: list[str] = []
        spans: list[Span] = []
        position = 0
        is_template = isinstance(replace, str) and "\\" in replace
        for match in pattern.finditer(self.text):
            if not isinstance(replace, str):
                new = replace(match)
            else:
                new = match.expand(replace) if is_template else replace
            if new is None:
                continue
            start, end = match.span()
            parts += (self.text[position:start], new)
            spans += self.spans[position:start]
            if new:
                spans += [self.source_span(start, end)] * len(new)
            position = end
        if not parts:
            return self
        parts.append(self.text[position:])
        spans += self.spans[position:]
        return MappedText("".join(parts), tuple(spans))

    def keep(self, pattern: re.Pattern[str], *groups: int) -> MappedText:
        """Only these groups of each match, in the order of the text; they keep their spans.

        Without groups, the matches are left out.
        """
        ends = [0]
        for match in pattern.finditer(self.text):
            ends.append(match.start())
            for group in groups:
                ends += match.span(group)
            ends.append(match.end())
        if len(ends) == 1:
            return self
        ends.append(len(self.text))
        kept = list(zip(ends[::2], ends[1::2], strict=True))
        text, spans = self.text, self.spans
        return MappedText(
            "".join(text[start:end] for start, end in kept),
            tuple(chain.from_iterable(spans[start:end] for start, end in kept)),
        )

    def rewrite(
        self, pattern: re.Pattern[str], rewrite: Callable[[re.Match[str]], MappedText | None]
    ) -> MappedText:
        """As `sub`, for replacements that bring spans of their own, such as parts of this text."""
        parts: list[MappedText] = []
        position = 0
        for match in pattern.finditer(self.text):
            new = rewrite(match)
            if new is not None:
                parts += (self[position : match.start()], new)
                position = match.end()
        return MappedText.join([*parts, self[position:]]) if parts else self

    def replaced(self, text: str, places: Sequence[Span]) -> MappedText:
        """Another text, each character of which stands for a place in this one.

        Args:
            places: one for each character of `text`, as spans of `self.text`.
        """
        return MappedText(text, tuple(self.source_span(*place) for place in places))

    def source_span(self, start: int, end: int) -> Span:
        """The span of a part of `text`; where that is empty, the place between its neighbours."""
        if start < end:
            if end - start == 1:
                return self.spans[start]
            found = self.spans[start:end]
            return min(found)[0], max(map(itemgetter(1), found))
        place = self.spans[start - 1][1] if start else 0
        return place, place

    def find(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, Span]]:
        """Each match and its source span."""
        for match in pattern.finditer(self.text):
            yield match[0], self.source_span(match.start(), match.end())
