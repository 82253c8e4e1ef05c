"""Operations on books: begin, status, pause, resume, remove, and their files.

    a file -> record and chapters in the store -> a job for each chapter in the queue
    all chapters done -> one m4b, made when it is first asked for and kept

Servers over one store share the chapters of a book, as they share all jobs of the queue.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from f5serve.books.epub3 import HighlightLevel
from f5serve.errors import InvalidRequest, StorageFailed, means_full
from f5serve.jobs.records import ENDED, Status, sha256_of
from f5serve.jobs.retention import forget_job
from f5serve.service.active_jobs import shut_down_error
from f5serve.service.book_file_records import BookFileKind, StoredFile, find_file, keep_file
from f5serve.service.book_files import BookFileRequest, BookFileWriter, check_media, spoken_chapters
from f5serve.service.book_jobs import (
    STOPPED,
    BookFields,
    BookSpeakers,
    ChapterState,
    chapter_of,
    chapter_requests,
    chapter_states,
    done_record,
    forget_book,
    with_jobs,
)
from f5serve.service.book_read_along import write_read_along
from f5serve.service.book_records import BookRecord, check_book_id
from f5serve.service.book_sources import read_source, stored_book
from f5serve.service.book_store import NewBook
from f5serve.service.chapters import ChapterRequest
from f5serve.service.requests import DEFAULT_VOICE
from f5serve.service.responses import JobFile, job_file

if TYPE_CHECKING:
    from f5serve.service.service import SpeechService

MAX_JOBS = 2_000
"""Chapters of one book that are spoken."""

_AT_A_TIME = 16
_GOING_ON = (Status.COMPLETED, Status.RUNNING)

MAX_CHAPTERS_PAGE = 200
PAUSED = "PAUSED"


class Books:
    """The books of one tenant; used within its event loop.

    Args:
        service: that speaks their chapters.
    """

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._store, self._job_store = service.book_store, service.job_store
        self._writing: dict[str, asyncio.Task[StoredFile]] = {}
        self._written: dict[str, int] = {}

    async def create(
        self, source: bytes, name: str, fields: BookFields, book_id: str = "", owner: str = ""
    ) -> dict[str, Any]:
        """Keep a book and have its chapters spoken; the answer is that of `status`.

        Args:
            name: of its file.
            book_id: of a book that is sent again after a change; "" has one made of file and
                options, so that the same request is the same book.

        Raises:
            InvalidRequest: what is wrong with the book or its options; TOO_MANY_BOOKS.
            F5Error: BUSY, or why its voices cannot be used.
        """
        pool = self._service.pools.books
        record = await pool.run(self._add, source, name, fields, book_id)
        return await self._start(record, owner)

    def _add(self, source: bytes, name: str, fields: BookFields, book_id: str) -> BookRecord:
        for voice in fields.voice_names:
            self._service.voices.get(voice)
        book, plan = read_source(source, name, fields)
        if len(plan.chapters) > MAX_JOBS:
            raise InvalidRequest(
                f"{len(plan.chapters):,} chapters are to be spoken; {MAX_JOBS:,} is the limit.",
                code="BOOK_TOO_LARGE",
                hint="Choose some of them with `chapters`.",
            )
        made = sha256_of([book.sha256, name, fields.options])[:20]
        book_id = check_book_id(book_id) if book_id else made
        chosen = [planned.chapter.number for planned in plan.chapters]
        new = NewBook(book_id, book, source, chosen, fields.options, fields.voice_names)
        return self._store.add(new)

    async def _start(self, record: BookRecord, owner: str) -> dict[str, Any]:
        """Enqueue the chapters that are not done, each under the id that follows from all that
        was asked."""
        service = self._service
        await service.ready()
        model = str(service.model["name"])
        speakers = BookSpeakers(service.voices, service.lexicons, model, {})
        run = service.pools.books.run
        requests = await run(chapter_requests, self._store, record, speakers)
        record = await run(self._store.put, with_jobs(record, requests))
        states = await run(lambda: list(chapter_states(self._job_store, record)))
        status_of = {state.chapter.number: state.status for state in states}
        left = [one for one in requests if status_of[one.chapter] not in _GOING_ON]
        for start in range(0, len(left), _AT_A_TIME):
            some = left[start : start + _AT_A_TIME]
            await asyncio.gather(
                *(self._enqueue(one, status_of[one.chapter], owner) for one in some)
            )
        return await self.status(record.book_id)

    async def _enqueue(self, request: ChapterRequest, status: Status, owner: str) -> None:
        """Put a chapter into the queue; one of `STOPPED` begins anew."""
        if status in STOPPED:
            store = self._job_store.store
            await self._service.pools.jobs.run(forget_job, store, request.job_id)
        await self._service.enqueue(request, request.job_id, owner=owner)

    async def status(self, book_id: str, after: int = 0, limit: int = 50) -> dict[str, Any]:
        """How far a book is, with a page of its chapters.

        Args:
            after: number of the chapter behind which the page begins.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND.
        """
        return await self._service.pools.lookups.run(self._status, book_id, after, limit)

    def _status(self, book_id: str, after: int, limit: int) -> dict[str, Any]:
        record = self._store.get(book_id)
        states = list(chapter_states(self._job_store, record))
        shown = [state for state in states if state.chapter.number > after]
        answer = self._summary(record, states)
        answer["chapters"] = [self._chapter(state) for state in shown[:limit]]
        answer["next"] = shown[limit - 1].chapter.number if len(shown) > limit else None
        return answer

    def _summary(self, record: BookRecord, states: list[ChapterState]) -> dict[str, Any]:
        done = [state for state in states if state.status is Status.COMPLETED]
        total = sum(state.chapter.chars for state in states)
        chars = sum(state.chapter.chars * _percent(state) / 100 for state in states)
        return {
            "book_id": record.book_id,
            "status": self._overall(record, states),
            "title": record.title,
            "authors": list(record.authors),
            "language": record.language or None,
            "voice": str(record.options.get("voice") or DEFAULT_VOICE),
            "updated_at": record.updated_at,
            "progress": {
                "done": len(done),
                "total": len(states),
                "percent": int(100 * chars / max(1, total)),
                "characters": total,
            },
        }

    def _overall(self, record: BookRecord, states: list[ChapterState]) -> str:
        counts = Counter(state.status for state in states)
        if counts[Status.COMPLETED] == len(states):
            return Status.COMPLETED.public
        if self._store.is_paused(record.book_id):
            return PAUSED
        if counts[Status.RUNNING] or counts[Status.LOST]:
            return Status.RUNNING.public
        is_stopped = all(state.status in ENDED for state in states)
        return Status.FAILED.public if is_stopped else Status.QUEUED.public

    def _chapter(self, state: ChapterState) -> dict[str, Any]:
        chapter, record = state.chapter, state.record
        known = Status.QUEUED if state.status is Status.UNKNOWN else state.status
        failure = record.get("failure") if state.status is Status.FAILED else None
        return {
            "number": chapter.number,
            "title": chapter.title,
            "characters": chapter.chars,
            "status": known.public,
            "percent": _percent(state),
            "failure": failure,
            "job_id": chapter.job_id or None,
        }

    async def page(self, after: str = "", limit: int = 50) -> dict[str, Any]:
        """Books in the order of their ids, without their chapters.

        Raises:
            InvalidRequest: BAD_OPTION for an id that is none.
        """

        def read() -> dict[str, Any]:
            books, behind = self._store.page(after, limit)
            summaries = [
                self._summary(one, list(chapter_states(self._job_store, one))) for one in books
            ]
            return {"books": summaries, "next": behind or None}

        return await self._service.pools.listings.run(read)

    async def pause(self, book_id: str) -> dict[str, Any]:
        """Have no chapter begun any more; those at work end. The answer is that of `status`."""
        run = self._service.pools.books.run
        record = await run(self._store.get, book_id)
        await run(self._store.pause, book_id)
        for state in await run(lambda: list(chapter_states(self._job_store, record))):
            if state.status is Status.QUEUED:
                await self._service.queue.remove(state.chapter.job_id)
        return await self.status(book_id)

    async def resume(self, book_id: str, owner: str = "") -> dict[str, Any]:
        """Go on with a book: what failed is tried again, and what has changed is spoken anew."""
        run = self._service.pools.books.run
        record = await run(self._store.get, book_id)
        await run(self._store.resume, book_id)
        return await self._start(record, owner)

    async def delete(self, book_id: str) -> dict[str, Any]:
        """End the work on a book, and remove it with all that was made for it.

        What another machine is making of it is removed with the retention of jobs.
        """
        run = self._service.pools.books.run
        record = await run(self._store.get, book_id)
        await run(self._store.pause, book_id)
        for state in await run(lambda: list(chapter_states(self._job_store, record))):
            if state.chapter.job_id and state.status not in (Status.UNKNOWN, *ENDED):
                asked = {"endpoint": "cancel", "job_id": state.chapter.job_id}
                await self._service.answer(asked, state.chapter.job_id)
        await run(forget_book, self._job_store.store, book_id)
        await run(self._store.delete, book_id)
        return {"book_id": book_id, "status": "DELETED"}

    async def chapter_file(self, book_id: str, number: int) -> JobFile:
        """The sound of a chapter.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND, CHAPTER_NOT_FOUND, CHAPTER_NOT_SPOKEN.
        """

        def find() -> JobFile:
            chapter = chapter_of(self._store.get(book_id), number)
            done_record(self._job_store, chapter)
            return job_file(self._job_store, chapter.job_id)

        return await self._service.pools.lookups.run(find)

    async def whole_file(
        self, book_id: str, kind: BookFileKind = "m4b"
    ) -> JobFile | dict[str, Any]:
        """The book as one file; while it is being written how far that is: {"status", "percent"}.

        The first call begins to write it, in this process; later ones find it in the store.

        Raises:
            InvalidRequest: BOOK_NOT_FOUND; CHAPTER_NOT_SPOKEN for the first that is not done.
            F5Error: why it could not be written.
        """
        lookup = self._service.pools.lookups.run
        record = await lookup(self._store.get, book_id)
        name = f"{_file_name(record)}.{kind}"
        found = await lookup(find_file, self._job_store.store, book_id, name)
        if found is not None:
            return found.as_job_file(f"{book_id}.{kind}")
        task = self._writing.get(name)
        if task is None:
            check_media()
            spoken = await lookup(spoken_chapters, self._job_store, record)
            writer = BookFileWriter(
                self._job_store.store,
                record,
                spoken,
                BookFileRequest(narrator=str(record.options.get("voice") or DEFAULT_VOICE)),
                lambda done, total: self._written.update({name: 100 * done // total}),
                self._check,
            )
            write = self._service.pools.book_files.run(self._write, writer, name, kind)
            task = self._writing[name] = asyncio.ensure_future(write)
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if task.done():
            del self._writing[name]
            self._written.pop(name, None)
            return task.result().as_job_file(f"{book_id}.{kind}")
        percent = self._written.get(name, 0)
        return {"book_id": book_id, "status": Status.RUNNING.public, "percent": percent}

    def link(self, file: JobFile) -> dict[str, Any]:
        """The URL of a file, and what is known of it."""
        expires_s = self._service.runtime.settings.url_expires_s
        url = self._job_store.store.url(file.key, expires_s, file.filename, file.mime)
        return {"audio_url": url, "size": file.size, "sha256": file.sha256}

    def _check(self) -> None:
        if self._service.runtime.is_closing:
            raise shut_down_error()

    def _write(self, writer: BookFileWriter, name: str, kind: BookFileKind) -> StoredFile:
        folder = self._service.runtime.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix="book-", dir=folder) as inside:
                path = Path(inside) / f"book.{kind}"
                if kind == "m4b":
                    writer.write_whole(path)
                else:
                    book = stored_book(writer.store, writer.record)
                    level: HighlightLevel = "sentence" if kind == "epub" else "word"
                    write_read_along(path, book, writer, level)
                return keep_file(writer.store, writer.record.book_id, name, path)
        except OSError as error:
            raise StorageFailed(
                "The book cannot be written on the disk of F5_DATA_DIR:"
                f" {error.strerror or type(error).__name__}.",
                code="NO_SPACE" if means_full(error) else "NOT_WRITABLE",
                hint="Free some space, or move F5_DATA_DIR to a larger disk.",
            ) from None


def _percent(state: ChapterState) -> int:
    """How much of a chapter is spoken."""
    if state.status is Status.COMPLETED:
        return 100
    progress: Mapping[str, Any] = state.record.get("progress") or {}
    return int(progress.get("percent") or 0)


def _file_name(record: BookRecord) -> str:
    """Of its files: by all that is in them."""
    jobs = [one.job_id for one in record.spoken]
    return sha256_of([record.sha256, record.title, record.authors, record.cover, jobs])[:32]
