"""Plans the reading of a book: which chapters, how many characters, how long it will be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from f5serve.books.model import Book, Chapter
from f5serve.errors import InvalidRequest

CHARS_PER_S = 15.0
"""Characters that a voice speaks in a second, spaces included, of a text in letters."""

_CHARS_PER_S = {"zh": 4.5, "yue": 4.5, "ja": 7.0, "ko": 6.5}
"""Where a character is a syllable or more."""

MAX_CHOICE_CHARS = 2_000
_RANGE = re.compile(r"\s{0,9}(\d{1,6})\s{0,9}(?:(?:-|\.\.)\s{0,9}(\d{1,6})?)?\s{0,9}")


@dataclass(frozen=True, slots=True)
class ChapterPlan:
    """A chapter that is to be spoken, and how long it will be about, in seconds."""

    chapter: Chapter
    duration_s: float


@dataclass(frozen=True, slots=True)
class BookPlan:
    """What is to be spoken of a book.

    Attributes:
        chapters: in their order.
        left_out: those that are not spoken.
    """

    chapters: tuple[ChapterPlan, ...]
    left_out: tuple[Chapter, ...]

    @property
    def chars(self) -> int:
        return sum(planned.chapter.chars for planned in self.chapters)

    @property
    def duration_s(self) -> float:
        return sum(planned.duration_s for planned in self.chapters)


def plan_book(book: Book, chosen: str = "", chars_per_s: float | None = None) -> BookPlan:
    """The plan for a book.

    Args:
        chosen: numbers of chapters as "3-7,9,12-"; "" for all that are to be spoken.
        chars_per_s: of the voice, where it is known; else by the language of each chapter.

    Raises:
        InvalidRequest: code BAD_OPTION for a choice that cannot be read or that has no chapter.
    """
    if chosen.strip():
        numbers = parse_chapters(chosen, len(book.chapters))
    else:
        numbers = [chapter.number for chapter in book.chapters if chapter.spoken]
    taken = frozenset(numbers)
    return BookPlan(
        tuple(
            ChapterPlan(chapter, chapter.chars / (chars_per_s or _pace(book, chapter)))
            for chapter in book.chapters
            if chapter.number in taken
        ),
        tuple(chapter for chapter in book.chapters if chapter.number not in taken),
    )


def _pace(book: Book, chapter: Chapter) -> float:
    language = (chapter.language or book.language).partition("-")[0]
    return _CHARS_PER_S.get(language, CHARS_PER_S)


def parse_chapters(chosen: str, count: int) -> Sequence[int]:
    """The numbers of a choice as "3-7,9,12-", each once, in their order.

    Args:
        count: of all chapters; they are numbered from 1.

    Raises:
        InvalidRequest: code BAD_OPTION.
    """
    numbers: set[int] = set()
    for part in chosen[:MAX_CHOICE_CHARS].split(","):
        found = _RANGE.fullmatch(part)
        if not found or len(chosen) > MAX_CHOICE_CHARS:
            raise _bad_choice(f"{part[:40]!r} names no chapters", count)
        first = int(found[1])
        is_open = found[2] is None and part.strip() != found[1]
        last = count if is_open else int(found[2] or first)
        if not 1 <= first <= last <= count:
            raise _bad_choice(f"There are no chapters {part.strip()!r}", count)
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def _bad_choice(what: str, count: int) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: the book has {count:,}.",
        code="BAD_OPTION",
        hint="Write numbers and ranges of chapters, as 3-7,9 or 12-.",
    )
