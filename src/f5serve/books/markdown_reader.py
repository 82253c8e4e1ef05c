"""Reads Markdown: headings, paragraphs, lists, quotes and code, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from f5serve.books.markup_blocks import plain_text, tag_of
from f5serve.books.model import Anchor, Block, BlockKind, ReadOptions
from f5serve.books.parsed import ParsedDocument

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(
    r"---[ \t]*\n((?:(?!---|\.\.\.)[^\n]*\n)*+)(?:---|\.\.\.)[ \t]*(?:\n|\Z)"
)
_FIELD = re.compile(r"^(title|author|lang|language|date):[ \t]*([^\n]{1,300})$", re.MULTILINE)
_NOTE = re.compile(r"^\[\^[^\]\n]{1,60}\]:[^\n]*(?:\n(?: {4}|\t)[^\n]*)*", re.MULTILINE)
_NOTE_MARK = re.compile(r"\[\^[^\]\n]{1,60}\]")
_KINDS: dict[str, BlockKind] = {"blockquote_open": "quote", "list_item_open": "list item"}
_BREAKS = {"softbreak": " ", "hardbreak": "\u2028"}
_UNREAD = ("html_inline", "image")


def read_markdown(text: str, options: ReadOptions) -> ParsedDocument:
    """Blocks of a Markdown file (CommonMark and tables); footnotes and HTML are left out."""
    from markdown_it import MarkdownIt

    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT_MATTER.match(text)
    fields = {
        name: value.strip(" \t\"'") for name, value in _FIELD.findall(front[1] if front else "")
    }
    offset = text.count("\n", 0, front.end()) if front else 0
    body = text[front.end() if front else 0 :]
    # Notes keep their lines, so that the lines below keep their numbers.
    body = _NOTE.sub(lambda note: "\n" * note[0].count("\n"), body)
    tokens = MarkdownIt("commonmark").enable("table").parse(_NOTE_MARK.sub("", body))
    language = tag_of(fields.get("lang") or fields.get("language") or "")
    blocks = list(_Blocks(options, language, offset).of(tokens))
    title, author = fields.get("title", ""), fields.get("author", "")
    return ParsedDocument(blocks, title=title, author=author, language=language)


class _Blocks:
    def __init__(self, options: ReadOptions, language: str, offset: int) -> None:
        self._options = options
        self._language = language
        self._offset = offset
        self._kinds: list[BlockKind] = []
        self._line = 1
        self._level = 0
        self._cells: list[str] | None = None

    def of(self, tokens: Sequence[Token]) -> Iterator[Block]:
        """The blocks of a file."""
        for token in tokens:
            if token.map:
                self._line = token.map[0] + 1 + self._offset
            self._follow(token)
            if token.type == "tr_close":
                yield from self._block("paragraph", ", ".join(self._cells or []))
                self._cells = None
            elif token.type == "inline":
                yield from self._inline(token.children or [])
            elif token.type in ("fence", "code_block"):
                yield from self._block("code", token.content.strip("\n"))
            elif token.type == "hr":
                yield Block("scene break", "", self._anchor(), self._language)

    def _inline(self, children: Sequence[Token]) -> Iterator[Block]:
        words = self._words(children)
        if self._cells is not None:
            self._cells.append(words)
            return
        kind: BlockKind = "heading" if self._level else (self._kinds or ["paragraph"])[-1]
        yield from self._block(kind, words, self._level)
        yield from self._pictures(children)

    def _follow(self, token: Token) -> None:
        """Where the tokens that come next are."""
        if token.type in _KINDS:
            self._kinds.append(_KINDS[token.type])
        elif token.type in ("blockquote_close", "list_item_close"):
            self._kinds.pop()
        elif token.type == "heading_open":
            self._level = int(token.tag[1])
        elif token.type == "heading_close":
            self._level = 0
        elif token.type == "tr_open":
            self._cells = []

    def _words(self, children: Sequence[Token]) -> str:
        return "".join(
            _BREAKS.get(token.type, "" if token.type in _UNREAD else token.content)
            for token in children
        )

    def _pictures(self, children: Sequence[Token]) -> Iterator[Block]:
        if self._options.alt_text:
            for token in children:
                if token.type == "image":
                    yield from self._block("alt text", token.content)

    def _block(self, kind: BlockKind, words: str, level: int = 0) -> Iterator[Block]:
        for text in plain_text(words, is_code=kind == "code"):
            yield Block(kind, text, self._anchor(), self._language, level)

    def _anchor(self) -> Anchor:
        return Anchor("", f"line={self._line}")
