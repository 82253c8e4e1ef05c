"""POST /v1/audio/speech: OpenAI's contract, streamed while the speech is made.

Each request is a `tts` job like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.responses import Response

from f5serve.audio.encode import MEDIA_TYPES, default_rate
from f5serve.errors import BadAudio, F5Error, InvalidRequest
from f5serve.http import errors
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.models import resolve_model
from f5serve.http.scopes import needs
from f5serve.http.speech_schemas import (
    SpeechBody,
    SpeechDelta,
    SpeechDone,
    SpeechError,
    VoiceFields,
)
from f5serve.http.state import (
    IDEMPOTENCY_PARAMETER,
    IDEMPOTENT_ID_PREFIX,
    AppState,
    JobId,
    Owner,
    StateDep,
)
from f5serve.http.streaming import SSE, SpeechResponse, StreamOptions
from f5serve.http.voice_names import resolve_voice
from f5serve.http.word_timestamps import (
    HEADER,
    MAX_HEADER_BYTES,
    SpeechWords,
    word_header,
    word_timestamps,
)
from f5serve.secrets import SPEAK
from f5serve.service.events import DeliveryOptions
from f5serve.service.request_errors import MAX_TIMEOUT_S
from f5serve.service.requests import TTSRequest
from f5serve.types import SAMPLE_RATE, AudioFormat
from f5serve.voices.instructions import style_for
from f5serve.voices.library import VoiceLibrary
from f5serve.voices.names import check_style

REF_AUDIO = "ref_audio"
PARAMS = {
    **dict.fromkeys(["TEXT_TOO_LONG", "EMPTY_TEXT", "NOT_TEXT", "BAD_UNICODE"], "input"),
    **dict.fromkeys(["TEXT_NOT_SPEAKABLE", "BAD_PINYIN", "ANSWER_TOO_LARGE"], "input"),
    **dict.fromkeys(["BAD_MARKUP", "BAD_SSML"], "input"),
    **dict.fromkeys(["VOICE_NOT_FOUND", "BAD_VOICE_NAME", "RESERVED_VOICE_NAME"], "voice"),
    **dict.fromkeys(["UNKNOWN_MODEL", "MODEL_NOT_LOADED"], "model"),
    **dict.fromkeys(["STYLE_NOT_FOUND", "BAD_STYLE_NAME"], "style"),
    **dict.fromkeys(["REF_TEXT_REQUIRED", "REF_TEXT_MISMATCH"], "ref_text"),
    **dict.fromkeys(["CONSENT_REQUIRED", "BAD_CONSENT"], "consent"),
    **dict.fromkeys(["URL_NOT_ALLOWED", "URL_TOO_LARGE", "URL_FAILED", "URL_TIMEOUT"], REF_AUDIO),
    **dict.fromkeys(["BASE64_INVALID", "BASE64_TOO_LARGE"], REF_AUDIO),
    "SAMPLE_RATE_NOT_SUPPORTED": "sample_rate",
    "BIT_RATE_NOT_SUPPORTED": "bit_rate_kbps",
    "UNKNOWN_FORMAT": "response_format",
    "MEDIA_EXTRA_MISSING": "response_format",
    "RECOGNISER_NOT_INSTALLED": "verify",
}
"""The field that an error is about, by the error's code."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "X-F5-Job-Id": {"description": "Id of the job, for /v1/jobs/{id}.", **_TEXT},
    "X-F5-Voice": {"description": "The voice of the library that speaks, if one does.", **_TEXT},
    "X-F5-Style": {
        "description": "The style of that voice, by `style` or `instructions`; else absent.",
        **_TEXT,
    },
    HEADER: {
        "description": "With `word_timestamps`, of a file: a JSON list of word, start_ms and "
        f"end_ms. Left out beyond {MAX_HEADER_BYTES:,} bytes, which X-F5-Warning says.",
        **_TEXT,
    },
    "X-F5-Warning": {
        "description": "Fields that have no effect, and warnings of the model.",
        **_TEXT,
    },
}
_EVENTS = [
    {"$ref": f"#/components/schemas/{kind.__name__}"}
    for kind in (SpeechDelta, SpeechWords, SpeechDone, SpeechError)
]
_EVENT = {
    "type": "object",
    "description": "Events; `data` of each is JSON.",
    "properties": {
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"oneOf": _EVENTS},
        }
    },
    "required": ["data"],
}

router = APIRouter(tags=["speech"], route_class=JsonRoute)

FASTEST_BYTES_PER_S = 40.0
"""Bytes of text in a second of speech that no speaker exceeds at speed 1; 15 are usual."""

