"""Reads a web page that holds a book or an article."""

from __future__ import annotations

from f5serve.books.markup_blocks import MarkupBlocks, tag_of
from f5serve.books.markup_reader import markup_text, read_markup
from f5serve.books.model import ReadOptions
from f5serve.books.parsed import ParsedDocument


class _PageBlocks(MarkupBlocks):
    """Blocks of a page, with what its head says of it."""

    def __init__(self, options: ReadOptions) -> None:
        super().__init__("", "", options, is_page=True)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "html":
            self.found.language = tag_of(attributes.get("lang", ""))
        elif name == "meta" and attributes.get("name", "").lower() == "author":
            self.found.author = " ".join(attributes.get("content", "").split())
        super().begin(name, attributes)


def read_html(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Blocks of an HTML file.

    Raises:
        InvalidRequest: BAD_BOOK.
    """
    text = markup_text(data, "The HTML file")
    return read_markup(text, lambda: _PageBlocks(options), "The HTML file").result()
