"""Divides chapters that are too long for one file, such as a book without headings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from f5serve.books.limits import MAX_TITLE_CHARS
from f5serve.books.model import Block, Book, Chapter

MAX_CHAPTER_CHARS = 100_000
"""Nearly two hours of speech, which is what shops take as one file."""


def divide_long_chapters(book: Book, max_chars: int = MAX_CHAPTER_CHARS) -> Book:
    """The book with chapters of about `max_chars` characters at most, numbered anew.

    A chapter is cut between blocks, into parts of about the same length; one block stays whole.
    """
    found: list[Chapter] = []
    for chapter in book.chapters:
        found += _parts(chapter, max_chars) if chapter.chars > max_chars else [chapter]
    if len(found) == len(book.chapters):
        return book
    numbered = (replace(one, number=number) for number, one in enumerate(found, 1))
    return replace(book, chapters=tuple(numbered))


def _parts(chapter: Chapter, max_chars: int) -> list[Chapter]:
    blocks = chapter.blocks()
    cuts = list(_cuts(blocks, chapter.chars / -(-chapter.chars // max_chars)))
    if len(cuts) < 3:
        return [chapter]
    parts = []
    for number, (start, end) in enumerate(pairwise(cuts), 1):
        mark = f" ({number})"
        parts.append(
            replace(
                chapter,
                title=chapter.title[: MAX_TITLE_CHARS - len(mark)] + mark,
                chars=sum(len(block.text) for block in blocks[start:end]),
                source=_source(chapter, start, end),
            )
        )
    return parts


def _source(chapter: Chapter, start: int, end: int) -> Callable[[], tuple[Block, ...]]:
    return lambda: chapter.blocks()[start:end]


def _cuts(blocks: Sequence[Block], chars: float) -> Iterator[int]:
    """Indices of blocks between which is cut, both ends included."""
    yield 0
    size = 0
    for index, block in enumerate(blocks):
        if size and size + len(block.text) / 2 > chars:
            yield index
            size = 0
        size += len(block.text)
    yield len(blocks)
