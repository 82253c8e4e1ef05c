"""Status, result, download and cancel of jobs, from the registry and the store."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from f5serve.alignment.subtitles import SubtitleFormat
from f5serve.errors import InvalidRequest, StorageFailed
from f5serve.jobs.history import REBUILD_S, JobIndex, RecentJobs
from f5serve.jobs.records import JobSnapshot, Status, cancelled, unknown
from f5serve.jobs.store import JobStore
from f5serve.service import responses
from f5serve.service.active_jobs import JobRegistry
from f5serve.service.dependencies import Dependencies
from f5serve.service.requests import Name, Request, lower

_log = logging.getLogger(__name__)

INDEX_AFTER_S = 5.0
"""From the start to the first look for jobs that are not in the index; each gives or takes half."""


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
        record = await self._deps.pools.lookups.run(self._job_store.result, job_id)
        if is_timing:
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
