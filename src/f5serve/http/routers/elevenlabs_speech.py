"""/v1/text-to-speech/{voice_id}: ElevenLabs' routes for speech, as files or with times.

Each request is a `tts` job, as with /v1/audio/speech.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from f5serve.http import errors
from f5serve.http.elevenlabs.alignment import align_characters, read_words
from f5serve.http.elevenlabs.errors import ElevenLabsErrorBody
from f5serve.http.elevenlabs.fields import MAX_VOICE_CHARS, SpeechOptions, TextToSpeech
from f5serve.http.elevenlabs.formats import (
    DEFAULT_FORMAT,
    OUTPUT_FORMATS,
    OutputFormat,
    parse_output_format,
)
from f5serve.http.elevenlabs.premade import PREMADE, premade_voice
from f5serve.http.elevenlabs.schemas import TimedSpeech
from f5serve.http.elevenlabs.streaming import NDJSON, TimedSpeechResponse
from f5serve.http.middleware.access_log import CLIENT_CLOSED
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.models import resolve_model
from f5serve.http.routers.speech import (
    BASE64_SIZE,
    check_size,
    least_file_bytes,
)
from f5serve.http.scopes import needs
from f5serve.http.state import (
    IDEMPOTENCY_PARAMETER,
    IDEMPOTENT_ID_PREFIX,
    AppState,
    JobId,
    Owner,
    StateDep,
)
from f5serve.http.streaming import SpeechResponse, StreamOptions, cancel_on_disconnect
from f5serve.http.voice_names import resolve_voice
from f5serve.http.voice_path import VOICE_ID
from f5serve.secrets import SPEAK
from f5serve.service.events import DeliveryOptions, file_and_response
from f5serve.service.job_handle import JobHandle
from f5serve.service.request_errors import MAX_TIMEOUT_S
from f5serve.service.requests import TTSRequest
from f5serve.voices.names import DEFAULT_NAME, VoiceNotFound

OWN_MODELS = ("eleven_", "scribe_")
"""How names of ElevenLabs' models begin; here they mean the one that is loaded."""

MAX_FORMAT_CHARS = 100

_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "request-id": {"description": "Id of the job, for /v1/jobs/{id}.", **_TEXT},
    "character-cost": {"description": "Characters of the text.", **_TEXT},
    "X-F5-Warning": {
        "description": "Fields that have no effect, and warnings of the model.",
        **_TEXT,
    },
}
_ERRORS = errors.error_responses(400, 404, 409, 501, 503, 504, model=ElevenLabsErrorBody)
AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, sent as it is made.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in dict.fromkeys(one.media_type for one in OUTPUT_FORMATS.values())
        },
        "headers": _HEADERS,
    },
    **_ERRORS,
}
LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A JSON object in each line, sent as they are made: `TimedSpeechLine`.",
        "content": {NDJSON: {"schema": {"type": "string"}}},
        "headers": _HEADERS,
    },
    **_ERRORS,
}
JSON: dict[int | str, dict[str, Any]] = {200: {"headers": _HEADERS}, **_ERRORS}
KEYED = {"parameters": [IDEMPOTENCY_PARAMETER]}

VoiceId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_VOICE_CHARS,
        description="A voice of the library by its name, `default`, or the id of one of "
        "ElevenLabs' own voices.",
    ),
]

router = APIRouter(tags=["elevenlabs"], route_class=JsonRoute)


