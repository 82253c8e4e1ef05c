"""Jobs as callers see them: a handle on a running one; status, result and list of all."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.errors import InvalidRequest
from f5serve.jobs.history import RecentJobs
from f5serve.jobs.records import JobSnapshot, Record, Status, cancelled, unknown
from f5serve.jobs.store import JobStore
from f5serve.service import responses
from f5serve.service.active_jobs import ActiveJob, JobRegistry, deadline_passed, stopped
from f5serve.service.dependencies import Dependencies
from f5serve.service.events import (
    MAX_DECODED_S,
    AudioChunk,
    AudioFile,
    Completed,
    DeliveryOptions,
    JobEvent,
    decode_result,
    response_of,
)
from f5serve.service.fields import Name, Request, lower
from f5serve.service.requests import TTSRequest
from f5serve.store.base import ObjectStore
from f5serve.types import SAMPLE_RATE, Wave

MAX_INLINE_BYTES = 6_000_000
"""Longest audio inside an answer; more would not pass through RunPod's queue."""


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
    deps: Dependencies

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
            with self.deps.metrics.track("tts"):
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
        return await response_of(self.events())

    def cancel(self) -> None:
        """End the job for all of its callers; `events` raises JOB_CANCELLED then."""
        self.job.cancel(lambda: stopped(self.job.job_id))

    async def _next_event(self) -> None:
        try:  # asyncio's clock is that of time.monotonic
            async with asyncio.timeout_at(self.until if self.is_joined else None):
                await self.job.news.wait()
        except TimeoutError:
            late = partial(deadline_passed, self.job.job_id, self.request.timeout_s or 0.0)
            if self.job.subscribers == 1:
                self.job.cancel(late)
            raise late() from None

    async def _finish(
        self, record: Record, has_audio: bool
    ) -> tuple[dict[str, Any], AudioChunk | AudioFile | None]:
        """The response; the stored speech for a caller that got none, as it was made earlier.

        Of what was made here nothing is read back.
        """
        job, deps = self.job, self.deps
        try:
            async with asyncio.timeout_at(self.until):
                if self.delivery.full_response:
                    call = responses.tts_response, deps.job_store.store, job.job_id, record
                    response = await deps.pools.jobs.finish(*call, deps.url_expires_s, job.details)
                    if self.request.returns_audio:
                        response["audio_base64"] = await self._inline(record)
                else:
                    response = responses.short_tts_response(job.job_id, record)
                    if self.delivery.words:
                        response["word_timings"] = await self._words(record)
                if self.delivery.whole_files:
                    return response, None if job.audio is not None else self._stored(record)
                if has_audio or not self.delivery.chunks:
                    return response, None
                wave = await deps.pools.jobs.finish(_read_wave, deps.job_store.store, record)
                return response, None if wave is None else AudioChunk(0, 0.0, lambda: wave)
        except TimeoutError:
            raise deadline_passed(job.job_id, self.request.timeout_s or 0.0) from None

    async def _words(self, record: Record) -> list[dict[str, Any]]:
        """When each word is heard, as it was found here or as it is stored."""
        details = self.job.details
        if details is None:
            pool, store = self.deps.pools.jobs, self.deps.job_store.store
            details = await pool.finish(responses.details_of, store, record)
        return list(details.get("word_timings") or [])

    def _stored(self, record: Record) -> AudioFile:
        """The stored audio, however long it is."""
        line = responses.find_output(record, "audio")
        return AudioFile(line["size"], partial(self.deps.job_store.store.get_part, line["key"]))

    async def _inline(self, record: Record) -> str:
        """The audio as base64, as it was made here or as it is stored.

        Raises:
            InvalidRequest: RESULT_TOO_LARGE.
        """
        file = self._stored(record)
        if file.size > MAX_INLINE_BYTES:
            raise InvalidRequest(
                f"The audio has {file.size:,} bytes; {MAX_INLINE_BYTES:,} is the most that"
                " return_audio base64 can send.",
                code="RESULT_TOO_LARGE",
                hint=f"It is stored: request the result of job {self.job.job_id}, or use a smaller"
                " format.",
            )
        read = (self.job.audio or file).read
        audio = await self.deps.pools.jobs.finish(read, 0, file.size)
        return base64.b64encode(audio).decode()


