"""Zip files of strangers: entries by name, with limits before anything is unpacked.

Nothing is written to a disk, so a name is only a key; one that leaves the archive is refused
anyway, as whatever made it meant no book.
"""

from __future__ import annotations

import io
import re
import stat
import weakref
import zipfile
import zlib
from pathlib import Path

from f5serve.books.limits import bad_book, protected, too_large

MAX_ENTRIES = 50_000
MAX_UNPACKED_BYTES = 4_000_000_000
"""Of all entries, as they say."""

MAX_DOCUMENT_BYTES = 20_000_000
"""Of one document of text."""

MAX_READ_BYTES = 300_000_000
"""Of all documents together that one reading of a book unpacks."""

MAX_RATIO, SMALL_BYTES = 200, 1_000_000
"""Unpacked to packed; text has 3 to 10. Below the second any ratio is harmless."""

_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"[A-Za-z]:")


class Archive:
    """An open zip file; it is closed when it is collected.

    Args:
        source: its path, or the file itself.
        what: for errors, as "EPUB".

    Raises:
        InvalidRequest: BAD_BOOK, BOOK_TOO_LARGE or BOOK_PROTECTED.
    """

    def __init__(self, source: Path | bytes, what: str) -> None:
        self._what = what
        file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        self._finalizer = weakref.finalize(self, file.close)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, OverflowError) as e:
            raise bad_book(f"The {what} is a damaged zip file: {_clause(e)}.") from None
        self._entries = self._check_entries(self._zip.infolist())

    def _check_entries(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(entries) > MAX_ENTRIES:
            raise too_large(
                f"The {self._what} has {len(entries):,} entries; {MAX_ENTRIES:,} is the limit."
            )
        total = sum(entry.file_size for entry in entries)
        if total > MAX_UNPACKED_BYTES:
            raise too_large(
                f"The {self._what} unpacks to {total:,} bytes; {MAX_UNPACKED_BYTES:,} is the limit."
            )
        for entry in entries:
            self._check_entry(entry)
        return {entry.filename: entry for entry in entries}

    def _check_entry(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts:
            raise bad_book(f"The {self._what} has an entry outside of itself: {name[:80]!r}.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise bad_book(f"The {self._what} has a symbolic link: {name[:80]!r}.")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All entries, in their order."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """Bytes of an entry, unpacked; 0 where there is none."""
        entry = self._entries.get(name)
        return entry.file_size if entry else 0

    def read(self, name: str, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """An entry, unpacked.

        Raises:
            InvalidRequest: BAD_BOOK for a missing or damaged one, BOOK_TOO_LARGE, BOOK_PROTECTED.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise bad_book(f"The {self._what} has no entry {name[:200]!r}.")
        if entry.flag_bits & 1:
            raise protected(f"The {self._what}'s entry {name[:80]!r} is encrypted.")
        if entry.file_size > limit:
            raise too_large(
                f"The {self._what}'s entry {name[:80]!r} has {entry.file_size:,} bytes;"
                f" {limit:,} is the limit."
            )
        size, packed = entry.file_size, max(1, entry.compress_size)
        if size > SMALL_BYTES and size > MAX_RATIO * packed:
            raise too_large(
                f"The {self._what}'s entry {name[:80]!r} unpacks {packed:,} bytes to {size:,}.",
                "No text packs so well; the file is made to fill memory.",
            )
        if entry.compress_type not in _PLAIN_METHODS:
            raise bad_book(
                f"The {self._what}'s entry {name[:80]!r} is packed by another method than deflate."
            )
        try:
            with self._zip.open(entry) as file:
                data = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError) as error:
            reason = _clause(error)
            raise bad_book(
                f"The {self._what}'s entry {name[:80]!r} is damaged: {reason}."
            ) from None
        return data[:limit]


def _clause(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip(" .")[:200]