LEAST_BYTES_PER_S: dict[AudioFormat, int] = {
    "wav": 48_000,
    "pcm": 48_000,
    "flac": 4_000,
    "aac": 4_000,
    "mp3": 2_000,
    "opus": 1_500,
    "ulaw": 24_000,
    "alaw": 24_000,
}
"""Bytes of a second of speech at 24 kHz at least, by format."""

BASE64_SIZE = 4 / 3
"""Of what it was made of."""


@router.post(
    "/v1/audio/speech",
    operation_id="create_speech",
    summary="Turn text into speech",
    response_class=Response,
    responses={
        200: {
            "description": "The file, or events with its parts, sent as they are made.",
            "content": {
                **dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
                SSE: {"schema": _EVENT},
            },
            "headers": _HEADERS,
        },
        **errors.error_responses(400, 404, 409, 501, 503, 504),
    },
    openapi_extra={"parameters": [IDEMPOTENCY_PARAMETER]},
)
@needs(SPEAK)
async def create_speech(body: SpeechBody, job_id: JobId, owner: Owner, state: StateDep) -> Response:
    """OpenAI's request for speech, as its clients send it.

    The first bytes leave when the first sentence is made. The answer's `X-F5-Job-Id` names the job,
    for GET /v1/jobs/{id}; it is done when the answer has ended. Closing the connection stops it.
    """
    try:
        return await _respond(body, job_id, owner, state)
    except F5Error as error:
        return refusal(error)


def refusal(error: F5Error) -> JSONResponse:
    """The answer to an error, naming the field that it is about."""
    status, body, headers = errors.to_response(error, error_param(error))
    return JSONResponse(body, status, headers)


def error_param(error: F5Error) -> str | None:
    """The field that an error is about, if it is about one."""
    param = PARAMS.get(error.code)
    return REF_AUDIO if isinstance(error, BadAudio) and param != "ref_text" else param


async def _respond(body: SpeechBody, job_id: str, owner: str, state: AppState) -> Response:
    settings = state.settings
    asked = await resolve(body, state)
    can_be_asked_again = job_id.startswith(IDEMPOTENT_ID_PREFIX)
    is_sse, words = body.stream_format == "sse", bool(body.word_timestamps)
    delivery = DeliveryOptions(
        chunks=is_sse or not words,
        whole_files=True,
        detach_on_disconnect=True,
        accept_unstored=not (settings.store_required or can_be_asked_again),
        full_response=False,
        words=words,
    )
    handle = await state.operations.submit(asked.request, job_id, delivery, owner=owner)
    options = StreamOptions(
        format=body.format,
        sample_rate=asked.request.output_rate,
        bit_rate_kbps=asked.request.bit_rate_kbps or 0,
        is_sse=is_sse,
        input_chars=len(body.input),
        headers=partial(_headers, asked, job_id, state),
        on_error=refusal,
        encoders=state.operations.pools.encoders,
        stall_s=settings.request_timeout_s,
        words=words,
    )
    return SpeechResponse(handle.events(), options)


@dataclass(frozen=True, slots=True)
class ResolvedSpeech:
    """A request with the voice, style and model that it means.

    Attributes:
        voice: of the library; "" for a recording of the request.
        style: of the voice; "" for none.
        styles: those that instructions could choose from.
    """

    body: SpeechBody
    request: TTSRequest
    voice: str
    style: str
    styles: tuple[str, ...]


async def resolve(body: SpeechBody, state: AppState) -> ResolvedSpeech:
    """Check all of a request that can be checked before it is a job.

    Raises:
        F5Error: what is wrong with it.
    """
    check_length(body.input, state.settings.openai_max_chars)
    check_size(least_bytes(body), body.format, state.settings.max_answer_mb)
    meant = await resolve_names(body, body.model, state)
    if body.ref_audio:  # a recording is hashed, which may take a tenth of a second
        request = await state.operations.pools.voices.run(body.request, *meant.args)
    else:
        request = body.request(*meant.args)
    return ResolvedSpeech(body, request, meant.voice, meant.style, meant.styles)


@dataclass(frozen=True, slots=True)
class ResolvedNames:
    """Voice, style and model that a request means, and its deadline; as in `ResolvedSpeech`."""

    voice: str
    style: str
    styles: tuple[str, ...]
    model: str
    timeout_s: int

    @property
    def args(self) -> tuple[str, str, str, int]:
        """Arguments of `VoiceFields.job_fields`."""
        return self.voice, self.style, self.model, self.timeout_s


