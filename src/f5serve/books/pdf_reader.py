"""Reads PDF: the text of its pages as paragraphs, without running heads and page numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from f5serve.books.headings import heading_level
from f5serve.books.limits import (
    MAX_CHAPTERS,
    MAX_CHARS,
    bad_book,
    empty_book,
    protected,
    too_large,
)
from f5serve.books.markup_blocks import tag_of
from f5serve.books.model import Anchor, Block
from f5serve.books.parsed import Mark, ParsedDocument
from f5serve.books.wrapped_lines import Line, joined, paragraphs, width_of

MAX_PAGES = 20_000
_LIMITS = {
    "memory_bytes": 2_000_000_000,
    "cpu_s": 300,
    "report_bytes": 100_000_000,
    "max_pages": MAX_PAGES,
    "max_chars": MAX_CHARS,
    "max_chapters": MAX_CHAPTERS,
}
_TIMEOUT_S = 600.0
_CHILD = Path(__file__).with_name("pdf_child.py")

_EDGE_LINES = 2
"""Lines at the top and the bottom of a page where running heads are."""

_LEAST_PAGES = 3
_MOST_OF_WIDTH = 0.8
"""A longer line is no running head."""

_PAGE_NUMBER = "#"
_SPACES = re.compile(r"[ \t\xa0\u3000]+")
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"[\W_]{0,3}(?:\d{1,4}|[ivxlc]{1,7})[\W_]{0,3}")
_HYPHENATED = re.compile(r"[^\W\d_]{2,40}-[^\W\d_]{2,40}")
_LIGATURES = {ord(a): b for a, b in zip("ﬀﬁﬂﬃﬄ", ("ff", "fi", "fl", "ffi", "ffl"), strict=True)}
_NOT_WORDS = re.compile(r"[\W_]+")
_SCANNED_CHARS = 10
"""Letters on a page; with fewer the pages are pictures, and the text is a stamp."""


def read_pdf(source: Path | bytes) -> ParsedDocument:
    """Blocks of a PDF.

    Raises:
        InvalidRequest: BAD_BOOK, BOOK_EMPTY for pictures of pages, BOOK_PROTECTED, BOOK_TOO_LARGE.
    """
    report = _read_in_child(source)
    pages: list[str] = report["pages"]
    if sum(map(str.isalnum, "".join(pages[:2_000]))) < _SCANNED_CHARS * min(len(pages), 2_000):
        raise empty_book(
            f"The PDF has no text: its {len(pages):,} pages are pictures.",
            "Recognise its text first (OCR), for example with ocrmypdf.",
        )
    language = tag_of(report["language"])
    lines = _without_running_heads([_lines(n, text) for n, text in enumerate(pages, 1)])
    outline = [(str(t), int(level), int(page)) for t, level, page in report["outline"]]
    titles = {(page + 1, _key(title)) for title, _, page in outline}
    blocks = list(_blocks(lines, titles, language))
    return ParsedDocument(
        blocks,
        title=report["title"],
        author=report["author"],
        language=language,
        marks=list(_marks(outline, blocks)),
    )


def _read_in_child(source: Path | bytes) -> dict[str, Any]:
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as copy:
        if isinstance(source, bytes):
            copy.write(source)
            copy.seek(0)
        with source.open("rb") if isinstance(source, Path) else copy as file:
            descriptors = (file.fileno(), report.fileno())
            command = [sys.executable, "-I", str(_CHILD), *map(str, descriptors)]
            try:
                done = subprocess.run(
                    [*command, json.dumps(_LIMITS)],
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise bad_book(f"The PDF was not read within {_TIMEOUT_S:g} s.") from None
        report.seek(0)
        found = report.read()
    if done.returncode or not found:
        raise bad_book(f"The PDF is damaged: its reader stopped ({done.returncode}).")
    answer: dict[str, Any] = json.loads(found)
    _refuse(answer)
    return answer


def _refuse(answer: dict[str, Any]) -> None:
    code, value = answer.get("refused"), answer.get("value")
    if code == "BOOK_PROTECTED":
        raise protected("The PDF is encrypted with a password.")
    if code == "BOOK_TOO_LARGE":
        raise too_large(
            f"The PDF has {value:,} pages or characters; {MAX_PAGES:,} and {MAX_CHARS:,} are the"
            " limits."
        )
    if code:
        raise bad_book(f"The PDF cannot be read: {value}.")


def _lines(page: int, text: str) -> list[Line]:
    plain = (_SPACES.sub(" ", line.translate(_LIGATURES)).strip() for line in text.splitlines())
    return [Line(page, line) for line in plain if line]


def _without_running_heads(pages: Sequence[list[Line]]) -> list[Line]:
    """All lines but those that come again and again at the edges of pages, and page numbers."""
    most_chars = _MOST_OF_WIDTH * width_of(line for lines in pages for line in lines)
    edges = [(_edge(lines), _edge(lines[::-1])) for lines in pages]
    counts = Counter((side, key) for edge in edges for side in (0, 1) for key in set(edge[side]))
    least_numbers = max(2, sum(map(bool, pages)) * 2 // 5)
    found: list[Line] = []
    for lines, edge in zip(pages, edges, strict=True):
        dropped = [0, 0]
        for side in (0, 1):
            for key in edge[side]:
                least = least_numbers if key == _PAGE_NUMBER else _LEAST_PAGES
                if counts[side, key] < least or len(key) > most_chars:
                    break
                dropped[side] += 1
        found += lines[dropped[0] : max(dropped[0], len(lines) - dropped[1])]
    return found


def _edge(lines: Sequence[Line]) -> list[str]:
    """The first lines, such that those that differ by the number of their page are equal."""
    return [_edge_key(line.text) for line in lines[:_EDGE_LINES]]


def _edge_key(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return _PAGE_NUMBER
    return text.lower() if heading_level(text) else _DIGITS.sub("#", text.lower())


def _blocks(lines: Sequence[Line], titles: set[tuple[int, str]], language: str) -> Iterator[Block]:
    whole = {word.lower() for line in lines for word in _HYPHENATED.findall(line.text)}

    def is_divided(before: str, after: str) -> bool:
        return after[:1].islower() and f"{before}-{after}".strip(",.;:!?").lower() not in whole

    for paragraph in _paragraphs(lines, titles):
        first = paragraph[0]
        anchor = Anchor("", f"page={first.number}")
        is_title = len(paragraph) == 1 and (first.number, _key(first.text)) in titles
        level = 2 if is_title else heading_level(first.text) if len(paragraph) <= 2 else 0
        yield Block(
            "heading" if level else "paragraph",
            joined(paragraph, is_divided),
            anchor,
            language,
            level,
        )


def _paragraphs(lines: Sequence[Line], titles: set[tuple[int, str]]) -> Iterator[list[Line]]:
    """Lines that belong together; a line that the outline names stands alone."""
    apart: list[Line] = []
    for line in lines:
        is_title = (line.number, _key(line.text)) in titles
        empty = [Line(line.number, "")] if is_title else []
        apart += [*empty, line, *empty]
    yield from paragraphs(apart, width_of(lines))


def _marks(outline: Sequence[tuple[str, int, int]], blocks: Sequence[Block]) -> Iterator[Mark]:
    """Where each chapter of the outline begins: at its title on its page, or with the page."""
    first_of: dict[int, int] = {}
    headings: dict[tuple[int, str], int] = {}
    for index, block in enumerate(blocks):
        page = int(block.anchor.place.removeprefix("page="))
        first_of.setdefault(page, index)
        if block.kind == "heading":
            headings.setdefault((page, _key(block.text)), index)
    pages = sorted(first_of)
    for title, level, page_index in outline:
        page = page_index + 1
        following = next((one for one in pages if one >= page), None)
        if following is not None:
            index = headings.get((page, _key(title)), first_of[following])
            yield Mark((0, index), " ".join(title.split()), level)


def _key(text: str) -> str:
    """A title without spaces, punctuation and case."""
    return _NOT_WORDS.sub("", text.lower())[:100]
