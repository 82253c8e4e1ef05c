"""POST /v1/audio/speech/batch: several texts in one request, each a `tts` job of its own.

The answer is JSON that is sent while it is made: what is behind the next text waits in its job.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from f5serve.audio.encode import MEDIA_TYPES
from f5serve.errors import F5Error, InvalidRequest
from f5serve.http import errors
from f5serve.http.errors import Problem
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.jobs import job_links
from f5serve.http.routers.speech import ResolvedSpeech, error_param, refusal, resolve
from f5serve.http.scopes import needs
from f5serve.http.speech_schemas import (
    SpeechBatch,
    SpeechBatchResult,
    SpeechBody,
    SpeechItemResult,
)
from f5serve.http.state import (
    IDEMPOTENCY_PARAMETER,
    IDEMPOTENT_ID_PREFIX,
    AppState,
    JobId,
    Owner,
    StateDep,
)
from f5serve.http.streaming import cancel_on_disconnect
from f5serve.http.word_timestamps import word_timestamps
from f5serve.secrets import SPEAK
from f5serve.service.events import AudioFile, DeliveryOptions, file_and_response

_log = logging.getLogger(__name__)

MAX_BATCH_CHARS = 32_768
"""Characters of all texts of a batch together."""

MAX_AUDIO_BYTES = 15_000_000
"""Audio within one answer; in base64 it is 20 MB."""

PARALLEL = 4
"""Jobs of one batch that are under way or wait to be sent; the device works on them together."""

router = APIRouter(tags=["speech"], route_class=JsonRoute)


@router.post(
    "/v1/audio/speech/batch",
    operation_id="create_speech_batch",
    summary="Turn several texts into speech",
    response_model=SpeechBatchResult,
    responses=errors.error_responses(400, 503),
    openapi_extra={"parameters": [IDEMPOTENCY_PARAMETER]},
)
@needs(SPEAK)
async def create_speech_batch(
    batch: SpeechBatch, job_id: JobId, owner: Owner, state: StateDep
) -> Response:
    """Each item is a job like those of /v1/audio/speech; what one lacks, the batch says for all.

    The answer has a result for each item, in their order: the audio in base64, or the error. An
    item that fails does not stop the others. F5_REQUEST_TIMEOUT_S is the time for all together.
    Closing the connection stops what is not done.
    """
    size = sum(len(item.input) for item in batch.items)
    if size > MAX_BATCH_CHARS:
        error = InvalidRequest(
            f"The items have {size:,} characters; {MAX_BATCH_CHARS:,} is the limit of a batch.",
            code="TEXT_TOO_LONG",
            hint="Send several batches, or use POST /v1/jobs.",
        )
        return refusal(error)
    return BatchResponse(batch.bodies(), job_id, owner, state)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """An item that is done."""

    asked: ResolvedSpeech
    file: AudioFile | None
    response: dict[str, Any]


class BatchResponse(Response):
    """Does the items of a batch, some at a time, and sends their results in order."""

    media_type = "application/json"

    def __init__(
        self, bodies: Sequence[SpeechBody], job_id: str, owner: str, state: AppState
    ) -> None:
        super().__init__()
        self._bodies, self._job_id, self._owner, self._state = bodies, job_id, owner, state
        limit = state.settings.key_concurrency or PARALLEL
        self._parallel = min(PARALLEL, limit)
        self._until = time.monotonic() + state.settings.request_timeout_s
        most = state.settings.max_answer_mb * 1_000_000 // 2  # base64, and what is beside it
        self._room = min(MAX_AUDIO_BYTES, most) if most else MAX_AUDIO_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; see `Response`."""
        try:
            await cancel_on_disconnect(receive, self._answer(send))
        except TimeoutError:
            stall_s = self._state.settings.request_timeout_s
            _log.warning("a reader took nothing for %g s", stall_s)

    async def _answer(self, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        failed = 0
        text = '{"object":"list","results":['
        async with aclosing(self._results()) as results:
            async for result in results:
                failed += result.status == "error"
                text += ("," if result.index else "") + result.model_dump_json()
                async with asyncio.timeout(self._state.settings.request_timeout_s):
                    body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                    await send(body)
                text = ""
        total = len(self._bodies)
        end = f'],"total":{total},"succeeded":{total - failed},"failed":{failed}}}'
        await send({"type": "http.response.body", "body": end.encode()})

    async def _results(self) -> AsyncGenerator[SpeechItemResult, None]:
        """The results in order; no more than some items are started before they are taken."""
        started: deque[asyncio.Task[_Spoken]] = deque()
        try:
            for index in range(len(self._bodies)):
                while len(started) < self._parallel and index + len(started) < len(self._bodies):
                    started.append(asyncio.create_task(self._speak(index + len(started))))
                try:
                    result = await self._result(index, await self._spoken(index, started[0]))
                except Exception as error:  # noqa: BLE001 - each item has an error of its own
                    result = self._failure(index, error)
                started.popleft()
                yield result
        finally:
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)

    async def _spoken(self, index: int, task: asyncio.Task[_Spoken]) -> _Spoken:
        try:
            return await task
        except F5Error as error:
            if error.code != "BUSY" or index == 0:
                raise
        return await self._speak(index)  # those before it, which it had to wait for, are done

    async def _speak(self, index: int) -> _Spoken:
        settings = self._state.settings
        try:  # asyncio's clock is that of time.monotonic
            async with asyncio.timeout_at(self._until):
                asked = await resolve(self._bodies[index], self._state)
        except TimeoutError:
            raise errors.deadline_passed(settings.request_timeout_s) from None
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise errors.deadline_passed(settings.request_timeout_s)
        asked.request.timeout_s = max(1, min(asked.request.timeout_s or 1, int(left_s)))
        delivery = DeliveryOptions(
            whole_files=True,
            detach_on_disconnect=True,
            accept_unstored=not (
                settings.store_required or self._job_id.startswith(IDEMPOTENT_ID_PREFIX)
            ),
            full_response=False,
            words=bool(asked.body.word_timestamps),
        )
        handle = await self._state.operations.submit(
            asked.request, self._id(index), delivery, owner=self._owner
        )
        file, response = await file_and_response(handle.events())
        return _Spoken(asked, file, response)

    async def _result(self, index: int, spoken: _Spoken) -> SpeechItemResult:
        asked, file, response = spoken.asked, spoken.file, spoken.response
        warnings = [*asked.body.warnings(asked.style, asked.styles), *response["warnings"]]
        audio = None
        if file is not None and file.size <= self._room:
            encoders = self._state.operations.pools.encoders
            audio = await encoders.finish(file.base64)
            self._room -= file.size
        words = response.get("word_timings")
        return SpeechItemResult(
            index=index,
            status="success",
            job_id=self._id(index),
            media_type=MEDIA_TYPES[asked.body.format],
            sample_rate=asked.request.output_rate,
            duration=response["duration"],
            word_timestamps=None if words is None else word_timestamps(words),
            warnings=list(dict.fromkeys(warnings)),
            links=job_links(self._id(index)),
            error=None,
            audio_data=audio,
        )

    def _failure(self, index: int, error: Exception) -> SpeechItemResult:
        if isinstance(error, F5Error):
            body = errors.to_response(error, error_param(error))[1]
        else:
            body = errors.internal_error(error)[1]
        return SpeechItemResult(
            index=index,
            status="error",
            job_id=self._id(index),
            media_type=None,
            sample_rate=None,
            duration=None,
            word_timestamps=None,
            warnings=[],
            links=None,
            error=Problem.model_validate(body["error"]),
            audio_data=None,
        )

    def _id(self, index: int) -> str:
        return f"{self._job_id}-{index}"
