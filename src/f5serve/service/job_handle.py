"""One caller's view of a job: its events as they come, its result, its cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from f5serve.jobs.records import Record
from f5serve.service import responses
from f5serve.service.active_jobs import ActiveJob, JobRegistry, deadline_passed, stopped
from f5serve.service.events import (
    MAX_HEARD_S,
    AudioChunk,
    AudioFile,
    Completed,
    DeliveryOptions,
    JobEvent,
    decode_result,
)
from f5serve.service.executor import BoundedExecutor
from f5serve.service.metrics import Metrics
from f5serve.service.requests import TTSRequest
from f5serve.store.base import ObjectStore
from f5serve.types import Wave


@dataclass(frozen=True, slots=True, eq=False)
class JobHandle:
    """A job that was submitted; iterate `events` once, or await `result`.

    Attributes:
        until: `time.monotonic()` by which this caller wants the result, or None.
        is_joined: whether the job was running before, so that its own deadline may be later.
    """

    job: ActiveJob
    request: TTSRequest
    delivery: DeliveryOptions
    until: float | None
    is_joined: bool
    registry: JobRegistry
    results: StoredResults
    metrics: Metrics

    async def events(self) -> AsyncGenerator[JobEvent, None]:
        """All events, those before this call first; `Completed` is the last.

        A caller that is cancelled or closes the generator ends the job, unless others wait for it
        and the caller may detach; it waits for the device to stop and for the record.

        Raises:
            F5Error: why the job has no result; SHUT_DOWN when it was released at the end of the
                process: do not answer where the job is handed out again then.
        """
        job, sent, has_audio = self.job, 0, False
        try:
            with self.metrics.track("tts"):
                while True:
                    while sent < len(job.events):
                        event = job.events[sent]
                        sent += 1
                        if self.delivery.includes(event):
                            has_audio |= isinstance(event, AudioChunk | AudioFile)
                            yield event
                    if job.task.done():
                        break
                    await self._next_event()
                record = await job.task
                response, earlier = await self._finish(record, has_audio)
                if earlier is not None:
                    yield earlier
        except (asyncio.CancelledError, GeneratorExit):
            await self.registry.leave(job, self.delivery.detach_on_disconnect)
            raise
        finally:
            job.subscribers -= 1
        yield Completed(response)

    async def result(self) -> dict[str, Any]:
        """The response; raises as `events`."""
        response: dict[str, Any] = {}
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Completed):
                    response = event.response
        return response

    def cancel(self) -> None:
        """End the job for all of its callers; `events` raises JOB_CANCELLED then."""
        self.job.cancel(lambda: stopped(self.job.job_id))

    async def _next_event(self) -> None:
        try:
            await self.job.next_event(self.until if self.is_joined else None)
        except TimeoutError:
            late = partial(deadline_passed, self.job.job_id, self.request.timeout_s or 0.0)
            if self.job.subscribers == 1:
                self.job.cancel(late)
            raise late() from None

    async def _finish(
        self, record: Record, has_audio: bool
    ) -> tuple[dict[str, Any], AudioChunk | AudioFile | None]:
        """The response; the stored speech for a caller that got none, as it was made earlier."""
        try:
            async with asyncio.timeout_at(self.until):
                response = await self._response(record)
                if self.delivery.whole_files:
                    made = self.job.audio is not None
                    return response, None if made else self.results.file(record)
                if has_audio or not self.delivery.chunks:
                    return response, None
                wave = await self.results.wave(record)
                return response, None if wave is None else AudioChunk(0, 0.0, lambda: wave)
        except TimeoutError:
            raise deadline_passed(self.job.job_id, self.request.timeout_s or 0.0) from None

    async def _response(self, record: Record) -> dict[str, Any]:
        """Of what was made here nothing is read back."""
        job = self.job
        if not self.delivery.full_response:
            return responses.short_tts_response(job.job_id, record)
        response = await self.results.response(job.job_id, record, job.details)
        if not self.request.returns_audio:
            return response
        return responses.with_audio(response, await self.results.audio(job, record))


class StoredResults:
    """Results of finished jobs, from their records and the store.

    Args:
        pool: threads for the store.
        expires_s: lifetime of signed URLs.
    """

    def __init__(self, store: ObjectStore, pool: BoundedExecutor, expires_s: float) -> None:
        self._store = store
        self._pool = pool
        self.expires_s = expires_s

    async def response(
        self, job_id: str, record: Record, details: dict[str, Any] | None
    ) -> dict[str, Any]:
        """As `responses.tts_response`."""
        call = responses.tts_response, self._store, job_id, record, self.expires_s, details
        return await self._pool.finish(*call)

    async def audio(self, job: ActiveJob, record: Record) -> bytes:
        """The audio, as it was made here or as it is stored, if it fits into a response.

        Raises:
            InvalidRequest: RESULT_TOO_LARGE.
        """
        file = self.file(record)
        if file.size > responses.MAX_INLINE_BYTES:
            raise responses.result_too_large(job.job_id, file.size)
        return await self._pool.finish((job.audio or file).read, 0, file.size)

    def file(self, record: Record) -> AudioFile:
        """The stored audio, however long it is."""
        line = responses.find_output(record, "audio")
        return AudioFile(line["size"], partial(self._store.get_part, line["key"]))

    async def wave(self, record: Record) -> Wave | None:
        """The wave of the stored audio; None for one that is too long to be decoded again."""
        if "format" not in record or record.get("seconds", 0.0) > MAX_HEARD_S:
            return None

        def read() -> Wave:
            line = responses.find_output(record, "audio")
            return decode_result(self._store.get(line["key"]), record["format"])

        return await self._pool.finish(read)
