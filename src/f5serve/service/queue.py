"""Job queue in the store, for `mode: async` where the platform has no queue.

    enqueue: job_store.enqueue -> queue/<id>.json -> answer QUEUED -> run -> entry removed
    scan:    entries that other servers left behind -> the same queue

Only ids are held in memory. A job that was answered QUEUED is not lost.
docs/decisions/0023-a-queue-in-the-store.md gives the reasons, and 0027 those for `queued_as`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.jobs.pending import PendingJob, PendingJobs, PendingRef
from f5serve.jobs.record_reader import DAMAGED, TOO_NEW, RecordUnreadable
from f5serve.jobs.records import CANCELLED_CODE, ENDED, JobSnapshot, Lease, Status, folder_of
from f5serve.jobs.store import JobStore
from f5serve.service.active_jobs import SHUT_DOWN_CODE, shut_down_error
from f5serve.service.dependencies import Dependencies, Enqueue
from f5serve.service.fields import Request
from f5serve.service.queue_rounds import JobSlots
from f5serve.service.request_errors import MAX_JOB_ID_CHARS
from f5serve.service.requests import TTSRequest
from f5serve.service.runner import INTERNAL

QUEUED_AS = "queued_as"
"""Under which id a job was put off, in what a platform's queue hands back; no field of callers."""