@dataclass(frozen=True, slots=True)
class SpeechQuery:
    """What the URL of a request for speech says."""

    output_format: Annotated[
        str,
        Query(
            max_length=MAX_FORMAT_CHARS,
            description=f"One of {', '.join(OUTPUT_FORMATS)}.",
        ),
    ] = DEFAULT_FORMAT
    enable_logging: Annotated[
        bool, Query(description="Accepted without effect: results are kept as the server says.")
    ] = True
    optimize_streaming_latency: Annotated[
        int | None, Query(ge=0, le=4, description="Accepted without effect.")
    ] = None

    @property
    def output(self) -> OutputFormat:
        """The format that is wanted; errors as `parse_output_format`."""
        return parse_output_format(self.output_format)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, under which job id, and for which server."""

    job_id: JobId
    owner: Owner
    state: StateDep
    request: Request


@dataclass(frozen=True, slots=True)
class SpeechCall:
    """A request for speech with a text."""

    voice_id: VoiceId
    body: TextToSpeech
    query: Annotated[SpeechQuery, Depends()]
    caller: Annotated[Caller, Depends()]

    async def resolve(self, *, words: bool) -> Speech:
        """What is asked for, checked; errors as `resolve_speech`."""
        fields = {**self.body.fields(), "return_word_timings": words}
        job = await resolve_speech(self.caller.state, self.body, self.query, fields, self.voice_id)
        return Speech(job, self.query.output, self.body.text, self.body.warnings, self.caller)


@dataclass(frozen=True, slots=True)
class Speech:
    """A request that can be made a job.

    Attributes:
        text: whose characters are timed and counted.
        warnings: fields that have no effect.
    """

    job: TTSRequest
    output: OutputFormat
    text: str
    warnings: Sequence[str]
    caller: Caller

    async def submit(self, *, streams: bool) -> JobHandle:
        """Begin the job; errors as `SpeechService.submit`."""
        caller, settings = self.caller, self.caller.state.settings
        can_be_asked_again = caller.job_id.startswith(IDEMPOTENT_ID_PREFIX)
        delivery = DeliveryOptions(
            chunks=streams,
            whole_files=True,
            detach_on_disconnect=True,
            accept_unstored=not (settings.store_required or can_be_asked_again),
            full_response=self.job.word_timings,
            spoken_words=self.job.word_timings,
        )
        operations = caller.state.operations
        return await operations.submit(self.job, caller.job_id, delivery, owner=caller.owner)

    async def file(self) -> Response:
        """The answer that is the file, sent as it is made."""
        handle = await self.submit(streams=True)
        return SpeechResponse(handle.events(), self._options)

    async def lines(self) -> Response:
        """The answer that is parts of the file and characters, sent as they are made."""
        handle = await self.submit(streams=True)
        return TimedSpeechResponse(handle.events(), self._options, self.text)

    async def whole(self, show: Callable[[str, Mapping[str, Any]], BaseModel]) -> Response:
        """The answer that is one JSON object.

        Args:
            show: makes it, of the file in base64 and the response of the job.
        """
        done = await cancel_on_disconnect(self.caller.request.receive, self._collect())
        if done is None:
            return Response(status_code=CLIENT_CLOSED)
        audio, response = done
        encoders = self.caller.state.operations.pools.encoders
        body = await encoders.finish(lambda: show(audio, response).model_dump_json())
        headers = self._headers(response)
        return Response(body, media_type="application/json", headers=headers)

    async def _collect(self) -> tuple[str, Mapping[str, Any]]:
        handle = await self.submit(streams=False)
        file, response = await file_and_response(handle.events())
        assert file is not None  # as `whole_files` promises
        return await self.caller.state.operations.pools.encoders.finish(file.base64), response

    @property
    def _options(self) -> StreamOptions:
        state = self.caller.state
        return StreamOptions(
            format=self.output.format,
            sample_rate=self.output.sample_rate,
            bit_rate_kbps=self.output.bit_rate_kbps,
            is_sse=False,
            input_chars=len(self.text),
            headers=self._headers,
            on_error=partial(errors.error_response, scope=self.caller.request.scope),
            encoders=state.operations.pools.encoders,
            stall_s=state.settings.request_timeout_s,
        )

    def _headers(self, response: Mapping[str, Any]) -> dict[str, str]:
        """Of the answer, as far as the response is known."""
        model = self.caller.state.operations.warnings
        line = " ".join(dict.fromkeys([*self.warnings, *model, *response.get("warnings", ())]))
        found = {
            "request-id": self.caller.job_id,
            "character-cost": str(len(self.text)),
            "X-F5-Job-Id": self.caller.job_id,
            "X-F5-Warning": "".join(c if " " <= c <= "~" else "?" for c in line),
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
        return {name: value for name, value in found.items() if value}


async def resolve_voice_id(state: AppState, voice_id: str) -> str:
    """The voice that a request means by this id.

    Raises:
        F5Error: DEADLINE_PASSED, or as `resolve_voice`.
    """
    stands_for = premade_voice(state.settings.elevenlabs_voices, voice_id)
    timeout_s = state.settings.request_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            return await resolve_voice(state, stands_for or voice_id)
    except TimeoutError:
        raise errors.deadline_passed(timeout_s) from None


async def resolve_library_voice(state: AppState, voice_id: str) -> str:
    """The voice of the library that an id means.

    Raises:
        VoiceNotFound: there is none.
        F5Error: as `resolve_voice_id`.
    """
    name = await resolve_voice_id(state, voice_id)
    pool = state.operations.pools.voices
    if await pool.run(state.voices.exists, name):
        return name
    if voice_id in PREMADE:  # the stand-in speaker has voices that are none of the library
        return DEFAULT_NAME
    raise VoiceNotFound(name, await pool.run(state.voices.similar_names, name))


async def resolve_speech(
    state: AppState,
    options: SpeechOptions,
    query: SpeechQuery,
    fields: Mapping[str, Any],
    voice_id: str,
) -> TTSRequest:
    """Check all of a request that can be checked before it is a job.

    Args:
        fields: of the job, with `return_word_timings`, but for those that `query` and `voice_id`
            decide.

    Raises:
        F5Error: what is wrong with it.
    """
    settings, output, model = state.settings, query.output, options.model_id or ""
    model = "" if model.startswith(OWN_MODELS) else resolve_model(state, model)
    voice = await resolve_voice_id(state, voice_id)
    size = (BASE64_SIZE if fields["return_word_timings"] else 1.0) * least_file_bytes(
        fields["text"], fields.get("speed") or 1.0, output.format, output.sample_rate
    )
    check_size(size, output.format, settings.max_answer_mb)
    timeout_s = max(1, min(int(settings.request_timeout_s), MAX_TIMEOUT_S))
    chosen = {"voice": voice, "timeout_s": timeout_s, **({"model": model} if model else {})}
    return TTSRequest.of_valid({**fields, **output.fields, **chosen})


def timed_speech(text: str, audio: str, response: Mapping[str, Any]) -> TimedSpeech:
    """The file in base64, with the times of its characters."""
    words, duration_s = read_words(response["word_timings"]), float(response["duration"] or 0.0)
    return TimedSpeech(
        audio_base64=audio,
        alignment=align_characters(text, words, duration_s),
        normalized_alignment=align_characters(response["spoken_text"], words, duration_s),
    )


Call = Annotated[SpeechCall, Depends()]


@router.post(
    f"/v1/text-to-speech/{VOICE_ID}",
    operation_id="elevenlabs_convert",
    summary="Turn text into speech, as ElevenLabs does",
    response_class=Response,
    responses=AUDIO,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def convert(call: Call) -> Response:
    """ElevenLabs' request for speech. The file is sent as it is made."""
    return await (await call.resolve(words=False)).file()


