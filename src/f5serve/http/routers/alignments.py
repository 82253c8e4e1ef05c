"""POST /v1/audio/alignments: word times and subtitles of a recording whose text is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field

from f5serve.alignment.subtitles import MEDIA_TYPES, Mode, SubtitleFormat, as_dict, write
from f5serve.audio.decode import LONG
from f5serve.http import errors
from f5serve.http.deadlines import RequestDeadline
from f5serve.http.middleware.access_log import CLIENT_CLOSED
from f5serve.http.request_body import read_upload, upload_route
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, StateDep
from f5serve.secrets import SPEAK
from f5serve.synthesis.word_timing import MAX_TEXT_CHARS, Recording, RecordingAlignment, align

router = APIRouter(tags=["alignments"], route_class=upload_route(LONG.max_bytes))


class Word(BaseModel):
    """A word, and when it is heard, in seconds from the beginning of the recording."""

    word: str = Field(description="As it is written in the text.", examples=["Hello"])
    start_time: float = Field(examples=[0.31])
    end_time: float = Field(examples=[0.72])
    confidence: float = Field(ge=0, le=1, examples=[0.93])


class Alignment(BaseModel):
    """When each word of a text is heard in a recording."""

    duration: float = Field(description="Of the recording, in seconds.", examples=[2.99])
    language: str | None = Field(
        description="Language that was assumed for the text, ISO 639-1; null if unknown.",
        examples=["en"],
    )
    text: str = Field(description="As it was understood.", examples=["Hello there."])
    words: list[Word]
    method: str = Field(examples=["pocketsphinx"])
    confidence: float = Field(description="Of the whole.", ge=0, le=1, examples=[0.91])
    word_count: int = Field(examples=[2])


@dataclass(frozen=True, slots=True)
class AlignmentForm:
    """The fields of a request: a recording whose words are known, and what is made of it."""

    file: Annotated[
        UploadFile,
        File(description="The recording, of at most half an hour: wav, flac, mp3, ogg or m4a."),
    ]
    text: Annotated[
        str,
        Form(
            max_length=MAX_TEXT_CHARS,
            description="The words that are spoken in it, and no others.",
            examples=["Hello there."],
        ),
    ]
    language: Annotated[
        str, Form(max_length=16, description="Spoken language, ISO 639-1; else from the text.")
    ] = ""
    timing_format: Annotated[
        SubtitleFormat, Form(description="What is answered: JSON, or a file of this format.")
    ] = "json"
    mode: Annotated[Mode, Form(description="What subtitles show at a time: a line or a word.")] = (
        "line"
    )


@router.post(
    "/v1/audio/alignments",
    operation_id="create_alignment",
    summary="Find out when words are heard",
    response_model=Alignment,
    responses={
        200: {
            "description": "The times, in the format that was asked for.",
            "content": {
                kind.partition(";")[0]: {"schema": {"type": "string"}}
                for name, kind in MEDIA_TYPES.items()
                if name != "json"
            },
        },
        **errors.error_responses(400, 501, 503, 504),
    },
)
@needs(SPEAK)
async def create_alignment(
    form: Annotated[AlignmentForm, Depends()], state: StateDep, request: Request
) -> Alignment | Response:
    """When each word of a known text is heard in a recording; as JSON, or as subtitles."""
    aligned = await align_upload(state, request, form.file, form.text, form.language)
    if aligned is None:
        return Response(status_code=CLIENT_CLOSED)
    name = form.timing_format
    if name == "json":
        return _to_schema(aligned)
    return Response(
        write(aligned.found, name, form.mode),
        media_type=MEDIA_TYPES[name],
        headers={"Content-Disposition": f'attachment; filename="words.{name}"'},
    )


async def align_upload(
    state: AppState, request: Request, file: UploadFile, text: str, language: str = ""
) -> RecordingAlignment | None:
    """When the words of a text are heard in an uploaded recording; None when the caller has left.

    Raises:
        F5Error: DEADLINE_PASSED, or as `align`.
    """
    deadline = RequestDeadline(state.settings.request_timeout_s)

    def work() -> RecordingAlignment:
        deadline.check()  # it may have waited long for its turn
        recording = Recording(read_upload(file, LONG.max_bytes))
        return align(state.aligners, recording, text, language, deadline.check)

    with state.operations.track("align"):
        running = state.operations.pools.alignments.run(work)
        return await deadline.answer(request.receive, running)


def _to_schema(aligned: RecordingAlignment) -> Alignment:
    found = aligned.found
    return Alignment(
        duration=round(aligned.duration_s, 3),
        language=aligned.language or None,
        text=aligned.text,
        words=[Word.model_validate(as_dict(word)) for word in found.words],
        method=found.method,
        confidence=round(found.confidence, 3),
        word_count=len(found.words),
    )
