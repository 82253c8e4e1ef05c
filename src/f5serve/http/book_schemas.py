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
    characters: int = Field(description="Of all chapters that are to be spoken.")


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


class PlannedChapter(BaseModel):
    """A chapter of a book that may be spoken."""

    number: int
    title: str
    characters: int
    duration: float = Field(description="About how long it will be, in seconds.")
    spoken: bool = Field(description="Whether it is spoken by this choice.")
    reason: str | None = Field(
        description="Why it is left out unless it is chosen.", examples=["copyright page"]
    )


class BookPlanned(BaseModel):
    """What would be spoken of a book."""

    object: Literal["book.plan"] = "book.plan"
    title: str
    authors: list[str]
    language: str | None
    characters: int
    duration: float = Field(description="About how long it will be, in seconds.")
    device_s: float | None = Field(
        description="About how long the device will work for it, in seconds, by the jobs that were "
        "done last; null before one was."
    )
    cost_usd: float | None = Field(
        description="What that costs at the price of F5_GPU_PRICE; null where it is not known."
    )
    chapters: list[PlannedChapter]


class SentenceWord(BaseModel):
    """A word, and when it is heard, in seconds of the chapter's sound."""

    word: str
    start_time: float
    end_time: float


class BookSentence(BaseModel):
    """A sentence of a chapter that is done; times in seconds of its sound."""

    number: int = Field(description="In its chapter, from 1.")
    paragraph: int = Field(description="That it is in, from 1.")
    kind: str = Field(description="Of the paragraph.", examples=["paragraph", "heading"])
    text: str
    start_time: float
    end_time: float
    doubt: str | None = Field(
        description="Why it may be wrong: too long, too short, or not understood with `verify`.",
        examples=["2.1 times as long as the others"],
    )
    take: int = Field(description="Which take of it is spoken; 1 is the first.")
    takes: int = Field(description="How many there are, to be gone back to.")
    words: list[SentenceWord] = Field(description="Empty where their times are not known.")


class ChapterSentences(BaseModel):
    """A chapter to be read along."""

    object: Literal["book.chapter"] = "book.chapter"
    book_id: str = Field(examples=[_BOOK_ID])
    number: int
    title: str
    job_id: str
    duration: float | None
    sentences: list[BookSentence]


class DoubtfulSentence(BaseModel):
    """A sentence to be listened to."""

    chapter: int = Field(description="Number of its chapter.")
    title: str = Field(description="Of that chapter.")
    sentence: int = Field(description="Its number in the chapter, from 1.")
    text: str = Field(description="As it is spoken.")
    why: str = Field(
        description="Why it may be wrong.", examples=["2.1 times as long as the others"]
    )
    start_time: float = Field(description="In seconds of the chapter's sound.")


class BookReviewed(BaseModel):
    """The sentences of a page of chapters that may be wrong, in their order."""

    object: Literal["book.review"] = "book.review"
    book_id: str
    sentences: list[DoubtfulSentence]
    next: int | None = Field(
        description="What `after` takes for the chapters behind these; null for the last page."
    )


class BookFileProgress(BaseModel):
    """The file of a book is being written."""

    book_id: str = Field(examples=[_BOOK_ID])
    status: Literal["PROCESSING"]
    percent: int
