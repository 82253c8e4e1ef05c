"""/v1/books: books that are spoken chapter by chapter, in the background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.books.epub3 import HighlightLevel
from f5serve.errors import InvalidRequest
from f5serve.http import errors
from f5serve.http.book_schemas import (
    Book,
    BookDeleted,
    BookFileProgress,
    BookList,
    BookPlanned,
)
from f5serve.http.errors import BadField
from f5serve.http.request_body import book_error, parse, read_upload, upload_route
from f5serve.http.routers.jobs import BINARY, POLL_AFTER_S, RANGES, TIMING_FILE, send_file
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, Owner, StateDep
from f5serve.secrets import SPEAK
from f5serve.service import SpeechService
from f5serve.service.book_file_records import BookFileKind
from f5serve.service.book_jobs import BookFields
from f5serve.service.book_operations import MAX_BOOK_BYTES
from f5serve.service.books import MAX_CHAPTERS_PAGE
from f5serve.service.responses import JobFile

MAX_PAGE = 100
MAX_ID_CHARS = 64
MAX_OPTIONS_CHARS = 100_000

BookId = Annotated[str, Path(description="The book's id, as POST /v1/books has answered it.")]
ChapterNumber = Annotated[int, Path(ge=1, le=1_000_000, description="Of a chapter.")]

_SOUND = {200: {"description": "The speech.", "content": {"audio/*": BINARY}}, **RANGES}
_EPUB: dict[int | str, dict[str, Any]] = {
    **RANGES,
    **{
        status: {"description": meaning, "content": {"application/epub+zip": BINARY}}
        for status, meaning in ((200, "The book."), (206, "The part that `Range` names."))
    },
}

router = APIRouter(tags=["books"], route_class=upload_route(MAX_BOOK_BYTES, book_error))


@dataclass(frozen=True, slots=True)
class BookForm:
    """A book and how it is spoken."""

    file: Annotated[
        UploadFile | None,
        File(description="The book: EPUB, docx, PDF, Markdown, HTML or text."),
    ] = None
    url: Annotated[str, Form(max_length=4_096, description="Or the https URL of that file.")] = ""
    book_id: Annotated[
        str,
        Form(
            max_length=MAX_ID_CHARS,
            description="Of a book that is sent again after a change: what has not changed is not "
            "spoken again. Without it, one is made of the file and the options.",
        ),
    ] = ""
    voice: Annotated[str, Form(max_length=200, description="Name of a voice.")] = ""
    language: Annotated[str, Form(max_length=64, description="Of the book, as `en-GB`.")] = ""
    speed: Annotated[float | None, Form(description="2.0 is twice as fast.")] = None
    chapters: Annotated[
        str,
        Form(max_length=2_000, description="Which are spoken, as `3-7,9`; else all but the front."),
    ] = ""
    options: Annotated[
        str,
        Form(
            max_length=MAX_OPTIONS_CHARS,
            description="A JSON object with more: style, seed, nfe_step, cfg_strength, "
            "sway_sampling_coef, verify, normalize, lexicon, speakers, sentence_pause, "
            "paragraph_pause, heading_pause, chapter_pause, alt_text.",
        ),
    ] = ""

    def fields(self) -> BookFields:
        """How the book is spoken.

        Raises:
            InvalidRequest: INVALID_JSON, BAD_OPTION.
        """
        more: Any = parse(self.options.encode("utf-8", "replace")) if self.options.strip() else {}
        if not isinstance(more, Mapping):
            raise BadField(
                "options is no JSON object.",
                code="BAD_OPTION",
                hint='Send an object, such as {"seed": 7}.',
                param="options",
            )
        own = {
            "voice": self.voice or None,
            "language": self.language or None,
            "speed": self.speed,
            "chapters": self.chapters or None,
        }
        return BookFields.parse({**more, **{k: v for k, v in own.items() if v is not None}})


@router.post(
    "/v1/books",
    operation_id="create_book",
    summary="Have a book spoken",
    status_code=202,
    response_model=Book,
    responses=errors.error_responses(400, 409, 503),
)
@needs(SPEAK)
async def create_book(
    form: Annotated[BookForm, Depends()], owner: Owner, state: StateDep
) -> JSONResponse:
    """Take a book and answer at once; its chapters are jobs, which all servers share.

    The same request again is the same book. With `book_id` and a changed file or other options,
    only what has changed is spoken.
    """
    operations = state.operations
    with operations.track("book"):
        fields = form.fields()
        data, name = await _read_file(form, operations)
        book = await operations.books.create(data, name, fields, form.book_id, owner)
    return JSONResponse(
        {"object": "book", **book}, 202, {"Location": f"/v1/books/{book['book_id']}"}
    )


@router.post(
    "/v1/books/plan",
    operation_id="plan_book",
    summary="Ask what would be spoken of a book",
    response_model=BookPlanned,
    responses=errors.error_responses(400, 409, 503),
)
@needs(SPEAK)
async def plan_book(form: Annotated[BookForm, Depends()], state: StateDep) -> JSONResponse:
    """All chapters of a book, and about how long they will be; nothing is spoken or kept."""
    operations = state.operations
    with operations.track("book_plan"):
        fields = form.fields()
        data, name = await _read_file(form, operations)
        plan = await operations.book_reading.plan(data, name, fields)
    return JSONResponse({"object": "book.plan", **plan})


@router.get(
    "/v1/books",
    operation_id="list_books",
    summary="List books",
    response_model=BookList,
    responses=errors.error_responses(400, 503),
)
@needs(SPEAK)
async def list_books(
    state: StateDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many.")] = 50,
    after: Annotated[
        str, Query(max_length=MAX_ID_CHARS, description="`next` of the page before.")
    ] = "",
) -> JSONResponse:
    """Books of all servers over this store, without their chapters."""
    with state.operations.track("list_books"):
        found = await state.operations.books.page(after, limit)
    books = [{"object": "book", **book} for book in found["books"]]
    return JSONResponse({"object": "list", **found, "books": books})


@router.get(
    "/v1/books/{book_id}",
    operation_id="get_book",
    summary="Ask how far a book is",
    response_model=Book,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def get_book(
    book_id: BookId,
    state: StateDep,
    limit: Annotated[int, Query(ge=1, le=MAX_CHAPTERS_PAGE, description="How many chapters.")] = 50,
    after: Annotated[
        int, Query(ge=0, le=1_000_000, description="Begin behind the chapter of this number.")
    ] = 0,
) -> JSONResponse:
    """The book with a page of its chapters, each with its status."""
    with state.operations.track("book_status"):
        return book_answer(await state.operations.books.status(book_id, after, limit))


@router.post(
    "/v1/books/{book_id}/pause",
    operation_id="pause_book",
    summary="Begin no more chapters of a book",
    response_model=Book,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def pause_book(book_id: BookId, state: StateDep) -> JSONResponse:
    """Chapters that are being spoken are spoken to their end."""
    with state.operations.track("book_pause"):
        return book_answer(await state.operations.books.pause(book_id))


@router.post(
    "/v1/books/{book_id}/resume",
    operation_id="resume_book",
    summary="Go on with a book",
    response_model=Book,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def resume_book(book_id: BookId, owner: Owner, state: StateDep) -> JSONResponse:
    """What failed is tried again; what a changed voice or rule touches is spoken anew."""
    with state.operations.track("book_resume"):
        return book_answer(await state.operations.books.resume(book_id, owner))


@router.delete(
    "/v1/books/{book_id}",
    operation_id="delete_book",
    summary="Remove a book",
    response_model=BookDeleted,
    responses=errors.error_responses(400, 404, 409, 503),
)
@needs(SPEAK)
async def delete_book(book_id: BookId, state: StateDep) -> JSONResponse:
    """The work on it ends, and all that was made for it is removed."""
    with state.operations.track("delete_book"):
        return JSONResponse(await state.operations.books.delete(book_id))


@router.head("/v1/books/{book_id}/chapters/{number}/audio", include_in_schema=False)
@router.get(
    "/v1/books/{book_id}/chapters/{number}/audio",
    operation_id="get_book_chapter_audio",
    summary="Fetch a chapter",
    response_class=Response,
    responses={**_SOUND, **errors.error_responses(400, 404, 409, 416, 503)},
)
@needs(SPEAK)
async def get_book_chapter_audio(
    book_id: BookId,
    number: ChapterNumber,
    request: Request,
    state: StateDep,
) -> Response:
    """A chapter that is done, as FLAC; `Range` and `If-None-Match` work."""
    with state.operations.track("download"):
        file = await state.operations.books.chapter_file(book_id, number)
    return await send_file(request, state, file, shown=True)


@router.head("/v1/books/{book_id}/audio", include_in_schema=False)
@router.get(
    "/v1/books/{book_id}/audio",
    operation_id="get_book_audio",
    summary="Fetch a book",
    response_class=Response,
    responses={
        **_SOUND,
        202: {"model": BookFileProgress, "description": "It is being written; ask again."},
        **errors.error_responses(400, 404, 409, 416, 503),
    },
)
@needs(SPEAK)
async def get_book_audio(book_id: BookId, request: Request, state: StateDep) -> Response:
    """All chapters as one m4b with marks, once they are done.

    The first request begins to write it and is answered with 202, as are others until it is there.
    """
    return await _send_whole(book_id, "m4b", request, state)


@router.head("/v1/books/{book_id}/epub", include_in_schema=False)
@router.get(
    "/v1/books/{book_id}/epub",
    operation_id="get_book_epub",
    summary="Fetch a book to read along",
    response_class=Response,
    responses={
        **_EPUB,
        202: {"model": BookFileProgress, "description": "It is being written; ask again."},
        **errors.error_responses(400, 404, 409, 416, 503),
    },
)
@needs(SPEAK)
async def get_book_epub(
    book_id: BookId,
    request: Request,
    state: StateDep,
    highlight: Annotated[
        HighlightLevel,
        Query(description="What is highlighted; a sentence whose words have no times is as whole."),
    ] = "sentence",
) -> Response:
    """An EPUB 3 in which what is heard is highlighted; written as the m4b is."""
    kind: BookFileKind = "epub" if highlight == "sentence" else "words.epub"
    return await _send_whole(book_id, kind, request, state)


@router.head("/v1/books/{book_id}/subtitles/{format}", include_in_schema=False)
@router.get(
    "/v1/books/{book_id}/subtitles/{format}",
    operation_id="get_book_subtitles",
    summary="Fetch when each word of a book is heard",
    response_class=Response,
    responses={**TIMING_FILE, **errors.error_responses(400, 404, 409, 416, 503)},
)
@needs(SPEAK)
async def get_book_subtitles(
    book_id: BookId, format: SubtitleFormat, request: Request, state: StateDep
) -> Response:
    """Subtitles for the m4b, once all chapters are done and their words were timed."""
    with state.operations.track("book_subtitles"):
        file = await state.operations.book_reading.subtitles(book_id, format)
    return await send_file(request, state, file, shown=False)


async def _read_file(form: BookForm, operations: SpeechService) -> tuple[bytes, str]:
    """The file that a form sends or names, and the file's name.

    Raises:
        InvalidRequest: NO_BOOK, or why it cannot be read or fetched.
    """
    if (form.file is None) == (not form.url):
        raise InvalidRequest(
            "Both file and url are sent." if form.url else "No book is sent.",
            code="NO_BOOK",
            hint="Send the book as `file` of a form, or its https URL as `url`.",
        )
    if form.file is None:
        return await operations.book_operations.fetch(form.url)
    read = operations.pools.books.run
    data = await read(read_upload, form.file, MAX_BOOK_BYTES, book_error)
    return data, form.file.filename or ""


async def _send_whole(
    book_id: str, kind: BookFileKind, request: Request, state: AppState
) -> Response:
    with state.operations.track("book_file"):
        found = await state.operations.books.whole_file(book_id, kind)
    if not isinstance(found, JobFile):
        return JSONResponse(found, 202, {"Retry-After": str(POLL_AFTER_S["PROCESSING"])})
    return await send_file(request, state, found, shown=True)


def book_answer(book: dict[str, Any]) -> JSONResponse:
    """A book, and when to ask again while it is spoken."""
    pause_s = POLL_AFTER_S.get(book["status"])
    headers = {"Retry-After": str(pause_s)} if pause_s else None
    return JSONResponse({"object": "book", **book}, headers=headers)
