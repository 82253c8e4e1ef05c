"""Status, result, download and cancel of jobs, from the registry and the store."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.claims import cancelled, unknown
from f5serve.jobs.history import RecentJobs
from f5serve.jobs.index import REBUILD_S, JobIndex
from f5serve.jobs.records import JobSnapshot, Record, Status
from f5serve.jobs.store import JobStore
from f5serve.service import responses
from f5serve.service.active_jobs import ActiveJob, JobRegistry
from f5serve.service.dependencies import Dependencies
from f5serve.service.job_events import MAX_HEARD_S, AudioChunk, AudioFile, Subscriber, decode_result
from f5serve.service.requests import TIMING_FORMATS, Fields
from f5serve.types import Wave

_log = logging.getLogger(__name__)

INDEX_AFTER_S = 5.0
"""From the start to the first look for jobs that are not in the index; each gives or takes half."""


class JobQueries:
    """What is known of jobs here and in the store.

    Args:
        expires_s: lifetime of signed URLs.
    """

    def __init__(self, deps: Dependencies, jobs: JobRegistry, expires_s: float) -> None:
        self._deps = deps
        self._job_store: JobStore = deps.job_store
        self._store = deps.job_store.store
        self._registry = jobs
        self._expires_s = expires_s
        self._history = RecentJobs(self._job_store, responses.job_summary)

    async def status(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Where a job stands."""
        job_id = Fields(payload).text("job_id")
        if not job_id:
            raise unknown("")
        snapshot = await self._deps.pools.lookups.run(self._job_store.snapshot, job_id)
        job = self._registry.find(job_id)
        if job is not None and snapshot.status in (Status.UNKNOWN, Status.RUNNING):
            # What is under way here is newer than what the store says of it.
            snapshot = JobSnapshot(Status.RUNNING, {"progress": job.progress})
        if snapshot.status is Status.UNKNOWN:
            raise unknown(job_id)
        return responses.status_response(job_id, snapshot)

    async def result(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a tts that is done, with new URLs."""
        job_id = _job_id(payload)

        def read() -> dict[str, Any]:
            return self._tell(job_id, self._job_store.result(job_id))

        return await self._deps.pools.lookups.run(read)

    async def download(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Where one file of a job is."""
        job_id = _job_id(payload)
        fields = Fields(payload)
        kind = fields.choice("type", ["audio", "timing"], "audio")
        format = fields.choice("format", TIMING_FORMATS, "srt") if kind == "timing" else ""
        record = await self._deps.pools.lookups.run(self._job_store.result, job_id)
        if kind == "timing":
            return await self._deps.pools.lookups.run(
                responses.timing_response, self._store, job_id, record, format, self._expires_s
            )
        return await self._deps.pools.lookups.run(
            responses.download_response, self._store, job_id, record, self._expires_s
        )

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
        """A page of the newest jobs, whoever has made them; what is under way here as it is now.

        Raises:
            InvalidRequest: BAD_CURSOR.
        """
        found = await self._deps.pools.listings.run(self._history.page, limit, after)
        jobs = [self._as_it_is(line) for line in found.jobs]
        return {"jobs": jobs, "truncated": bool(found.next), "next": found.next or None}

    async def maintain_index(self) -> None:
        """Once a day see to it that the list knows every job, for as long as the process lives."""
        index = JobIndex(self._store)
        await asyncio.sleep(INDEX_AFTER_S * random.uniform(0.5, 1.5))
        while True:
            try:
                if await self._deps.pools.listings.finish(index.is_due):
                    missing = await self._deps.pools.listings.finish(index.rebuild)
                    _log.info("%d jobs were added to the index", missing)
            except StorageFailed as error:
                _log.warning("the index of jobs was not looked through: %s", error.message)
            await asyncio.sleep(REBUILD_S / 24 * random.uniform(0.8, 1.2))

    def _as_it_is(self, line: Mapping[str, Any]) -> dict[str, Any]:
        job = self._registry.find(line["job_id"])
        if job is None or line["status"] not in (Status.QUEUED.public, Status.RUNNING.public):
            return dict(line)
        return {**line, "status": Status.RUNNING.public, "progress": dict(job.progress)}

    async def response(self, to: Subscriber, job: ActiveJob, record: Record) -> dict[str, Any]:
        """The answer of a tts by its record; of what was made here nothing is read back."""
        if not to.delivery.full_response:
            return responses.short_tts_response(job.job_id, record)
        return await self._deps.blocking(self._tell, job.job_id, record, job.details)

    def _tell(
        self, job_id: str, record: Record, details: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return responses.tts_response(self._store, job_id, record, self._expires_s, details)

    async def audio(self, job_id: str, record: Record, made: AudioFile | None) -> bytes:
        """The audio, as it was made here or as it is stored, if it fits into an answer.

        Raises:
            InvalidRequest: RESULT_TOO_LARGE.
        """
        line = responses.find_output(record, "audio")
        if line["size"] > responses.MAX_INLINE_BYTES:
            raise responses.result_too_large(job_id, line["size"])
        read = self.stored_file(record).read if made is None else made.read
        return await self._deps.blocking(read, 0, line["size"])

    async def deliver_cached(self, to: Subscriber, job: ActiveJob, record: Record) -> None:
        """Give out the stored speech to who has been given nothing yet: it was made earlier."""
        if to.on_file is not None:
            if job.audio is None:
                to.on_file(self.stored_file(record))
        elif to.on_chunk is not None and not job.chunks:
            heard = await self.decode_stored(record)
            if heard is not None:
                to.on_chunk(AudioChunk(0, 0.0, lambda: heard))

    def stored_file(self, record: Record) -> AudioFile:
        """The stored audio, however long it is."""
        line = responses.find_output(record, "audio")
        return AudioFile(line["size"], partial(self._store.get_part, line["key"]))

    async def decode_stored(self, record: Record) -> Wave | None:
        """The wave of the stored audio; None for one that is too long to be heard again."""
        if "format" not in record or record.get("seconds", 0.0) > MAX_HEARD_S:
            return None

        def read() -> Wave:
            line = responses.find_output(record, "audio")
            return decode_result(self._store.get(line["key"]), record["format"])

        return await self._deps.blocking(read)


def _job_id(payload: Mapping[str, Any]) -> str:
    job_id = Fields(payload).text("job_id")
    if not job_id:
        raise InvalidRequest(
            "No job_id provided",
            code="MISSING_FIELD",
            hint="Send the job_id that tts has answered.",
        )
    return job_id
