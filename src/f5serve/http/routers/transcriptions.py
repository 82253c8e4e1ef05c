"""POST /v1/audio/transcriptions and translations: the words of a recording, as OpenAI has them.

Recordings are decoded to pieces of half a minute, which are transcribed one by one. With `stream`
the words of a piece are sent as soon as they are understood; an error until then decides the
status, a later one is an event. A disconnect ends the work before the next piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Receive, Scope, Send

from f5serve.alignment.subtitles import MEDIA_TYPES, write
from f5serve.asr.word_errors import SpeechChecker
from f5serve.audio.decode import LONG
from f5serve.errors import F5Error
from f5serve.http import errors
from f5serve.http.deadlines import RequestDeadline
from f5serve.http.middleware.access_log import CLIENT_CLOSED
from f5serve.http.request_body import read_upload, upload_route
from f5serve.http.routers.models import unknown
from f5serve.http.scopes import needs
from f5serve.http.speech_schemas import SpeechError
from f5serve.http.state import AppState, StateDep
from f5serve.http.streaming import SSE
from f5serve.http.transcription_forms import OPENAI_IDS, TranscriptionForm, TranslationForm
from f5serve.http.transcription_schemas import (
    TranscriptDelta,
    TranscriptDone,
    Transcription,
    VerboseTranscription,
    plain,
    text_of,
    verbose,
)
from f5serve.secrets import SPEAK
from f5serve.synthesis.transcription import (
    TranscribedPiece,
    TranscriptionOptions,
    transcribe_pieces,
)
from f5serve.synthesis.verification import recognizer_missing
from f5serve.types import Alignment

OnPiece = Callable[[TranscribedPiece], None]

LAST_EVENT_S = 5.0
"""How long a reader may take for the event of an error."""

_TEXT = "text/plain; charset=utf-8"

_log = logging.getLogger(__name__)

router = APIRouter(tags=["transcriptions"], route_class=upload_route(LONG.max_bytes))


def _document(*streams: str) -> dict[int | str, dict[str, Any]]:
    kinds = (_TEXT, MEDIA_TYPES["srt"], MEDIA_TYPES["vtt"], *streams)
    content = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in kinds}
    text = {"type": "string"}
    return {
        200: {
            "description": "The words, in the format that was asked for.",
            "content": content,
            "headers": {
                "X-F5-Warning": {"description": "Fields that have no effect.", "schema": text}
            },
        },
        **errors.error_responses(400, 404, 501, 503, 504),
    }


@router.post(
    "/v1/audio/transcriptions",
    operation_id="create_transcription",
    summary="Write down what is said",
    response_model=Transcription | VerboseTranscription,
    response_model_exclude_none=True,
    responses=_document(SSE),
)
@needs(SPEAK)
async def create_transcription(
    form: Annotated[TranscriptionForm, Depends()],
    state: StateDep,
    request: Request,
    response: Response,
) -> Transcription | VerboseTranscription | Response:
    """The words of a recording, as text or with their times; OpenAI's clients work as they are."""
    form.check()
    deadline = RequestDeadline(state.settings.request_timeout_s)
    if form.stream:
        return TranscriptResponse(state, form, deadline)
    pieces = await _all_pieces(state, form, form.options, deadline, request)
    if pieces is None:
        return Response(status_code=CLIENT_CLOSED)
    response.headers.update(form.headers)
    return _answer(form, pieces)


@router.post(
    "/v1/audio/translations",
    operation_id="create_translation",
    summary="Write down in English what is said",
    response_model=Transcription | VerboseTranscription,
    response_model_exclude_none=True,
    responses=_document(),
)
@needs(SPEAK)
async def create_translation(
    form: Annotated[TranslationForm, Depends()],
    state: StateDep,
    request: Request,
    response: Response,
) -> Transcription | VerboseTranscription | Response:
    """The words of a recording in any language that the recogniser knows, in English.

    Models for English alone, as the one that pip installs, and turbo models cannot translate.
    """
    same = form.transcription()
    options = replace(same.options, translate=True)
    deadline = RequestDeadline(state.settings.request_timeout_s)
    pieces = await _all_pieces(state, same, options, deadline, request)
    if pieces is None:
        return Response(status_code=CLIENT_CLOSED)
    response.headers.update(same.headers)
    answer = _answer(same, pieces)
    if isinstance(answer, VerboseTranscription):
        return answer.model_copy(update={"task": "translate", "language": "en"})
    return answer


