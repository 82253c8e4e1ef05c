"""A text that rules rewrite, with the span of the original text for each character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""First character, and the one behind the last."""

Replacement = Callable[[re.Match[str]], str | None]
"""A match to what replaces it; None leaves it as it is."""


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
        return cls(text, tuple((index, index + 1) for index in range(len(text))))

    @classmethod
    def join(cls, parts: Iterable[MappedText]) -> MappedText:
        """All parts, one behind the other."""
        parts = list(parts)
        return cls(
            "".join(part.text for part in parts),
            tuple(span for part in parts for span in part.spans),
        )

    def __getitem__(self, part: slice) -> MappedText:
        return MappedText(self.text[part], self.spans[part])

    def strip(self) -> MappedText:
        """Without white space at its ends."""
        left = len(self.text) - len(self.text.lstrip())
        return self[left : max(left, len(self.text.rstrip()))]

    def map_chars(self, replace: Callable[[str], str]) -> MappedText:
        """Every character replaced by what `replace` returns for it."""
        parts = [replace(character) for character in self.text]
        spans = [span for span, new in zip(self.spans, parts, strict=True) for _ in new]
        return MappedText("".join(parts), tuple(spans))

    def sub(self, pattern: re.Pattern[str], replace: Replacement | str) -> MappedText:
        """As `re.sub`; each new character has the span of the whole match."""
        parts: list[str] = []
        spans: list[Span] = []
        position = 0
        for match in pattern.finditer(self.text):
            new = match.expand(replace) if isinstance(replace, str) else replace(match)
            if new is None:
                continue
            parts += [self.text[position : match.start()], new]
            spans += self.spans[position : match.start()]
            spans += [self.source_span(match.start(), match.end())] * len(new)
            position = match.end()
        if not parts:
            return self
        parts.append(self.text[position:])
        return MappedText("".join(parts), (*spans, *self.spans[position:]))

    def replaced(self, text: str, places: Sequence[Span]) -> MappedText:
        """Another text, each character of which stands for a place in this one.

        Args:
            places: one for each character of `text`, as spans of `self.text`.
        """
        return MappedText(text, tuple(self.source_span(*place) for place in places))

    def source_span(self, start: int, end: int) -> Span:
        """The span of a part of `text`; where that is empty, the place between its neighbours."""
        if start < end:
            found = self.spans[start:end]
            return min(a for a, _ in found), max(b for _, b in found)
        place = self.spans[start - 1][1] if start else 0
        return place, place

    def find(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, Span]]:
        """Each match and its source span."""
        for match in pattern.finditer(self.text):
            yield match[0], self.source_span(match.start(), match.end())
