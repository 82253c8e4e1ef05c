"""What a book is once it is read: chapters of blocks, each with its place in the file.

Chapters are metadata; their text is read when it is asked for, so a long book takes little memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

BookKind = Literal["epub", "txt", "markdown", "html", "docx", "pdf"]
BlockKind = Literal["heading", "paragraph", "list item", "quote", "code", "alt text", "scene break"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a block is in its source.

    Attributes:
        file: path of the document in an EPUB; "" for other kinds, which are one file.
        place: by kind: steps of an EPUB CFI as "/4/2[intro]/6" for EPUB and HTML, `line=12` from 1
            (as RFC 5147) for txt and Markdown, `page=3` from 1 (as RFC 8118) for PDF,
            `paragraph=12` from 1 for docx.
    """

    file: str
    place: str


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of text that stands by itself; sentences are found later.

    Attributes:
        text: single spaces, line breaks of verse as newlines; "" for a scene break only.
        language: a tag as `text.language.canonical_tag` returns it; "" where unknown.
        level: of a heading, 1..9; else 0.
    """

    kind: BlockKind
    text: str
    anchor: Anchor
    language: str = ""
    level: int = 0


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter, without its text.

    Attributes:
        number: 1 for the first of the book, whatever its title says.
        title: never empty.
        level: 1 for the highest, such as a part.
        chars: of all its blocks.
        spoken: False for what is not read out unless it is asked for.
        reason: why it is not, as "copyright page"; else "".
        language: most of its text is in, as that of a block.
    """

    number: int
    title: str
    level: int
    chars: int
    spoken: bool = True
    reason: str = ""
    language: str = ""
    source: Callable[[], tuple[Block, ...]] = field(default=tuple, repr=False, compare=False)

    def blocks(self) -> tuple[Block, ...]:
        """Its text, read again at each call; chapters in their order are read fastest.

        Raises:
            InvalidRequest: BAD_BOOK, where the file has changed meanwhile.
        """
        return self.source()


@dataclass(frozen=True, slots=True)
class Cover:
    """The picture of a book, as its file has it: PNG or JPEG."""

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, slots=True)
class Book:
    """A book that was read.

    Attributes:
        title: of its metadata, its first heading or its file name; never empty.
        language: as that of a block.
        chapters: at least one, and at least one of them with a word.
        sha256: of the file, in hex.
        identifier: ISBN, UUID or address, as the file has it; "" where it has none.
        date: of publication as the file has it; "" where it has none.
    """

    kind: BookKind
    title: str
    authors: tuple[str, ...]
    language: str
    chapters: tuple[Chapter, ...]
    sha256: str
    identifier: str = ""
    date: str = ""
    cover: Cover | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a book is read.

    Attributes:
        alt_text: whether descriptions of pictures become blocks of their own.
    """

    alt_text: bool = False