async def _all_pieces(
    state: AppState,
    form: TranscriptionForm,
    options: TranscriptionOptions,
    deadline: RequestDeadline,
    request: Request,
) -> list[TranscribedPiece] | None:
    """What was understood; None where the caller has left."""
    pieces: list[TranscribedPiece] = []
    with state.operations.track("transcribe"):
        pool = state.operations.pools.transcriptions
        work = pool.run(_transcribe, state, form, options, deadline, pieces.append)
        done = await deadline.answer(request.receive, work)
    return None if done is None else pieces


def _transcribe(
    state: AppState,
    form: TranscriptionForm,
    options: TranscriptionOptions,
    deadline: RequestDeadline,
    on_piece: OnPiece,
) -> bool:
    """Call `on_piece` with each piece; True at the end. Blocks."""
    deadline.check()  # it may have waited long for its turn
    checker = open_recogniser(state, form.model, OPENAI_IDS)
    data = read_upload(form.file, LONG.max_bytes)
    for piece in transcribe_pieces(
        checker.recogniser, state.aligners, data, options, deadline.check
    ):
        on_piece(piece)
    return True


def open_recogniser(state: AppState, model: str, others: Sequence[str]) -> SpeechChecker:
    """The recogniser of this server, which a request names. Blocks.

    Args:
        others: names that stand for it, the usual one first.

    Raises:
        ModelUnavailable: RECOGNISER_NOT_INSTALLED.
        InvalidRequest: UNKNOWN_MODEL.
    """
    checker = state.recognition.open() if state.recognition else None
    if checker is None:
        raise recognizer_missing()
    if model not in (*others, checker.model):
        advice = f"Send {others[0]} for the recogniser of this server."
        raise unknown(model, [*others, checker.model], advice)
    return checker


def _answer(
    form: TranscriptionForm, pieces: Sequence[TranscribedPiece]
) -> Transcription | VerboseTranscription | Response:
    format = form.response_format
    if format == "json":
        return plain(pieces)
    if format == "verbose_json":
        wanted = form.granularities or ["segment"]
        return verbose(pieces, form.language, segments="segment" in wanted, words="word" in wanted)
    if format == "text":
        return Response(f"{text_of(pieces)}\n", media_type=_TEXT, headers=form.headers)
    words = tuple(word for piece in pieces for word in piece.words)
    return Response(
        write(Alignment(words), format), media_type=MEDIA_TYPES[format], headers=form.headers
    )


class TranscriptResponse(Response):
    """Sends events as pieces are understood."""

    def __init__(self, state: AppState, form: TranscriptionForm, deadline: RequestDeadline) -> None:
        super().__init__()
        self._state, self._form, self._deadline = state, form, deadline
        self._has_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; see `Response`.

        Raises:
            F5Error: before anything was sent.
        """
        with self._state.operations.track("transcribe"):
            try:
                await self._deadline.answer(receive, self._send_all(send))
            except Exception as error:
                if not self._has_started:
                    raise
                await self._send_failure(send, error)

    async def _send_all(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        # At most a piece for each half minute of a recording, whose length is bounded.
        queue: asyncio.Queue[TranscribedPiece | None] = asyncio.Queue()

        def add(piece: TranscribedPiece) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, piece)

        pool = self._state.operations.pools.transcriptions
        form = self._form
        work = asyncio.create_task(
            pool.run(_transcribe, self._state, form, form.options, self._deadline, add)
        )
        work.add_done_callback(lambda _: queue.put_nowait(None))
        pieces = []
        try:
            while (piece := await queue.get()) is not None:
                pieces.append(piece)
                for segment in piece.segments:
                    await self._send(send, TranscriptDelta(delta=segment.text))
            await work
        finally:
            work.cancel()
            await asyncio.wait({work})
        await self._send(send, TranscriptDone(text=text_of(pieces)), more=False)

    async def _send_failure(self, send: Send, error: Exception) -> None:
        """An event, where the reader takes it."""
        if isinstance(error, F5Error):
            _log.warning("a transcript ended early: %s %s", error.code, error.message)
            body = errors.to_response(error)[1]
        else:
            body = errors.internal_error(error)[1]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_EVENT_S):
                await self._send(send, SpeechError.model_validate(body), more=False)

    async def _send(
        self, send: Send, event: TranscriptDelta | TranscriptDone | SpeechError, more: bool = True
    ) -> None:
        if not self._has_started:
            self._has_started = True
            headers = {"Content-Type": SSE, **self._form.headers}
            raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        body = f"data: {event.model_dump_json()}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": more})
