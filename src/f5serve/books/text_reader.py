"""Reads plain text: paragraphs of wrapped lines, and headings by how they look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from f5serve.books.headings import (
    MAX_HEADING_CHARS,
    heading_level,
    is_bare_number,
    is_named_heading,
)
from f5serve.books.limits import MAX_LINES, too_large
from f5serve.books.model import Anchor, Block
from f5serve.books.parsed import ParsedDocument
from f5serve.books.wrapped_lines import Line, joined, paragraphs, width_of

_SPACES = re.compile(r"[ \t\xa0\u3000]+")
_INDENT = re.compile(r"[ \t\u3000]{2,}|\t|\u3000")
_SCENE_BREAK = re.compile(r"[*#~•⁂❦·∗◆◇○●☆★＊—–_=+\s-]{1,80}")

_BARE_LEVEL = 3

_START = re.compile(r"\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]{0,300}\n", re.IGNORECASE)
_END = re.compile(r"\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)
_FIELD = re.compile(r"^(Title|Author):[ \t]*([^\n]{1,200})$", re.MULTILINE)
_FIELDS_WITHIN = 5_000


def read_text(text: str) -> ParsedDocument:
    """Blocks of a text file.

    What Project Gutenberg writes in front of and behind a book is left out.

    Raises:
        InvalidRequest: code BOOK_TOO_LARGE for too many lines.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    count = text.count("\n")
    if count > MAX_LINES:
        raise too_large(f"The text has {count:,} lines; {MAX_LINES:,} is the limit.")
    start, end = _START.search(text), _END.search(text)
    head = text[: min(start.start() if start else 0, _FIELDS_WITHIN)]
    fields = {name: value.strip() for name, value in _FIELD.findall(head)}
    first = start.end() if start else 0
    last = end.start() if end and end.start() > first else len(text)
    lines = _lines(text[first:last], text.count("\n", 0, first) + 1)
    blocks = _ranked(list(_blocks(lines)))
    return ParsedDocument(blocks, title=fields.get("Title", ""), author=fields.get("Author", ""))


def _lines(text: str, first: int) -> list[Line]:
    return [
        Line(number, _SPACES.sub(" ", line).strip(), bool(_INDENT.match(line)))
        for number, line in enumerate(text.split("\n"), first)
    ]


def _blocks(lines: Sequence[Line]) -> Iterator[Block]:
    for paragraph in paragraphs(lines, width_of(lines)):
        text = joined(paragraph)
        anchor = Anchor("", f"line={paragraph[0].number}")
        is_short = len(paragraph) <= 2 and len(text) <= 2 * MAX_HEADING_CHARS
        level = heading_level(paragraph[0].text) if is_short else 0
        if _SCENE_BREAK.fullmatch(text):
            yield Block("scene break", "", anchor)
        elif level:
            title = "\n".join(line.text for line in paragraph)
            yield Block("heading", title, anchor, level=level)
        else:
            yield Block("paragraph", text, anchor)


def _ranked(blocks: list[Block]) -> list[Block]:
    """Numbers alone are parts of chapters where chapters are called so."""
    if not any(b.kind == "heading" and is_named_heading(b.text) for b in blocks):
        return blocks
    return [
        replace(block, level=_BARE_LEVEL)
        if block.kind == "heading" and is_bare_number(block.text)
        else block
        for block in blocks
    ]
