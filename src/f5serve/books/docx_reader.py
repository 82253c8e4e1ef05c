"""Reads Word documents: paragraphs by their styles, lists and tables; notes are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from f5serve.books.archive import Archive
from f5serve.books.limits import bad_book, too_large
from f5serve.books.markup_blocks import plain_text, tag_of
from f5serve.books.model import Anchor, Block, BlockKind
from f5serve.books.parsed import ParsedDocument
from f5serve.errors import F5Error

_MAIN = "word/document.xml"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_CONTENTS = re.compile(r"toc (?:\d|heading)|table of figures|table of contents", re.IGNORECASE)
_UNREAD = {f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{_W}instrText", _FALLBACK}
_WORDS = {f"{_W}tab": " ", f"{_W}br": "\u2028", f"{_W}cr": "\u2028", f"{_W}noBreakHyphen": "-"}
MAX_UNPACKED_BYTES = 200_000_000
"""Of all entries, with pictures; python-docx reads them all."""

MAX_MAIN_BYTES = 30_000_000
"""Of the text, which is read as a tree, of about ten times the size."""


class _Style(NamedTuple):
    kind: BlockKind
    level: int
    is_contents: bool


def read_docx(source: Path | bytes) -> ParsedDocument:
    """Blocks of a Word document.

    Raises:
        InvalidRequest: BAD_BOOK, BOOK_TOO_LARGE or BOOK_PROTECTED.
    """
    archive = Archive(source, "Word document")
    if _MAIN in archive:
        archive.read(_MAIN, MAX_MAIN_BYTES)
    if (size := sum(map(archive.size, archive.names()))) > MAX_UNPACKED_BYTES:
        raise too_large(
            f"The Word document unpacks to {size:,} bytes; {MAX_UNPACKED_BYTES:,} is the limit.",
            "Save it without its pictures.",
        )
    try:
        return _read(source)
    except F5Error:
        raise
    except Exception as error:  # noqa: BLE001 - python-docx and lxml raise many kinds
        reason = (str(error) or type(error).__name__).strip(" .").splitlines()[0][:200]
        raise bad_book(f"The Word document cannot be read: {reason}.") from None


def _read(source: Path | bytes) -> ParsedDocument:
    import io

    import docx

    found = docx.Document(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    styles = {one.style_id: _style(one) for one in found.styles if one.style_id}
    language = tag_of(found.core_properties.language or "") or _language(found)
    reader = _Reader(styles, language)
    blocks = list(reader.blocks(found.element.body))
    properties = found.core_properties
    title, author = properties.title or "", properties.author or ""
    return ParsedDocument(blocks, title=title, author=author, language=language)


def _language(found: Any) -> str:
    """The language that the styles have unless they say otherwise."""
    named = found.styles.element.find(f"{_W}docDefaults//{_W}lang")
    return tag_of(named.get(f"{_W}val") or "") if named is not None else ""


def _style(style: Any) -> _Style:
    """What a style, or one that it is based on, makes of a paragraph."""
    one, seen = style, 0
    while one is not None and seen < 20:
        name = one.name or ""
        if found := _HEADING.fullmatch(name):
            return _Style("heading", min(int(found[1]) + 1, 9), False)
        if name == "Title":
            return _Style("heading", 1, False)
        if _CONTENTS.fullmatch(name):
            return _Style("paragraph", 0, True)
        if "quote" in name.lower():
            return _Style("quote", 0, False)
        if name.startswith("List"):
            return _Style("list item", 0, False)
        one, seen = getattr(one, "base_style", None), seen + 1
    return _Style("paragraph", 0, False)


class _Reader:
    def __init__(self, styles: dict[str, _Style], language: str) -> None:
        self._styles = styles
        self._language = language
        self._count = 0

    def blocks(self, body: Any) -> Iterator[Block]:
        """Blocks of a body, a cell or another element that holds paragraphs."""
        for element in body.iter(f"{_W}p", f"{_W}tr"):
            if element.tag == f"{_W}tr":
                if not any(a.tag == f"{_W}tr" for a in element.iterancestors()):
                    yield from self._row(element)
            elif not any(a.tag in (f"{_W}tc", _FALLBACK) for a in element.iterancestors()):
                self._count += 1
                yield from self._paragraph(element)

    def _row(self, row: Any) -> Iterator[Block]:
        self._count += 1
        cells = (
            " ".join(_words(paragraph) for paragraph in cell.iter(f"{_W}p"))
            for cell in row.iterchildren(f"{_W}tc")
        )
        yield from self._block("paragraph", ", ".join(filter(str.strip, cells)), 0)

    def _paragraph(self, element: Any) -> Iterator[Block]:
        named = element.find(f"{_W}pPr/{_W}pStyle")
        style_id = named.get(f"{_W}val") if named is not None else ""
        style = self._styles.get(style_id or "", _Style("paragraph", 0, False))
        if style.is_contents:
            return
        kind, level = style.kind, style.level
        outline = element.find(f"{_W}pPr/{_W}outlineLvl")
        if kind != "heading" and outline is not None and outline.get(f"{_W}val", "9") < "9":
            kind, level = "heading", min(int(outline.get(f"{_W}val")) + 2, 9)
        elif kind == "paragraph" and element.find(f"{_W}pPr/{_W}numPr") is not None:
            kind = "list item"
        yield from self._block(kind, _words(element), level)

    def _block(self, kind: BlockKind, words: str, level: int) -> Iterator[Block]:
        anchor = Anchor("", f"paragraph={self._count}")
        for text in plain_text(words):
            yield Block(kind, text, anchor, self._language, level)


def _words(paragraph: Any) -> str:
    """The words of a paragraph as it is shown, changes accepted."""
    found: list[str] = []
    waiting = [iter(paragraph)]
    while waiting:
        element = next(waiting[-1], None)
        if element is None:
            waiting.pop()
        elif element.tag == f"{_W}t":
            found.append(element.text or "")
        elif element.tag in _WORDS:
            found.append(_WORDS[element.tag])
        elif element.tag not in _UNREAD and element.tag != f"{_W}p":
            waiting.append(iter(element))
    return "".join(found)
