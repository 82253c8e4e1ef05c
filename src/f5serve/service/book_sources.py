"""The files of books, read: as they are sent, and again from the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from f5serve.books.limits import MAX_FILE_BYTES
from f5serve.books.long_chapters import divide_long_chapters
from f5serve.books.model import Book, ReadOptions
from f5serve.books.plan import BookPlan, plan_book
from f5serve.books.reader import read_book
from f5serve.service.book_jobs import BookFields
from f5serve.service.book_records import BookRecord
from f5serve.store.base import ObjectStore

_NAMES = {"markdown": "book.md", "html": "book.html"}
"""For kinds that the suffix of a name decides."""


def read_source(source: bytes, name: str, fields: BookFields) -> tuple[Book, BookPlan]:
    """A book, and which of its chapters are spoken; blocks.

    Args:
        name: of the file.

    Raises:
        InvalidRequest: as `read_book` and `plan_book`.
    """
    options = ReadOptions(alt_text=bool(fields.alt_text))
    book = divide_long_chapters(read_book(source, PurePath(name).name[:200], options))
    return book, plan_book(book, fields.chapters or "")


def stored_book(store: ObjectStore, record: BookRecord) -> Book:
    """A book read again, with the numbers that its chapters have in its record; blocks.

    Raises:
        StorageFailed: its file cannot be read.
    """
    fields = BookFields.parse(record.options)
    source = store.get(record.source, MAX_FILE_BYTES)
    book, _ = read_source(source, _NAMES.get(record.kind, "book"), fields)
    return replace(book, title=record.title)
