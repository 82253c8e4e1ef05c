"""Books in the store: added, read, listed, paused, removed. Every call blocks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from f5serve.books.limits import bad_book
from f5serve.books.model import Block, Book
from f5serve.errors import F5Error, InvalidRequest
from f5serve.jobs.record_reader import RecordReader, RecordUnreadable, UnreadableRecords, parse
from f5serve.jobs.records import SCHEMA
from f5serve.service.book_records import (
    BOOK,
    CHAPTER_BLOCKS,
    MAX_CHAPTER_BYTES,
    MAX_RECORD_BYTES,
    RECORDS,
    TAKES,
    BookRecord,
    ChapterRecord,
    book_not_found,
    chapter_key,
    decode_blocks,
    decode_book,
    encode_blocks,
    encode_book,
    folder_of,
    record_key,
    utterances_start,
)
from f5serve.service.book_takes import BookTakes
from f5serve.store.base import ObjectStore, StoredObject
from f5serve.store.json_documents import canonical_json

MAX_BOOKS = 1_000
"""Books of one tenant."""

MAX_BLOCK_VALUES = 1_000_000
"""In the blocks of one chapter."""

_PICTURES = {"image/png": "png", "image/jpeg": "jpg"}
_RECORD = re.compile(re.escape(RECORDS) + r"([a-z0-9-]+)\.json")


@dataclass(frozen=True, slots=True)
class NewBook:
    """A book that is to be spoken.

    Attributes:
        source: its file, or the path of that.
        chosen: numbers of the chapters that are to be spoken.
        options: how, as `BookFields` were sent.
        voices: names of all voices that it is spoken in.
    """

    book_id: str
    book: Book
    source: Path | bytes
    chosen: Collection[int]
    options: Mapping[str, Any]
    voices: Collection[str]


class BookStore:
    """The books of one tenant; any thread may call.

    Args:
        damage: where records that cannot be read are noted; None makes one.
    """

    def __init__(self, store: ObjectStore, damage: UnreadableRecords | None = None) -> None:
        self._store = store
        self._reader = RecordReader(store, damage)

    def add(self, new: NewBook) -> BookRecord:
        """Store a book, in place of the one that has its id; what was spoken of that stays.

        Raises:
            InvalidRequest: TOO_MANY_BOOKS, or what reading its chapters says.
            StorageFailed: the store's own code.
        """
        before = self.find(new.book_id)
        if before is None and len(self._store.page(RECORDS, limit=MAX_BOOKS)) >= MAX_BOOKS:
            raise InvalidRequest(
                f"There are {MAX_BOOKS:,} books, the most that are kept.",
                code="TOO_MANY_BOOKS",
                hint="Remove some that are not needed any more.",
            )
        book, folder = new.book, folder_of(new.book_id)
        there = {entry.key for entry in self._store.list(f"{folder}chapters/")}
        chapters = [self._add_chapter(new, number, there) for number in range(len(book.chapters))]
        if not any(chapter.spoken for chapter in chapters):
            raise bad_book("The chosen chapters have no words.", "Choose other chapters.")
        source = f"{folder}source.{book.kind}"
        if before is None or (before.sha256, before.source) != (book.sha256, source):
            self._put_source(source, new.source)
        cover = ""
        if book.cover is not None and book.cover.media_type in _PICTURES:
            cover = f"{folder}cover.{_PICTURES[book.cover.media_type]}"
            self._store.put(cover, book.cover.data, book.cover.media_type)
        used = {name.lower() for name in new.voices} | set(before.voices if before else ())
        record = BookRecord(
            book_id=new.book_id,
            title=book.title,
            kind=book.kind,
            source=source,
            sha256=book.sha256,
            authors=book.authors,
            language=book.language,
            identifier=book.identifier,
            date=book.date,
            cover=cover,
            options=new.options,
            voices=tuple(sorted(used)),
            chapters=tuple(chapters),
        )
        return self.put(record)

    def _add_chapter(self, new: NewBook, index: int, there: set[str]) -> ChapterRecord:
        """Store the blocks of a chapter that is to be spoken, unless they are there."""
        chapter = new.book.chapters[index]
        record = ChapterRecord(
            number=chapter.number,
            title=chapter.title,
            chars=chapter.chars,
            level=chapter.level,
            language=chapter.language,
            spoken=False,
            reason=chapter.reason,
        )
        if chapter.number not in new.chosen:
            return record
        blocks = chapter.blocks()
        if not any(any(map(str.isalnum, block.text)) for block in blocks):
            return replace(record, reason="no words")
        data = encode_blocks(chapter.title, blocks)
        revision = hashlib.sha256(data).hexdigest()
        key = chapter_key(new.book_id, revision)
        if key not in there:
            self._store.put(key, data, "application/json")
        return replace(record, spoken=True, revision=revision)

    def _put_source(self, key: str, source: Path | bytes) -> None:
        if isinstance(source, Path):
            self._store.put_file(key, source)
        else:
            self._store.put(key, source)

    def put(self, record: BookRecord) -> BookRecord:
        """Write a record, with the time of now."""
        record = replace(record, updated_at=self._store.now())
        self._store.put(record_key(record.book_id), encode_book(record), "application/json")
        return record

    def find(self, book_id: str) -> BookRecord | None:
        """A book; None where there is none or its record is damaged.

        Raises:
            RecordUnreadable: RECORD_TOO_NEW.
        """
        try:
            return self._read(book_id)
        except RecordUnreadable as error:
            if error.retryable or error.code != "RECORD_DAMAGED":
                raise
            return None

    def get(self, book_id: str) -> BookRecord:
        """A book.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, BAD_OPTION for an id that is none.
            RecordUnreadable: its record.
        """
        found = self._read(book_id)
        if found is None:
            raise book_not_found(book_id)
        return found

    def _read(self, book_id: str) -> BookRecord | None:
        key = record_key(book_id)
        record = self._reader.get(key, BOOK, max_bytes=MAX_RECORD_BYTES)
        if record is not None and record["book_id"] != book_id:
            raise RecordUnreadable(key, "it is another book's")
        return None if record is None else decode_book(record)

    def page(self, after: str, limit: int) -> tuple[list[BookRecord], str]:
        """Books in the order of their ids behind one, and the last id where there are more.

        Those whose records cannot be read are left out.
        """
        start = record_key(after) if after else ""
        entries = self._store.page(RECORDS, start, limit + 1)
        names = [found[1] for entry in entries if (found := _RECORD.fullmatch(entry.key))]
        books = [book for name in names[:limit] if (book := self._readable(name)) is not None]
        return books, names[limit - 1] if len(names) > limit else ""

    def _readable(self, book_id: str) -> BookRecord | None:
        try:
            return self._read(book_id)
        except RecordUnreadable:
            return None

    def blocks(self, book_id: str, revision: str) -> tuple[str, tuple[Block, ...]]:
        """Title and blocks of a chapter.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND.
            RecordUnreadable: they are damaged.
        """
        key = chapter_key(book_id, revision)
        if not self._store.exists(key):
            raise book_not_found(book_id)
        data = self._store.get(key, MAX_CHAPTER_BYTES)
        if hashlib.sha256(data).hexdigest() != revision:
            raise RecordUnreadable(key, "its hash is another one")
        record = parse(data, key, MAX_BLOCK_VALUES)
        wrong = CHAPTER_BLOCKS(record)
        if wrong:
            raise RecordUnreadable(key, wrong)
        return str(record.get("title", "")), decode_blocks(record)

    def takes(self, book_id: str) -> BookTakes:
        """The takes of its sentences."""
        key = f"{folder_of(book_id)}takes.json"
        return BookTakes(self._reader.get(key, TAKES, max_bytes=MAX_RECORD_BYTES))

    def put_takes(self, book_id: str, takes: BookTakes) -> None:
        """Write them."""
        self._store.put(f"{folder_of(book_id)}takes.json", takes.encode(), "application/json")

    def pause(self, book_id: str) -> None:
        """Have no chapter begun any more."""
        data = canonical_json({"schema": SCHEMA, "book_id": book_id})
        self._store.put(f"{folder_of(book_id)}paused.json", data, "application/json")

    def resume(self, book_id: str) -> None:
        """Have chapters begun again."""
        self._store.delete(f"{folder_of(book_id)}paused.json")

    def is_paused(self, book_id: str) -> bool:
        return self._store.exists(f"{folder_of(book_id)}paused.json")

    def check_running(self, book_id: str) -> None:
        """Refuse to begin a chapter of a book that is paused.

        Raises:
            F5Error: BOOK_PAUSED, retryable.
        """
        if self.is_paused(book_id):
            raise F5Error(
                f"The book {book_id} is paused.",
                code="BOOK_PAUSED",
                hint="Resume it.",
                retryable=True,
            )

    def delete(self, book_id: str) -> None:
        """Remove a book and all that was kept for it; its jobs are not looked at.

        What is left of one that was removed only in part is removed, too.
        """
        for entry in list(self._store.list(folder_of(book_id))):
            self._store.delete(entry.key)
        self._store.delete(record_key(book_id))

    def remove_utterances(self, book_id: str, used: Collection[str] = ()) -> tuple[int, int]:
        """Remove kept utterances; returns their number and their bytes.

        Args:
            used: last parts of the keys that stay.
        """
        start = utterances_start(book_id)
        gone = [
            entry
            for entry in list(self._store.list(start))
            if entry.key.removeprefix(start) not in used
        ]
        for entry in gone:
            self._store.delete(entry.key)
        return len(gone), sum(entry.size for entry in gone)

    def remove_speech(self, book_id: str) -> list[StoredObject]:
        """Remove all kept utterances and files of a book; returns what went."""
        folders = (utterances_start(book_id), f"{folder_of(book_id)}files/")
        gone = [entry for folder in folders for entry in self._store.list(folder)]
        for entry in gone:
            self._store.delete(entry.key)
        return gone

    def remove_old_chapters(self, record: BookRecord) -> None:
        """Remove the blocks of earlier versions of a book."""
        used = {chapter_key(record.book_id, one.revision) for one in record.spoken}
        for entry in list(self._store.list(f"{folder_of(record.book_id)}chapters/")):
            if entry.key not in used:
                self._store.delete(entry.key)