def without_queued_as(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a caller may send."""
    return {name: value for name, value in payload.items() if name != QUEUED_AS}


class QueuedJob(Request):
    """A job that the platform's queue hands back."""

    queued_as: Annotated[str, Field(strict=True, max_length=MAX_JOB_ID_CHARS)] | None = None


class AsyncJobs:
    """Accepts jobs of `mode: async`, into the queue of the platform or of the store.

    Args:
        queue: in the store.
        enqueue: the platform's queue, None where it has none.
    """

    def __init__(self, deps: Dependencies, queue: JobQueue, enqueue: Enqueue | None) -> None:
        self._deps = deps
        self._queue = queue
        self._enqueue = enqueue

    async def enqueue(self, job_id: str, request: TTSRequest, owner: str) -> dict[str, Any]:
        """Record the job as queued, then enqueue it: its status is known before the answer.

        Raises:
            InvalidRequest: REF_AUDIO_NOT_QUEUED, JOB_ID_CONFLICT.
        """
        if request.holds_recording:
            raise InvalidRequest(
                f"ref_audio holds a recording, {len(request.ref_audio or ''):,} characters; a job "
                "that waits in a queue takes a URL.",
                code="REF_AUDIO_NOT_QUEUED",
                hint="Send its https URL, keep it as a voice first, or have the speech made at "
                "once: POST /v1/audio/speech, or mode sync.",
            )
        if self._enqueue is None:
            snapshot = await self._queue.enqueue(job_id, request, owner)
        else:
            queue = self._deps.job_store.enqueue
            snapshot = await self._deps.pools.jobs.run(
                queue, job_id, request.sha256, request.summary, owner
            )
            if snapshot.status in (Status.QUEUED, Status.LOST):
                later = {"mode": "sync", "return_audio": "url", QUEUED_AS: job_id}
                await self._enqueue({**request.raw_fields, **later})
        return {"job_id": job_id, "status": snapshot.status.public}

    def queued_id(self, payload: Mapping[str, Any]) -> str:
        """The id under which the platform's queue hands a job back; "" for all other jobs.

        Raises:
            InvalidRequest: BAD_OPTION.
        """
        if self._enqueue is None:
            return ""
        return QueuedJob.parse(payload).queued_as or ""

    async def is_accepted(self, job_id: str, request: TTSRequest) -> bool:
        """Whether this request was accepted under that id before."""
        return await self._deps.pools.jobs.run(
            self._deps.job_store.is_queued, job_id, request.sha256
        )


_log = logging.getLogger(__name__)

QUEUE_ATTEMPTS = 3
"""How often a job is begun whose failure may pass, such as a store that does not answer."""

MAX_PENDING = 10_000
"""Pending jobs of one process."""

MAX_RECENT = 32
"""Entries younger than a lease whose records a scan reads, for jobs that were released."""

MAX_TOO_NEW = 10_000
"""Entries of later versions that a process remembers, so as not to read them again and again."""

Work = Callable[[PendingJob], Awaitable[Any]]
"""Does a job that waited, under its id; raises F5Error."""


@dataclass(frozen=True, slots=True)
class _ScanResult:
    """What a scan has found: jobs to run, and whether nothing is pending at all."""

    names: list[str]
    is_quiet: bool


class JobQueue:
    """Runs the pending jobs of this process, and those that other servers left behind.

    Args:
        slots: for jobs that run at a time, shared with the queues of other tenants.
        max_pending: jobs that may wait here.
    """

    def __init__(
        self,
        deps: Dependencies,
        work: Work,
        slots: JobSlots,
        *,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self._deps = deps
        self._job_store: JobStore = deps.job_store
        self._store = PendingJobs(deps.job_store.store, deps.job_store.reader.damage)
        self._work = work
        self._slots = slots
        self._max_pending = max_pending
        self._pending: dict[str, None] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._too_new: set[str] = set()
        self._faults: Counter[str] = Counter()
        self._closing = False

    def __len__(self) -> int:
        return len(self._pending)

    async def enqueue(self, job_id: str, request: TTSRequest, owner: str = "") -> JobSnapshot:
        """Store the job as pending; when this returns it cannot be lost.

        Args:
            owner: whose key asks for it.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
            F5Error: BUSY for one too many, SHUT_DOWN.
            StorageFailed: it was not kept.
        """
        if self._closing:
            raise shut_down_error()
        if len(self._pending) >= self._max_pending:
            raise F5Error(
                f"{len(self._pending):,} jobs are waiting here, the most that one server accepts.",
                code="BUSY",
                hint="Try again later, or add servers over the same store: they share the queue.",
                retryable=True,
            )
        queue = self._job_store.enqueue
        snapshot = await self._deps.pools.jobs.run(
            queue, job_id, request.sha256, request.summary, owner
        )
        name = folder_of(job_id)
        if snapshot.status not in (Status.QUEUED, Status.LOST) or self._has(name):
            return snapshot
        payload = {**request.raw_fields, "mode": "sync", "return_audio": "url"}
        await self._deps.pools.jobs.finish(
            self._store.put, PendingJob(job_id, request.sha256, payload, owner)
        )
        self._add([name])
        return snapshot

    async def remove(self, job_id: str) -> None:
        """Remove a cancelled job, here and in the store."""
        self._pending.pop(folder_of(job_id), None)
        await self._deps.pools.jobs.finish(self._store.remove, job_id)

    def stop(self) -> None:
        """Begin no more jobs; what waits stays in the store."""
        self._closing = True

    async def close(self, within_s: float = 1.0) -> None:
        """Let go of everything; the jobs at work have ended, or are to be done by others."""
        self.stop()
        tasks = {*self._running.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)

    def _has(self, name: str) -> bool:
        return name in self._pending or name in self._running

    def _add(self, names: list[str]) -> None:
        for name in names:
            if not self._has(name):
                self._pending[name] = None
        if self._pending:
            self._slots.request(self)

    def start_next(self) -> bool:
        """Begin the job that waits longest; False where there is none to begin."""
        if not self._pending or self._closing:
            return False
        name = next(iter(self._pending))
        del self._pending[name]
        task = self._deps.background.spawn(f"queued {name}", self._process(name))
        self._running[name] = task
        task.add_done_callback(functools.partial(self._ended, name))
        return True

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._running[name]
        self._slots.release()

    async def _process(self, name: str) -> None:
        """Run the job unless it is over or another worker has it."""
        try:
            entry = await self._deps.pools.jobs.finish(self._load_if_free, name)
            if entry is not None and await self._do(name, entry):
                await self._deps.pools.jobs.finish(self._store.remove, name)
            self._faults.pop(name, None)
        except StorageFailed as error:
            _log.warning("job %s stays in the queue: %s", name, error.message)
        except Exception:
            await self._count_fault(name)
            raise  # to the supervisor, who logs it

    async def _do(self, name: str, entry: PendingJob) -> bool:
        """Whether the job is over now."""
        try:
            await self._work(entry)
            return True
        except F5Error as error:  # it is in the job's record
            _log.info("queued job %s: %s", name, error.code)
            if error.code == SHUT_DOWN_CODE:
                return False
            return await self._deps.pools.jobs.finish(self._is_over, entry, error)

    async def _count_fault(self, name: str) -> None:
        """After some unexpected faults the job has failed: what breaks us once may do so again."""
        self._faults[name] += 1
        if self._faults[name] >= QUEUE_ATTEMPTS:
            del self._faults[name]
            await self._deps.pools.jobs.finish(self._job_store.give_up, name, INTERNAL)
            await self._deps.pools.jobs.finish(self._store.remove, name)

    def _load_if_free(self, name: str) -> PendingJob | None:
        """The entry of a job that no worker has; removes entries of finished jobs."""
        try:
            entry = self._store.read(name)
        except RecordUnreadable as error:
            self._refuse(name, error)
            return None
        if entry is None:
            return None
        snapshot = self._job_store.snapshot(entry.job_id)
        if snapshot.damage:  # the entry says all that is needed, and damaged records are replaced
            return entry if snapshot.damage == DAMAGED else None
        if snapshot.status in ENDED:
            self._store.remove(name)
        return None if snapshot.status in (*ENDED, Status.RUNNING) else entry

    def _refuse(self, name: str, error: RecordUnreadable) -> None:
        """A damaged entry is its job's failure; one of a later version is for others."""
        if error.code == TOO_NEW:
            if len(self._too_new) < MAX_TOO_NEW:
                self._too_new.add(name)
            return
        self._job_store.give_up(name, error.as_failure())  # a folder's name stands for its id
        self._store.remove(name)

    def _is_over(self, entry: PendingJob, error: F5Error) -> bool:
        """Whether the job has ended with this error; one that was never begun ends with it now."""
        snapshot = self._job_store.snapshot(entry.job_id)
        if snapshot.damage:
            return False
        status = snapshot.status
        if status is not Status.QUEUED or error.retryable or isinstance(error, StorageFailed):
            return status in ENDED
        failure = {"message": error.message, "code": error.code, "hint": error.hint}
        if snapshot.record["request_sha256"] != entry.request_sha256:  # they do not belong together
            self._job_store.give_up(entry.job_id, failure)
            return True
        try:
            lease = self._job_store.claim(entry.job_id, entry.request_sha256)
        except InvalidRequest as refused:
            if refused.code == CANCELLED_CODE:  # by a process that died before it could record it
                self._job_store.cancel(entry.job_id, "queue")
            return self._job_store.snapshot(entry.job_id).status in ENDED
        if not isinstance(lease, Lease):
            return False
        self._job_store.fail(lease, {**failure, "retryable": False})
        return True

    async def scan(self) -> bool:
        """Look for jobs whose process is gone; whether nothing is pending at all."""
        try:
            known = frozenset((*self._pending, *self._running))
            left = await self._deps.pools.queue.finish(self._scan, known)
            self._add(left.names)
            return left.is_quiet and not known
        except StorageFailed as error:
            _log.warning("the queue cannot be looked through: %s", error.message)
            return True

    def _scan(self, known: frozenset[str]) -> _ScanResult:
        """Jobs whose process is gone or slow: what waits longer than a lease, or was let go of."""
        listed = self._store.list()
        known |= self._too_new
        others = [entry for entry in listed if entry.name not in known]
        if not others:
            return _ScanResult([], not listed)
        before = self._job_store.store.now() - self._job_store.lease_s
        old = [entry for entry in others if entry.since <= before]
        young = [entry for entry in others if entry.since > before]
        lost = [entry for entry in young[:MAX_RECENT] if self._is_abandoned(entry)]
        # Oldest first, by the length of a lease; among equals in any order, so that servers that
        # look at the same time begin with different jobs.
        found = sorted(
            old + lost,
            key=lambda entry: (entry.since // self._job_store.lease_s, random.random()),
        )
        return _ScanResult([entry.name for entry in found], False)

    def _is_abandoned(self, entry: PendingRef) -> bool:
        try:
            return self._job_store.snapshot(entry.name).status in (Status.LOST, *ENDED)
        except StorageFailed as error:  # of this one; the next look comes by again
            _log.warning("queued job %s cannot be looked at: %s", entry.name, error.message)
            return False
