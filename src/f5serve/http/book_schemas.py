"""Answers of /v1/books as they are documented."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from f5serve.http.schemas import JobFailure, JobState

_BOOK_ID = "the-lamp-4ffa1b47"

BookState = Literal["QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "ERROR", "CANCELLED"]


class BookProgress(BaseModel):
    """How many chapters are spoken, and how much of the text that is."""

    done: int
    total: int
    percent: int


class BookLine(BaseModel):
    """A book that is spoken."""

    object: Literal["book"] = "book"
    book_id: str = Field(examples=[_BOOK_ID])
    status: BookState = Field(examples=["PROCESSING"])
    title: str
    authors: list[str]
    language: str | None
    voice: str
    updated_at: float = Field(description="Seconds since 1970, by the clock of the store.")
    progress: BookProgress


class BookChapter(BaseModel):
    """A chapter that is to be spoken; its job is one like those of /v1/jobs."""

    number: int
    title: str
    characters: int
    status: JobState
    percent: int
    failure: JobFailure | None
    job_id: str | None


class Book(BookLine):
    """A book with a page of its chapters."""

    chapters: list[BookChapter]
    next: int | None = Field(
        description="What `after` takes for the chapters behind these; null for the last page."
    )


class BookList(BaseModel):
    """Books in the order of their ids."""

    object: Literal["list"] = "list"
    books: list[BookLine]
    next: str | None = Field(description="What `after` takes for the books behind these.")


class BookDeleted(BaseModel):
    """A book that was removed."""

    book_id: str = Field(examples=[_BOOK_ID])
    status: Literal["DELETED"]


class BookFileProgress(BaseModel):
    """The file of a book is being written."""

    book_id: str = Field(examples=[_BOOK_ID])
    status: Literal["PROCESSING"]
    percent: int