def _read_wave(store: ObjectStore, record: Record) -> Wave | None:
    """The wave of the stored audio; None for one that is too long to be decoded again."""
    if "format" not in record or record.get("seconds", 0.0) > MAX_DECODED_S:
        return None
    line = responses.find_output(record, "audio")
    rate = record.get("sample_rate") or SAMPLE_RATE
    return decode_result(store.get(line["key"]), record["format"], rate)


class JobQuery(Request):
    """Operations on one job."""

    job_id: Name | None = None


class FileQuery(JobQuery):
    """A file of one job."""

    type: Annotated[Literal["audio", "timing"], BeforeValidator(lower)] | None = None


class TimingQuery(Request):
    """The format of a timing file, which is not looked at for audio."""

    format: Annotated[SubtitleFormat, BeforeValidator(lower)] | None = None


class JobQueries:
    """What is known of jobs here and in the store."""

    def __init__(self, deps: Dependencies, jobs: JobRegistry) -> None:
        self._deps = deps
        self._job_store: JobStore = deps.job_store
        self._store = deps.job_store.store
        self._registry = jobs
        self._expires_s = deps.url_expires_s
        self._history = RecentJobs(self._job_store, responses.job_summary)

    async def status(self, payload: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
        """Where a job stands."""
        job_id = JobQuery.parse(payload).job_id
        if not job_id:
            raise unknown("")
        snapshot = await self._deps.pools.lookups.run(self._job_store.snapshot, job_id)
        job = self._registry.find(job_id)
        if job is not None and snapshot.status in (Status.UNKNOWN, Status.RUNNING):
            # What is under way here is newer than what the store says of it.
            snapshot = JobSnapshot(Status.RUNNING, {"progress": job.progress.as_dict()})
        if snapshot.status is Status.UNKNOWN:
            raise unknown(job_id)
        return responses.status_response(job_id, snapshot)

    async def result(self, payload: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
        """The answer of a tts that is done, with new URLs."""
        job_id = _job_id(payload)

        def read() -> dict[str, Any]:
            record = self._job_store.result(job_id)
            return responses.tts_response(self._store, job_id, record, self._expires_s)

        return await self._deps.pools.lookups.run(read)

    async def download(self, payload: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
        """Where one file of a job is."""
        job_id = _job_id(payload)
        is_timing = FileQuery.parse(payload).type == "timing"
        format = (TimingQuery.parse(payload).format or "srt") if is_timing else ""

        def read() -> dict[str, Any]:
            record = self._job_store.result(job_id)
            return responses.download_response(self._store, job_id, record, format, self._expires_s)

        return await self._deps.pools.lookups.run(read)

    async def cancel(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Have a job end, wherever it is."""
        job_id = _job_id(payload)
        job = self._registry.find(job_id)
        try:
            snapshot = await self._deps.pools.lookups.run(self._job_store.cancel, job_id, "request")
        except InvalidRequest:
            if job is None:
                raise
            snapshot = JobSnapshot(Status.CANCELLED, {})  # under way here, not in the store yet
        if job is not None and snapshot.status is Status.CANCELLED:
            job.cancel(lambda: cancelled(job_id))
        return {"job_id": job_id, "status": snapshot.status.public}

    async def recent(self, limit: int, after: str = "") -> dict[str, Any]:
        """A page of the newest jobs of all workers; those running here as they are now.

        Raises:
            InvalidRequest: BAD_CURSOR.
        """
        found = await self._deps.pools.listings.run(self._history.page, limit, after)
        jobs = [self._as_it_is(line) for line in found.jobs]
        return {"jobs": jobs, "truncated": bool(found.next), "next": found.next or None}

    def _as_it_is(self, line: Mapping[str, Any]) -> dict[str, Any]:
        job = self._registry.find(line["job_id"])
        if job is None or line["status"] not in (Status.QUEUED.public, Status.RUNNING.public):
            return dict(line)
        return {**line, "status": Status.RUNNING.public, "progress": job.progress.as_dict()}


def _job_id(payload: Mapping[str, Any]) -> str:
    job_id = JobQuery.parse(payload).job_id
    if not job_id:
        raise InvalidRequest(
            "No job_id provided",
            code="MISSING_FIELD",
            hint="Send the job_id that tts has answered.",
        )
    return job_id
