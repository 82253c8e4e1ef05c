"""Reads an untrusted PDF in a process of its own, with limits on memory and time.

Started by pdf_reader.py as `python -I pdf_child.py INPUT REPORT LIMITS`: two file descriptors and
the limits as JSON. The report is {"refused": code, "value": ...}, or {"pages", "outline", "title",
"author", "language"}: texts of pages, and [title, level, index of its page] for each chapter.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

MAX_OUTLINE_DEPTH = 20


class Refused(Exception):
    """The file breaks a limit or cannot be read: an error code, and the value or a clause."""

    def __init__(self, code: str, value: object) -> None:
        super().__init__(code)
        self.report = {"refused": code, "value": value}


def main(arguments: list[str]) -> None:
    input_fd, report_fd = map(int, arguments[:2])
    limits = json.loads(arguments[2])
    for what, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["report_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value if hard < 0 else min(value, hard),) * 2)
    logging.disable()
    try:
        report = _read(input_fd, limits)
    except Refused as refused:
        report = refused.report
    except MemoryError:
        report = Refused("BAD_BOOK", "it asks for too much memory").report
    except Exception as error:  # noqa: BLE001 - pypdf raises many kinds for damaged files
        reason = (str(error) or type(error).__name__).strip(" .").splitlines()[0]
        report = Refused("BAD_BOOK", reason[:200]).report
    with os.fdopen(report_fd, "w", encoding="utf-8", errors="replace") as file:
        json.dump(report, file)


def _read(input_fd: int, limits: dict[str, Any]) -> dict[str, Any]:
    from pypdf import PdfReader

    reader = PdfReader(os.fdopen(input_fd, "rb"), strict=False)
    if reader.is_encrypted:
        _open_encrypted(reader)
    count = len(reader.pages)
    if count > limits["max_pages"]:
        raise Refused("BOOK_TOO_LARGE", count)
    pages: list[str] = []
    chars = 0
    for page in reader.pages:
        pages.append(page.extract_text() or "")
        chars += len(pages[-1])
        if chars > limits["max_chars"]:
            raise Refused("BOOK_TOO_LARGE", chars)
    about: Any = reader.metadata or {}
    return {
        "pages": pages,
        "outline": list(_outline(reader, limits["max_chapters"])),
        "title": str(about.get("/Title") or ""),
        "author": str(about.get("/Author") or ""),
        "language": str(reader.root_object.get("/Lang") or ""),
    }


def _open_encrypted(reader: Any) -> None:
    """Many files are encrypted with an empty password, only against changes."""
    try:
        is_open = bool(reader.decrypt(""))
    except Exception:  # noqa: BLE001 - unknown methods, or a library for them that is missing
        is_open = False
    if not is_open:
        raise Refused("BOOK_PROTECTED", None)


def _outline(reader: Any, most: int) -> Iterator[tuple[str, int, int]]:
    """Chapters as the file names them; none if its outline is damaged."""
    try:
        waiting = [iter(reader.outline)]
    except Exception:  # noqa: BLE001 - the pages have been read
        return
    count = 0
    while waiting and count < most:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif isinstance(entry, list):
            if len(waiting) < MAX_OUTLINE_DEPTH:
                waiting.append(iter(entry))
        else:
            page = _page_of(reader, entry)
            count += 1
            if page is not None:
                yield str(entry.title or ""), len(waiting), page


def _page_of(reader: Any, entry: Any) -> int | None:
    try:
        page = reader.get_destination_page_number(entry)
    except Exception:  # noqa: BLE001 - an entry that leads nowhere is left out
        return None
    return page if isinstance(page, int) and page >= 0 else None


if __name__ == "__main__":
    main(sys.argv[1:])
