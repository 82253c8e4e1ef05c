"""POST /v1/audio/speech: OpenAI's contract, streamed as it is made.

A body flows in, speech flows out sentence by sentence; it is a `tts` job like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.responses import Response

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import F5Error, InvalidRequest
from f5serve.http import errors, model_ids, speech_size, speech_voices
from f5serve.http.job_ids import PARAMETER, JobId, Owner, is_relied_on
from f5serve.http.json_bodies import JsonRoute
from f5serve.http.leaving import too_late
from f5serve.http.service import Served, Service
from f5serve.http.speech_body import SpeechBody, SpeechDelta, SpeechDone, SpeechError
from f5serve.http.speech_stream import SSE, Delivery, SpeechResponse
from f5serve.service.flights import Wishes
from f5serve.service.parse import MAX_TIMEOUT_S

PARAMS = {
    **dict.fromkeys(["TEXT_TOO_LONG", "EMPTY_TEXT", "NOT_TEXT", "BAD_UNICODE"], "input"),
    **dict.fromkeys(["TEXT_NOT_SPEAKABLE", "ANSWER_TOO_LARGE"], "input"),
    **dict.fromkeys(["VOICE_NOT_FOUND", "BAD_VOICE_NAME", "RESERVED_VOICE_NAME"], "voice"),
    **dict.fromkeys(["UNKNOWN_MODEL", "MODEL_NOT_LOADED"], "model"),
    "UNKNOWN_FORMAT": "response_format",
    "MEDIA_EXTRA_MISSING": "response_format",
    "RECOGNISER_NOT_INSTALLED": "verify",
}
"""The field that an error is about, by the error's code."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "X-F5-Job-Id": {"description": "Id of the job, for /v1/jobs/{id}.", **_TEXT},
    "X-F5-Voice": {"description": "The voice of the library that speaks.", **_TEXT},
    "X-F5-Warning": {"description": "What was said in vain, and what speaks here.", **_TEXT},
}
_EVENTS = [
    {"$ref": f"#/components/schemas/{kind.__name__}"}
    for kind in (SpeechDelta, SpeechDone, SpeechError)
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
        **errors.documented(400, 404, 409, 501, 503, 504),
    },
    openapi_extra={"parameters": [PARAMETER]},
)
async def create_speech(body: SpeechBody, job_id: JobId, owner: Owner, service: Served) -> Response:
    """OpenAI's request for speech, as its clients send it.

    The first bytes leave when the first sentence is made. The answer's `X-F5-Job-Id` names the job,
    for GET /v1/jobs/{id}; it is done when the answer has ended. Closing the connection stops it.
    """
    try:
        return await _respond(body, job_id, owner, service)
    except F5Error as error:
        return refusal(error)


def refusal(error: F5Error) -> JSONResponse:
    """The answer to an error, naming the field that it is about."""
    status, told, headers = errors.told(error, PARAMS.get(error.code))
    return JSONResponse(told, status, headers)


async def _respond(body: SpeechBody, job_id: str, owner: str, service: Service) -> Response:
    settings = service.settings
    check_length(body.input, settings.openai_max_chars)
    speech_size.check(body, settings.max_answer_mb)
    model = model_ids.resolve(service, body.model)
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            voice = await speech_voices.resolve(service, body.voice)
    except TimeoutError:
        raise too_late(settings.request_timeout_s) from None

    def headers() -> Mapping[str, str]:
        warnings = [*body.warnings(), *service.operations.warnings]
        told = {"X-F5-Job-Id": job_id, "X-F5-Voice": voice}
        if warnings:
            told["X-F5-Warning"] = ascii_line(" ".join(warnings))
        return {**told, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

    payload = body.payload(voice, model)
    payload["timeout_s"] = max(1, min(int(settings.request_timeout_s), MAX_TIMEOUT_S))
    may_go_unkept = not settings.store_required and not is_relied_on(job_id)
    wishes = Wishes(
        whole_files=True, may_leave=True, may_go_unkept=may_go_unkept, whole_answer=False
    )
    told = service.operations.stream(payload, job_id, wishes, owner=owner)
    delivery = Delivery(
        format=body.format,
        is_sse=body.stream_format == "sse",
        input_chars=len(body.input),
        headers=headers,
        refuse=refusal,
        encoders=service.operations.pools.encoders,
        stall_s=settings.request_timeout_s,
    )
    return SpeechResponse(told, delivery)


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


def ascii_line(text: str) -> str:
    """The text as a header may hold it."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