@router.post(
    f"/v1/text-to-speech/{VOICE_ID}/stream",
    operation_id="elevenlabs_stream",
    summary="Turn text into a stream of speech, as ElevenLabs does",
    response_class=Response,
    responses=AUDIO,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def stream(call: Call) -> Response:
    """The same as without `/stream`."""
    return await (await call.resolve(words=False)).file()


@router.post(
    f"/v1/text-to-speech/{VOICE_ID}/with-timestamps",
    operation_id="elevenlabs_convert_with_timestamps",
    summary="Turn text into speech with times of characters, as ElevenLabs does",
    response_model=TimedSpeech,
    responses=JSON,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def convert_with_timestamps(call: Call) -> Response:
    """The whole file in base64, and when each character is heard."""
    speech = await call.resolve(words=True)
    return await speech.whole(partial(timed_speech, speech.text))


@router.post(
    f"/v1/text-to-speech/{VOICE_ID}/stream/with-timestamps",
    operation_id="elevenlabs_stream_with_timestamps",
    summary="Turn text into a stream of speech with times of characters, as ElevenLabs does",
    response_class=Response,
    responses=LINES,
    openapi_extra=KEYED,
)
@needs(SPEAK)
async def stream_with_timestamps(call: Call) -> Response:
    """A JSON object in each line: parts of the file as they are made, and characters."""
    return await (await call.resolve(words=True)).lines()
