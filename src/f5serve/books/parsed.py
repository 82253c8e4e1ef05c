"""What readers make of a document, before it is divided into chapters."""

from __future__ import annotations

from dataclasses import dataclass, field

from f5serve.books.model import Block

Position = tuple[int, int]
"""Index of a document, and of a block in it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a chapter begins; an empty title is that of its first heading."""

    at: Position
    title: str = ""
    level: int = 1
    reason: str = ""


@dataclass(slots=True)
class ParsedDocument:
    """A document of a book, or a book that is one document.

    Attributes:
        places: for each wanted id the index of the block that it is at.
        types: what the document says it is: values of epub:type and role of the elements that all
            of its text is in.
        title, author, language: what it says of itself; "" where it does not.
        marks: its chapters, where it names them.
    """

    blocks: list[Block] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    title: str = ""
    author: str = ""
    language: str = ""
    marks: list[Mark] = field(default_factory=list)