async def resolve_names(body: VoiceFields, model: str, state: AppState) -> ResolvedNames:
    """What the names of a request mean; `model` is "" for the one that speaks here.

    Raises:
        F5Error: what is wrong with them.
    """
    settings = state.settings
    model = resolve_model(state, model)
    style, styles = "", tuple[str, ...]()
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            voice = body.voice_name()
            voice = await resolve_voice(state, voice) if voice else ""
            if body.style or (body.instructions and voice):
                style, styles = await resolve_style(state, body, voice)
    except TimeoutError:
        raise errors.deadline_passed(settings.request_timeout_s) from None
    timeout_s = max(1, min(int(settings.request_timeout_s), MAX_TIMEOUT_S))
    return ResolvedNames(voice, style, styles, model, timeout_s)


def _headers(
    asked: ResolvedSpeech, job_id: str, state: AppState, response: Mapping[str, Any]
) -> Mapping[str, str]:
    """The headers of an answer, which may begin before there is a response."""
    found = {"X-F5-Job-Id": job_id, "X-F5-Voice": asked.voice, "X-F5-Style": asked.style}
    warnings = [*asked.body.warnings(asked.style, asked.styles), *state.operations.warnings]
    if "word_timings" in response:
        words = word_timestamps(response["word_timings"])
        found[HEADER] = word_header(words)
        warnings += response["warnings"]
        if words and not found[HEADER]:
            warnings.append(
                f"{HEADER} would be longer than {MAX_HEADER_BYTES:,} bytes: the times of the "
                f"{len(words):,} words are in the result of the job."
            )
    line = " ".join(dict.fromkeys(warnings))
    found["X-F5-Warning"] = "".join(c if " " <= c <= "~" else "?" for c in line)
    found = {name: value for name, value in found.items() if value}
    return {**found, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def check_length(text: str, max_chars: int) -> None:
    """Refuse text that is longer than OpenAI's contract allows here.

    Raises:
        InvalidRequest: TEXT_TOO_LONG.
    """
    if len(text) > max_chars:
        raise InvalidRequest(
            f"input has {len(text):,} characters; {max_chars:,} is the limit of one request.",
            code="TEXT_TOO_LONG",
            hint="Send it in parts, or raise F5_OPENAI_MAX_CHARS of the server.",
        )


def check_size(least_bytes: float, format: AudioFormat, max_answer_mb: int) -> None:
    """Refuse what cannot fit; 0 is no limit.

    Args:
        least_bytes: that the answer has.

    Raises:
        InvalidRequest: ANSWER_TOO_LARGE.
    """
    least_mb = least_bytes / 1e6
    if max_answer_mb and least_mb > max_answer_mb:
        raise InvalidRequest(
            f"The speech would be more than {least_mb:.0f} MB of {format}; {max_answer_mb} MB "
            "is the most that reaches a caller here.",
            code="ANSWER_TOO_LARGE",
            hint="Take mp3 or opus, send the text in parts, or use POST /v1/jobs.",
        )


def least_bytes(body: SpeechBody) -> float:
    """Bytes that the answer has at least."""
    rate = body.sample_rate or default_rate(body.format)
    overhead = BASE64_SIZE if body.stream_format == "sse" else 1.0
    return overhead * least_file_bytes(body.input, body.speed or 1.0, body.format, rate)


def least_file_bytes(text: str, speed: float, format: AudioFormat, sample_rate: int) -> float:
    """Bytes that a file with the speech of a text has at least."""
    seconds = len(text.encode("utf-8", "replace")) / FASTEST_BYTES_PER_S / speed
    rate = sample_rate / SAMPLE_RATE
    if format not in ("wav", "pcm", "ulaw", "alaw"):  # compressed sound does not grow with it
        rate = min(1.0, rate)
    return seconds * LEAST_BYTES_PER_S[format] * rate


async def resolve_style(
    state: AppState, body: VoiceFields, voice: str
) -> tuple[str, tuple[str, ...]]:
    """The style that a request means, "" for none; and those that instructions may choose from.

    Raises:
        InvalidRequest: BAD_STYLE_NAME; or as `VoiceLibrary.styles`.
    """
    if body.style or not body.instructions:
        return check_style(body.style or ""), ()
    return await state.operations.pools.voices.run(
        _instructed_style, state.voices, voice, body.instructions
    )


def _instructed_style(
    voices: VoiceLibrary, voice: str, instructions: str
) -> tuple[str, tuple[str, ...]]:
    styles = voices.styles(voice)
    return style_for(instructions, styles), styles
