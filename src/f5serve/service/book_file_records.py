"""Files of books in the store, each with a record that is written after it.

books/<id>/files/<name>         the file; its name ends with its kind
books/<id>/files/<name>.json    its size and its sha256
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from f5serve.jobs.record_reader import RecordReader
from f5serve.jobs.records import encode
from f5serve.jobs.schema import MAX_BYTES, Object, matching, whole
from f5serve.service.book_records import folder_of
from f5serve.service.responses import JobFile
from f5serve.store.base import ObjectStore

BookFileKind = Literal["m4b", "epub", "words.epub"]
"""The last one highlights words."""

_MIME = {"m4b": "audio/mp4", "epub": "application/epub+zip"}

_FILE = Object(
    {"size": whole(1, MAX_BYTES), "sha256": matching(r"[0-9a-f]{64}", "SHA-256")},
    frozenset({"size", "sha256"}),
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a book."""

    key: str
    size: int
    sha256: str

    def as_job_file(self, filename: str) -> JobFile:
        """As routes send it."""
        return JobFile(filename, _mime(self.key), self.size, self.sha256, self.key)


def find_file(store: ObjectStore, book_id: str, name: str) -> StoredFile | None:
    """A file of a book; None where it was not written, or its record is damaged."""
    start = _start(book_id, name)
    record = RecordReader(store).find(f"{start}.json", _FILE)
    if record is None:
        return None
    return StoredFile(start, record["size"], record["sha256"])


def keep_file(store: ObjectStore, book_id: str, name: str, path: Path) -> StoredFile:
    """Store a file of a book."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = StoredFile(_start(book_id, name), path.stat().st_size, sha256)
    store.put_file(found.key, path, _mime(name))
    record = encode({"size": found.size, "sha256": sha256})
    store.put(f"{_start(book_id, name)}.json", record, "application/json")
    return found


def _mime(name: str) -> str:
    return _MIME[name.rpartition(".")[2]]


def _start(book_id: str, name: str) -> str:
    return f"{folder_of(book_id)}files/{name}"
