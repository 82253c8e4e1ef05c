"""Sentences of books over HTTP: read along, those that may be wrong, and their takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field

from f5serve.books.sentences import MAX_TAKE
from f5serve.http import errors
from f5serve.http.book_schemas import Book, BookReviewed, ChapterSentences
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.books import BookId, ChapterNumber, book_answer
from f5serve.http.scopes import needs
from f5serve.http.state import Owner, StateDep
from f5serve.secrets import SPEAK
from f5serve.service.books import MAX_CHAPTERS_PAGE
from f5serve.service.fields import whole

SENTENCES = "/v1/books/{book_id}/chapters/{number}/sentences"

router = APIRouter(tags=["books"], route_class=JsonRoute)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Which sentence of which book."""

    book_id: BookId
    number: ChapterNumber
    sentence: Annotated[int, Path(ge=1, le=1_000_000, description="In its chapter, from 1.")]


class ChosenTake(BaseModel):
    """A take of a sentence."""

    take: Annotated[int, BeforeValidator(whole)] = Field(
        ge=1, le=MAX_TAKE, strict=True, description="Its number; 1 is the first."
    )


@router.get(
    "/v1/books/{book_id}/review",
    operation_id="review_book",
    summary="List sentences that may be wrong",
    response_model=BookReviewed,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def review_book(
    book_id: BookId,
    state: StateDep,
    limit: Annotated[int, Query(ge=1, le=MAX_CHAPTERS_PAGE, description="How many chapters.")] = 50,
    after: Annotated[
        int, Query(ge=0, le=1_000_000, description="Begin behind the chapter of this number.")
    ] = 0,
) -> JSONResponse:
    """Those of a page of chapters, as far as these are done; a page may have none."""
    with state.operations.track("book_review"):
        found = await state.operations.book_reading.review(book_id, after, limit)
    return JSONResponse({"object": "book.review", **found})


@router.get(
    SENTENCES,
    operation_id="list_book_sentences",
    summary="Read a chapter along",
    response_model=ChapterSentences,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def list_book_sentences(
    book_id: BookId, number: ChapterNumber, state: StateDep
) -> JSONResponse:
    """The sentences of a chapter that is done, and when they and their words are heard."""
    with state.operations.track("book_sentences"):
        found = await state.operations.book_reading.sentences(book_id, number)
    return JSONResponse({"object": "book.chapter", **found})


@router.post(
    f"{SENTENCES}/{{sentence}}/redo",
    operation_id="redo_book_sentence",
    summary="Have a sentence spoken anew",
    response_model=Book,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def redo_book_sentence(
    one: Annotated[Sentence, Depends()], owner: Owner, state: StateDep
) -> JSONResponse:
    """Another take of it; the rest of the chapter is only joined again. A paused book goes on."""
    with state.operations.track("book_redo"):
        redo = state.operations.book_reading.redo
        return book_answer(await redo(one.book_id, one.number, one.sentence, owner))


@router.post(
    f"{SENTENCES}/{{sentence}}/take",
    operation_id="choose_book_take",
    summary="Go back to a take of a sentence",
    response_model=Book,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def choose_book_take(
    one: Annotated[Sentence, Depends()], body: ChosenTake, owner: Owner, state: StateDep
) -> JSONResponse:
    """A take that was spoken before, which is not spoken again. A paused book goes on."""
    with state.operations.track("book_take"):
        choose = state.operations.book_reading.choose_take
        book = await choose(one.book_id, one.number, one.sentence, body.take, owner)
    return book_answer(book)
