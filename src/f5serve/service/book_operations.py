"""Operations on books for entrypoints without routes: fields of a job in, an answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field

from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, decode_base64, fetch_url
from f5serve.errors import InvalidRequest
from f5serve.service.book_jobs import BookFields
from f5serve.service.book_reading import BookReading
from f5serve.service.books import MAX_CHAPTERS_PAGE, Books
from f5serve.service.executor import Pools
from f5serve.service.fields import Name, Request, whole
from f5serve.service.request_errors import MAX_BOOK_CHARS
from f5serve.service.responses import JobFile

MAX_BOOK_BYTES = 50_000_000
"""Of a book that is sent or fetched."""

Operation = Callable[[Mapping[str, Any], str], Awaitable[dict[str, Any]]]


class NewBookRequest(BookFields):
    """A book to be spoken: its file, or its URL, and how."""

    book_file: Annotated[str, Field(strict=True, max_length=MAX_BOOK_CHARS)] | None = None
    book_url: Name | None = None
    file_name: Name | None = None
    book_id: Name | None = None


class BookName(Request):
    """A book."""

    book_id: Name | None = None


class BookQuery(BookName):
    """A book, and a page of its chapters."""

    after: Annotated[int, Field(ge=0, le=1_000_000, strict=True), BeforeValidator(whole)] = 0
    limit: Annotated[
        int, Field(ge=1, le=MAX_CHAPTERS_PAGE, strict=True), BeforeValidator(whole)
    ] = 50


class BookOperations:
    """The operations.

    Args:
        allow_http: whether plain http URLs are let through.
        network: the way out for URLs; None is the real one.
    """

    def __init__(
        self,
        books: Books,
        reading: BookReading,
        pools: Pools,
        allow_http: bool,
        network: NetworkPolicy | None,
    ) -> None:
        self._books, self._reading, self._pools = books, reading, pools
        self._limits = FetchLimits(max_bytes=MAX_BOOK_BYTES, allow_http=allow_http)
        self._network = network

    def by_name(self) -> dict[str, Operation]:
        """All of them."""
        return {
            "book": self._create,
            "book_status": self._status,
            "book_review": self._review,
            "book_pause": self._pause,
            "book_resume": self._resume,
            "book_file": self._file,
            "delete_book": self._delete,
        }

    async def fetch(self, url: str) -> tuple[bytes, str]:
        """The file under a URL, and its name; errors as `fetch_url`."""
        fetch = partial(fetch_url, url, self._limits, what="book", network=self._network)
        data = await self._pools.books.run(fetch)
        return data, unquote(urlsplit(url).path).rpartition("/")[2]

    async def _create(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        new = NewBookRequest.parse(payload)
        if bool(new.book_file) == bool(new.book_url):
            raise InvalidRequest(
                "Both book_file and book_url are sent." if new.book_file else "No book is sent.",
                code="NO_BOOK",
                hint="Send the file as book_file in base64, or its https URL as book_url.",
            )
        if new.book_url:
            data, name = await self.fetch(new.book_url)
        else:
            decode = self._pools.books.run
            encoded = new.book_file or ""
            data, name = await decode(decode_base64, encoded, MAX_BOOK_BYTES, "book_file"), ""
        fields = BookFields.parse(payload)
        book_id, name = new.book_id or "", new.file_name or name
        return await self._books.create(data, name, fields, book_id, owner)

    async def _status(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        query = BookQuery.parse(payload)
        return await self._books.status(_book_id(query), query.after, query.limit)

    async def _review(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        query = BookQuery.parse(payload)
        found = await self._reading.review(_book_id(query), query.after, query.limit)
        return {**found, "status": "success"}

    async def _pause(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        return await self._books.pause(_book_id(BookName.parse(payload)))

    async def _resume(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        return await self._books.resume(_book_id(BookName.parse(payload)), owner)

    async def _delete(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        return await self._books.delete(_book_id(BookName.parse(payload)))

    async def _file(self, payload: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Where the whole book is as one m4b; while it is written how far that is."""
        book_id = _book_id(BookName.parse(payload))
        found = await self._books.whole_file(book_id)
        if not isinstance(found, JobFile):
            return found
        return {"book_id": book_id, "status": "COMPLETED", **self._books.link(found)}


def _book_id(query: BookName) -> str:
    if not query.book_id:
        raise InvalidRequest(
            "No book_id is sent.",
            code="MISSING_FIELD",
            hint="Send the book_id that the operation book has answered.",
        )
    return query.book_id
