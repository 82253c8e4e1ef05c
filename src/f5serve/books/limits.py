"""Limits of books, and the errors for files beyond them or otherwise of no use."""

from __future__ import annotations

import importlib.util

from f5serve.errors import InvalidRequest

MAX_FILE_BYTES = 500_000_000
"""Pictures are most of it; they are never unpacked."""

MAX_TEXT_FILE_BYTES = 50_000_000
"""Of a file that is text as a whole: txt, Markdown, HTML."""

MAX_CHARS = 10_000_000
"""Ten times a book of 20 hours."""

MAX_LINES = 300_000
"""Of a text file; each takes a hundred bytes while paragraphs are found."""

MAX_CHAPTERS = 20_000
MAX_TITLE_CHARS = 300
MAX_COVER_BYTES = 20_000_000


def bad_book(message: str, hint: str = "") -> InvalidRequest:
    """The error for a file that is damaged or not what it says; code BAD_BOOK."""
    hint = hint or "Open it in a reader and save it again, or send another edition."
    return InvalidRequest(message, code="BAD_BOOK", hint=hint)


def too_large(message: str, hint: str = "") -> InvalidRequest:
    """The error for a book beyond a limit; code BOOK_TOO_LARGE."""
    return InvalidRequest(message, code="BOOK_TOO_LARGE", hint=hint or "Send it in parts.")


def protected(message: str) -> InvalidRequest:
    """The error for a book that is encrypted; code BOOK_PROTECTED."""
    hint = "Send a copy without copy protection or password."
    return InvalidRequest(message, code="BOOK_PROTECTED", hint=hint)


def unknown_kind(message: str, hint: str = "") -> InvalidRequest:
    """The error for a file of another kind; code BOOK_KIND."""
    hint = hint or "Send an EPUB, txt, Markdown, HTML, docx or PDF file."
    return InvalidRequest(message, code="BOOK_KIND", hint=hint)


def empty_book(message: str, hint: str = "") -> InvalidRequest:
    """The error for a book without a word; code BOOK_EMPTY."""
    hint = hint or "Send a file whose text can be selected in a reader."
    return InvalidRequest(message, code="BOOK_EMPTY", hint=hint)


def need_library(module: str, what: str) -> None:
    """Refuse a kind of file whose library is not installed.

    Raises:
        InvalidRequest: code BOOKS_EXTRA_MISSING.
    """
    if importlib.util.find_spec(module) is None:
        raise InvalidRequest(
            f"Reading {what} needs {module}, which is not installed.",
            code="BOOKS_EXTRA_MISSING",
            hint="Run pip install 'f5serve[books]'.",
        )
