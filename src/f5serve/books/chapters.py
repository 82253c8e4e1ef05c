"""Divides the documents of a book into chapters, and marks those that are not read out.

A document is looked at once and only numbers of it are kept; its text is read again when a chapter
is asked for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from operator import itemgetter
from threading import Lock
from typing import TypeVar

from f5serve.books.headings import is_part
from f5serve.books.limits import MAX_CHAPTERS, MAX_CHARS, MAX_TITLE_CHARS, empty_book, too_large
from f5serve.books.matter import legal_phrases, reason_of_title, reason_of_types
from f5serve.books.model import Block, Chapter
from f5serve.books.parsed import Mark, ParsedDocument, Position

_MOST_OF_LEGAL_PAGE = 4_000
_LEAST_OF_CONTENTS = 3
"""So many headings in a row without a text between are a table of contents."""

_Division = tuple[Mark, Position]
"""A mark, and where its chapter ends."""

T = TypeVar("T")


@dataclass(slots=True)
class Summary:
    """What is kept of a document.

    Attributes:
        chars, body: characters before each block, and those that are not of headings.
        headings: index, level and title of each.
        legal: index of each block with words of a copyright page, and which.
        has_words: whether any block has a letter or a digit.
    """

    types: frozenset[str]
    chars: array[int]
    body: array[int]
    headings: list[tuple[int, int, str]]
    legal: list[tuple[int, frozenset[str]]]
    places: dict[str, int]
    languages: Counter[str]
    has_words: bool


@dataclass(slots=True)
class Documents:
    """The documents of a book, the last one that was read being kept.

    Args:
        read: reads one by its index.
    """

    count: int
    read: Callable[[int], ParsedDocument]
    _index: int = -1
    _last: Sequence[Block] = ()
    _lock: Lock = field(default_factory=Lock)

    def summaries(self) -> list[Summary]:
        """Look at all of them.

        Raises:
            InvalidRequest: BOOK_TOO_LARGE; what `read` raises.
        """
        found, total = [], 0
        for index in range(self.count):
            found.append(summarize(self.read(index)))
            total += found[-1].chars[-1]
            if total > MAX_CHARS:
                raise too_large(f"The book has more than {MAX_CHARS:,} characters.")
        return found

    def blocks(self, start: Position, end: Position) -> tuple[Block, ...]:
        """All blocks from a position up to another."""
        found: list[Block] = []
        with self._lock:
            for index in range(start[0], min(end[0] + 1, self.count)):
                first = start[1] if index == start[0] else 0
                last = end[1] if index == end[0] else None
                if last != 0:
                    found += self._document(index)[first:last]
        return tuple(found)

    def _document(self, index: int) -> Sequence[Block]:
        if self._index != index:
            self._last = self.read(index).blocks
            self._index = index
        return self._last


def summarize(document: ParsedDocument) -> Summary:
    """Numbers of a document."""
    blocks = document.blocks
    lengths = [len(block.text) for block in blocks]
    body = [0 if b.kind == "heading" else n for b, n in zip(blocks, lengths, strict=True)]
    languages: Counter[str] = Counter()
    for block, length in zip(blocks, lengths, strict=True):
        languages[block.language] += length
    legal = ((index, legal_phrases(block.text)) for index, block in enumerate(blocks))
    return Summary(
        frozenset(document.types),
        array("Q", accumulate(lengths, initial=0)),
        array("Q", accumulate(body, initial=0)),
        [
            (index, block.level, _title(block.text))
            for index, block in enumerate(blocks)
            if block.kind == "heading"
        ],
        [(index, phrases) for index, phrases in legal if phrases],
        document.places,
        languages,
        any(any(map(str.isalnum, block.text)) for block in blocks),
    )


def heading_marks(summaries: Sequence[Summary]) -> list[Mark]:
    """Chapters by headings, of the highest level that a book has several of, and those above.

    Headings of parts do not count, as parts have chapters. A book without headings has a chapter
    for each document.
    """
    found = [
        Mark((index, block), title, level)
        for index, summary in enumerate(summaries)
        for block, level, title in summary.headings
    ]
    if not found:
        return [Mark((index, 0)) for index in range(len(summaries))]
    levels = Counter(mark.level for mark in found if not is_part(mark.title))
    several = [level for level, count in levels.items() if count > 1]
    deepest = min(several, default=max(mark.level for mark in found))
    chosen = [mark for mark in found if mark.level <= deepest]
    highest = min(mark.level for mark in chosen)
    return [replace(mark, level=mark.level - highest + 1) for mark in chosen]


def make_chapters(
    documents: Documents,
    summaries: Sequence[Summary],
    marks: Iterable[Mark],
    types: Mapping[int, frozenset[str]] | None = None,
) -> tuple[Chapter, ...]:
    """The chapters of a book.

    Args:
        marks: in any order; those at one place are one chapter.
        types: of documents by their index, beside those that they name themselves.

    Raises:
        InvalidRequest: BOOK_EMPTY or BOOK_TOO_LARGE.
    """
    if not any(summary.has_words for summary in summaries):
        raise empty_book("The book has no words.")
    reasons = {
        index: reason_of_types(summary.types | (types or {}).get(index, frozenset()))
        for index, summary in enumerate(summaries)
    }
    divider = _Divider(documents, summaries)
    divisions = divider.without_contents(divider.divide(_all_marks(marks, reasons)))
    if len(divisions) > MAX_CHAPTERS:
        raise too_large(f"The book has {len(divisions):,} chapters; {MAX_CHAPTERS:,} is the limit.")
    chapters = [divider.chapter(n, *division) for n, division in enumerate(divisions, 1)]
    if not any(chapter.spoken for chapter in chapters):
        chapters = [replace(chapter, spoken=True, reason="") for chapter in chapters]
    return tuple(chapters)


def _all_marks(marks: Iterable[Mark], reasons: Mapping[int, str]) -> list[Mark]:
    """Marks in their order, with those of documents that are no part of a chapter."""
    found: dict[Position, Mark] = {}
    for mark in marks:
        before = found.get(mark.at)
        if before and mark.title and before.title != mark.title:
            title = f"{before.title}, {mark.title}" if before.title else mark.title
            found[mark.at] = replace(before, title=title[:MAX_TITLE_CHARS])
        elif not before:
            found[mark.at] = mark
    for index, reason in reasons.items():
        if reason:
            own = found.get((index, 0), Mark((index, 0)))
            found[index, 0] = replace(own, reason=reason)
            found.setdefault((index + 1, 0), Mark((index + 1, 0)))
    found.setdefault((0, 0), Mark((0, 0)))
    return [found[at] for at in sorted(found)]


class _Sums:
    """Sums over blocks of several documents.

    Args:
        before: for each document the sums before each of its blocks, and behind the last.
    """

    def __init__(self, before: Sequence[array[int]]) -> None:
        self._before = before
        self._documents = list(accumulate((sums[-1] for sums in before), initial=0))

    def between(self, start: Position, end: Position) -> int:
        return self._until(end) - self._until(start)

    def _until(self, position: Position) -> int:
        index, block = position
        if index >= len(self._before):
            return self._documents[-1]
        sums = self._before[index]
        return self._documents[index] + sums[min(block, len(sums) - 1)]


class _Divider:
    """Makes chapters of stretches between marks."""

    def __init__(self, documents: Documents, summaries: Sequence[Summary]) -> None:
        self._documents = documents
        self._summaries = summaries
        self._chars = _Sums([summary.chars for summary in summaries])
        self._body = _Sums([summary.body for summary in summaries])
        self._headings = [
            ((index, block), title)
            for index, summary in enumerate(summaries)
            for block, _, title in summary.headings
        ]
        self._legal = [
            ((index, block), phrases)
            for index, summary in enumerate(summaries)
            for block, phrases in summary.legal
        ]

    def divide(self, marks: Sequence[Mark]) -> list[_Division]:
        """Each mark with the end of its chapter; those without a text are left out."""
        ends = [*(mark.at for mark in marks[1:]), (len(self._summaries), 0)]
        return [
            (mark, end)
            for mark, end in zip(marks, ends, strict=True)
            if self._chars.between(mark.at, end)
        ]

    def without_contents(self, divisions: list[_Division]) -> list[_Division]:
        """Headings in a row, which are a table of contents, become one chapter."""
        found: list[_Division] = []
        run: list[_Division] = []
        for division in divisions:
            if not self._body.between(division[0].at, division[1]):
                run.append(division)
                continue
            found += _merged(run, division)
            run = []
        return found + _merged(run, None)

    def chapter(self, number: int, mark: Mark, end: Position) -> Chapter:
        """One chapter."""
        chars = self._chars.between(mark.at, end)
        headings = _within(self._headings, mark.at, end)
        title = mark.title or next((title for _, title in headings if title), "")
        reason = mark.reason or reason_of_title(title)
        phrases = {p for _, found in _within(self._legal, mark.at, end) for p in found}
        if not reason and len(phrases) > 1 and chars < _MOST_OF_LEGAL_PAGE:
            reason = "copyright page"
        title = title or reason.capitalize() or f"Section {number}"
        languages: Counter[str] = Counter()
        for summary in self._summaries[mark.at[0] : end[0] + bool(end[1])]:
            languages.update(summary.languages)
        language = max(languages, key=lambda name: languages[name], default="")
        source = partial(self._documents.blocks, mark.at, end)
        return Chapter(
            number, title, mark.level, chars, not reason, reason, language, source=source
        )


def _within(
    found: list[tuple[Position, T]], start: Position, end: Position
) -> list[tuple[Position, T]]:
    """Those at positions from the start up to the end."""
    first = bisect_left(found, start, key=itemgetter(0))
    return found[first : bisect_left(found, end, key=itemgetter(0))]


def _merged(run: list[_Division], following: _Division | None) -> list[_Division]:
    """A run of headings without a text, and what follows."""
    rest = [following] if following else []
    # The last of them may be the heading of a part, before that of its first chapter.
    count = len(run)
    if following and run and run[-1][0].level < following[0].level:
        count -= 1
    if count < _LEAST_OF_CONTENTS:
        return [*run, *rest]
    contents = replace(run[0][0], title="Table of contents", reason="table of contents")
    return [(contents, run[count - 1][1]), *run[count:], *rest]


def _title(text: str) -> str:
    return " ".join(text.split())[:MAX_TITLE_CHARS]
