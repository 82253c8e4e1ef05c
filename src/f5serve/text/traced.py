"""Text that rules rewrite, with the span of the original for each character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]
"""First character, and the one behind the last."""

Say = Callable[[re.Match[str]], str | None]
"""What a match is replaced by; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A text and where it comes from.

    Attributes:
        text: as it is by now.
        origins: of each character of `text`, in the text that it was at first.
    """

    text: str
    origins: tuple[Span, ...]

    @classmethod
    def of(cls, text: str) -> Traced:
        """The text, before anything was changed."""
        return cls(text, tuple((index, index + 1) for index in range(len(text))))

    def __getitem__(self, part: slice) -> Traced:
        return Traced(self.text[part], self.origins[part])

    def strip(self) -> Traced:
        """Without white space at its ends."""
        left = len(self.text) - len(self.text.lstrip())
        return self[left : max(left, len(self.text.rstrip()))]

    def each(self, say: Callable[[str], str]) -> Traced:
        """Every character replaced by what `say` makes of it."""
        said = [say(character) for character in self.text]
        origins = [o for o, new in zip(self.origins, said, strict=True) for _ in new]
        return Traced("".join(said), tuple(origins))

    def sub(self, pattern: re.Pattern[str], say: Say | str) -> Traced:
        """As `re.sub`; what replaces a match stands for all that was matched."""
        parts: list[str] = []
        origins: list[Span] = []
        position = 0
        for match in pattern.finditer(self.text):
            new = match.expand(say) if isinstance(say, str) else say(match)
            if new is None:
                continue
            parts += [self.text[position : match.start()], new]
            origins += self.origins[position : match.start()]
            origins += [self.origin(match.start(), match.end())] * len(new)
            position = match.end()
        if not parts:
            return self
        parts.append(self.text[position:])
        return Traced("".join(parts), (*origins, *self.origins[position:]))

    def origin(self, start: int, end: int) -> Span:
        """What a stretch stands for; where it is empty, the place between its neighbours."""
        if start < end:
            found = self.origins[start:end]
            return min(a for a, _ in found), max(b for _, b in found)
        place = self.origins[start - 1][1] if start else 0
        return place, place

    def find(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, Span]]:
        """Each match and what it stands for."""
        for match in pattern.finditer(self.text):
            yield match[0], self.origin(match.start(), match.end())
