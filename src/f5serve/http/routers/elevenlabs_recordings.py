"""/v1/speech-to-text and /v1/forced-alignment: words of recordings, as ElevenLabs tells them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from f5serve.audio.decode import LONG
from f5serve.http import errors
from f5serve.http.deadlines import RequestDeadline
from f5serve.http.elevenlabs.alignment import CharacterAlignment, align_characters
from f5serve.http.elevenlabs.errors import ElevenLabsErrorBody
from f5serve.http.elevenlabs.schemas import (
    ForcedAlignment,
    SpeechToText,
    TimedCharacter,
    TimedWord,
    TranscriptWord,
)
from f5serve.http.middleware.access_log import CLIENT_CLOSED
from f5serve.http.request_body import read_upload, upload_route
from f5serve.http.routers.alignments import align_upload
from f5serve.http.routers.transcriptions import open_recogniser
from f5serve.http.scopes import needs
from f5serve.http.state import AppState, StateDep
from f5serve.http.transcription_schemas import text_of
from f5serve.secrets import SPEAK
from f5serve.synthesis.transcription import (
    TranscribedPiece,
    TranscriptionOptions,
    transcribe_pieces,
)
from f5serve.synthesis.word_timing import MAX_TEXT_CHARS
from f5serve.text.language import canonical_tag
from f5serve.types import WordTiming

SCRIBE_IDS = ("scribe_v1", "scribe_v1_experimental", "scribe_v2")
"""ElevenLabs' recognisers; here they are the one that is installed."""

_LEAST_CONFIDENCE = 1e-3
_DURATION_DIGITS = 3

router = APIRouter(tags=["elevenlabs"], route_class=upload_route(LONG.max_bytes))

_ERRORS = errors.error_responses(400, 404, 501, 503, 504, model=ElevenLabsErrorBody)
_FILE = "The recording, of at most half an hour: wav, flac, mp3, ogg or m4a."


@dataclass(frozen=True, slots=True)
class AlignmentForm:
    """A recording whose words are known."""

    file: Annotated[UploadFile, File(description=_FILE)]
    text: Annotated[
        str,
        Form(
            max_length=MAX_TEXT_CHARS,
            description="The words that are spoken in it, and no others.",
            examples=["Hello there."],
        ),
    ]


@router.post(
    "/v1/forced-alignment",
    operation_id="elevenlabs_align",
    summary="Find out when words are heard, as ElevenLabs tells it",
    response_model=ForcedAlignment,
    responses=_ERRORS,
)
@needs(SPEAK)
async def create_forced_alignment(
    form: Annotated[AlignmentForm, Depends()], state: StateDep, request: Request
) -> ForcedAlignment | Response:
    """When each character and word of a known text is heard in a recording."""
    aligned = await align_upload(state, request, form.file, form.text)
    if aligned is None:
        return Response(status_code=CLIENT_CLOSED)
    found = aligned.found
    return ForcedAlignment(
        characters=_characters(align_characters(form.text, found.words, aligned.duration_s)),
        words=[
            TimedWord(text=word.word, loss=_loss(word.confidence), **_times(word))
            for word in found.words
        ],
        loss=_loss(found.confidence),
    )


@dataclass(frozen=True, slots=True)
class TranscriptForm:
    """The fields of a request; others that ElevenLabs has are taken and have no effect."""

    file: Annotated[UploadFile, File(description=_FILE)]
    model_id: Annotated[
        str,
        Form(
            max_length=200,
            description="A name of ElevenLabs', for the recogniser that is here; or its own name.",
            examples=["scribe_v1"],
        ),
    ] = SCRIBE_IDS[0]
    language_code: Annotated[
        str, Form(max_length=16, description="Spoken language, ISO 639; else it is detected.")
    ] = ""
    timestamps_granularity: Annotated[
        Literal["none", "word", "character"], Form(description="Which times are told.")
    ] = "word"
    diarize: Annotated[
        bool, Form(description="Accepted without effect: all words are of one speaker.")
    ] = False


@router.post(
    "/v1/speech-to-text",
    operation_id="elevenlabs_transcribe",
    summary="Write down what is said, as ElevenLabs does",
    response_model=SpeechToText,
    response_model_exclude_none=True,
    responses=_ERRORS,
)
@needs(SPEAK)
async def create_transcript(
    form: Annotated[TranscriptForm, Depends()], state: StateDep, request: Request
) -> SpeechToText | Response:
    """The words of a recording, with their times."""
    deadline = RequestDeadline(state.settings.request_timeout_s)
    with state.operations.track("transcribe"):
        pool = state.operations.pools.transcriptions
        work = pool.run(_transcribe, state, form, deadline)
        pieces = await deadline.answer(request.receive, work)
    if pieces is None:
        return Response(status_code=CLIENT_CLOSED)
    words = [word for piece in pieces for word in piece.words]
    language = next((piece.language for piece in pieces if piece.segments), form.language_code)
    return SpeechToText(
        language_code=language or pieces[0].language or "und",
        language_probability=1.0,
        text=text_of(pieces),
        words=list(_words(words, form.timestamps_granularity == "character")),
        audio_duration_secs=round(pieces[-1].end_s, _DURATION_DIGITS),
    )


def _transcribe(
    state: AppState, form: TranscriptForm, deadline: RequestDeadline
) -> list[TranscribedPiece]:
    """All pieces; blocks."""
    deadline.check()  # it may have waited long for its turn
    checker = open_recogniser(state, form.model_id, SCRIBE_IDS)
    language = canonical_tag(form.language_code).partition("-")[0] if form.language_code else ""
    options = TranscriptionOptions(language, word_times=form.timestamps_granularity != "none")
    data = read_upload(form.file, LONG.max_bytes)
    pieces = transcribe_pieces(checker.recogniser, state.aligners, data, options, deadline.check)
    return list(pieces)


def _words(words: Sequence[WordTiming], with_characters: bool) -> list[TranscriptWord]:
    """The words, with the spaces between them."""
    found = []
    for word, after in pairwise([*words, None]):
        assert word is not None
        alignment = align_characters(word.word, [word], word.end_s) if with_characters else None
        found.append(
            TranscriptWord(
                text=word.word,
                type="word",
                logprob=round(math.log(max(word.confidence, _LEAST_CONFIDENCE)), 3),
                characters=_characters(alignment) if with_characters else None,
                **_times(word),
            )
        )
        if after is not None:
            start, end = round(word.end_s, 3), round(max(word.end_s, after.start_s), 3)
            found.append(TranscriptWord(text=" ", type="spacing", logprob=0, start=start, end=end))
    return found


def _characters(alignment: CharacterAlignment | None) -> list[TimedCharacter]:
    if alignment is None:
        return []
    starts = alignment.character_start_times_seconds
    ends = alignment.character_end_times_seconds
    return [
        TimedCharacter(text=text, start=start, end=end)
        for text, start, end in zip(alignment.characters, starts, ends, strict=True)
    ]


def _times(word: WordTiming) -> dict[str, float]:
    return {"start": round(word.start_s, 3), "end": round(word.end_s, 3)}


def _loss(confidence: float) -> float:
    return round(1 - confidence, 3)
