"""Running jobs: one run per job id, shared by all callers, cancellable between steps.

A job runs in a task of its own, so a caller that disconnects never leaves a claim without an owner.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from f5serve.errors import F5Error
from f5serve.jobs.records import CANCELLED_CODE, Record, conflict
from f5serve.process import log_failure
from f5serve.service.admission import Ticket
from f5serve.service.events import AudioFile, ChunkStore, JobEvent, Progress, SpokenWords
from f5serve.types import Wave, WordTiming

T = TypeVar("T")

SHUT_DOWN_CODE = "SHUT_DOWN"
REMEMBERED_S = 5.0
"""How long a shared result is kept: a later request may have read the cache before it was there."""

RELEASE_S = 3.0
"""Part of the shutdown budget for a last ODE step and the records of released jobs."""

NOTE_S = 0.5
"""Longest that an answer waits for the record of how its job ended."""

CLOSE_S = 1.0
"""Longest that the end of the process waits for such records."""


class ActiveJob:
    """One running job.

    Attributes:
        events: all events so far, for callers that attach at any time.
        progress: the newest one of its kind.
        audio: the encoded result, once it was made here.
        attempts: attempts that the queue makes at a job with retryable failures; before the last
            one a failure releases the job.
        owner: the stable id of the key that asks for it, or "".
        details: text and word times, once they were made here.
        ticket: its share of the backlog, or None.
        chunks: keeps the speech, if a caller streams it.
        deadline: `time.monotonic()` by which it is to be done, or None.
        subscribers: number of callers that wait for it.
        accept_unstored: whether speech that cannot be stored is delivered all the same.
        news: set with the next event and at the end; each event has a new one.
        task: runs it; set when it begins.
    """

    task: asyncio.Task[Record]

    def __init__(self, job_id: str, sha256: str, owner: str = "", attempts: int = 1) -> None:
        self.job_id = job_id
        self.sha256 = sha256
        self.owner = owner
        self.attempts = attempts
        self.events: list[JobEvent] = []
        self.progress = Progress("starting", 0)
        self.audio: AudioFile | None = None
        self.details: dict[str, Any] | None = None
        self.ticket: Ticket | None = None
        self.chunks: ChunkStore | None = None
        self.deadline: float | None = None
        self.subscribers = 0
        self.accept_unstored = False
        self._total = 0
        self._loop = asyncio.get_running_loop()
        self.news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._why: Callable[[], F5Error] | None = None
        self._lock = threading.Lock()

    def cancel(self, why: Callable[[], F5Error]) -> None:
        """End the work at its next step; the first reason counts. From any thread."""
        with self._lock:
            self._why = self._why or why
        self._loop.call_soon_threadsafe(self._stopped.set)

    @property
    def is_cancelling(self) -> bool:
        """Whether it was cancelled, so that it will have no result."""
        return self._why is not None

    def check(self) -> None:
        """Raise the reason if the job was cancelled. Thread-safe."""
        why = self._why
        if why is not None:
            raise why()

    def publish(self, event: JobEvent) -> None:
        """Add an event; in the event loop."""
        if isinstance(event, Progress):
            self.progress = event
            if self.ticket is not None and event.total:
                self.ticket.progress((event.done or 0) / event.total)
        elif isinstance(event, AudioFile):
            self.audio = event
        self.events.append(event)
        self.wake()

    def publish_utterances(self, done: int, total: int) -> None:
        """Publish the number of finished utterances; from the inference thread."""
        self._total = total
        event = Progress("speaking", round(100 * done / total), done, total)
        self._loop.call_soon_threadsafe(self.publish, event)

    def publish_chunk(self, wave: Wave) -> None:
        """Publish the next part of the speech; from the inference thread."""
        if self.chunks is not None:
            self._loop.call_soon_threadsafe(self.publish, self.chunks.keep(wave, self._total))

    def publish_words(self, spoken_text: str, words: Sequence[WordTiming]) -> None:
        """Publish when the next words are heard; from any thread."""
        event = SpokenWords(tuple(words), spoken_text)
        self._loop.call_soon_threadsafe(self.publish, event)

    def wake(self) -> None:
        """Wake those that wait for `news`."""
        self.news.set()
        self.news = asyncio.Event()

    def set_deadline(self, seconds: float) -> asyncio.TimerHandle:
        """Cancel the job after so many seconds, unless the timer is cancelled before."""
        self.deadline = time.monotonic() + seconds
        return self._loop.call_later(
            seconds, self.cancel, lambda: deadline_passed(self.job_id, seconds)
        )

    async def sleep(self, seconds: float) -> None:
        """Wait, or raise as soon as the job is to end."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        self.check()

    async def run_cancellable(self, work: Awaitable[T]) -> T:
        """Race `work` with cancellation; after a cancellation the work ends by itself."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        task.add_done_callback(swallow_exception)
        self.check()  # a stop counts, too, when the work has ended in the same moment
        return await task

    async def await_thread(self, work: Future[T]) -> T:
        """As `run_cancellable`, but waits for the thread, which calls `check`."""
        task = asyncio.wrap_future(work)
        try:
            return await self.run_cancellable(asyncio.shield(task))
        finally:
            if not work.cancel() and not task.done():
                task.add_done_callback(swallow_exception)
                await asyncio.wait({task})


class JobRegistry:
    """Registry of running jobs by id."""

    def __init__(self) -> None:
        self._jobs: dict[str, ActiveJob] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._jobs)

    def find(self, job_id: str) -> ActiveJob | None:
        """The running job with this id, or None."""
        return self._jobs.get(job_id)

    def run(self, job: ActiveJob, work: Callable[[], Coroutine[Any, Any, Record]]) -> ActiveJob:
        """Run `job`, or attach to the running job with its id; counts the caller.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
        """
        found = self._jobs.get(job.job_id)
        if found is None:
            self._jobs[job.job_id] = job
            job.task = asyncio.create_task(work(), name=f"job {job.job_id}")
            job.task.add_done_callback(partial(self._ended, job))
        elif found.sha256 != job.sha256:
            raise conflict(job.job_id)
        else:
            job = found
        job.subscribers += 1
        return job

    def _ended(self, job: ActiveJob, task: asyncio.Task[Record]) -> None:
        swallow_exception(task)
        del self._jobs[job.job_id]
        job.wake()

    async def leave(self, job: ActiveJob, may_detach: bool) -> None:
        """End a job whose caller has gone, unless others wait for it and the caller may detach.

        Returns when the device has stopped and the record is written.
        """
        if job.subscribers == 1 or not may_detach:
            job.cancel(shut_down_error if self._draining else lambda: stopped(job.job_id))
            await asyncio.wait({job.task})

    async def wait_until_ended(self, job_id: str) -> None:
        """Wait for a cancelled job to end, so that it can be started again."""
        job = self._jobs.get(job_id)
        if job is not None and job.is_cancelling:
            await asyncio.wait({job.task})

    async def drain(self, within_s: float) -> None:
        """Wait for all jobs; those that take longer are cancelled and released in time."""
        jobs = list(self._jobs.values())
        tasks = {job.task for job in jobs}
        if not tasks:
            return
        release_s = min(RELEASE_S, within_s / 4)
        _, late = await asyncio.wait(tasks, timeout=within_s - release_s)
        self._draining = True
        for job in jobs:
            if job.task in late:
                job.cancel(shut_down_error)
        if late:
            await asyncio.wait(late, timeout=release_s)


class RequestCoalescer:
    """Equal requests share one synthesis; used in the event loop only."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Record | None]] = {}

    async def begin(self, key: str, job: ActiveJob) -> Record | None:
        """The record of an equal request that is running; None: this job makes it, and calls `end`.

        Raises:
            F5Error: why the job was stopped meanwhile.
        """
        while (found := self._under_way.get(key)) is not None:
            if not found.done() and job.ticket is not None:
                job.ticket.release()  # it needs the device no more
                job.ticket = None
            record = await job.run_cancellable(asyncio.shield(found))
            if record is not None:
                return record
        self._under_way[key] = asyncio.get_running_loop().create_future()
        return None

    def end(self, key: str, record: Record | None) -> None:
        """Give the record to the waiting jobs; with None the next one makes it."""
        found = self._under_way[key]
        found.set_result(record)
        if record is None:
            del self._under_way[key]
        else:
            asyncio.get_running_loop().call_later(REMEMBERED_S, self._forget, key, found)

    def _forget(self, key: str, found: asyncio.Future[Record | None]) -> None:
        if self._under_way.get(key) is found:
            del self._under_way[key]


class DetachedTasks:
    """Background steps that no caller waits for; used in the event loop only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Coroutine[Any, Any, None], within_s: float = NOTE_S) -> None:
        """Wait for the work for a while; what is left of it is done by itself."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        log_failure(task, "recording the end of a job")
        await asyncio.wait({task}, timeout=within_s)

    async def close(self, within_s: float = CLOSE_S) -> None:
        """Wait for all of them for a while, and give up what is left."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


def stopped(job_id: str) -> F5Error:
    """The error of a job that its caller has cancelled; it can be sent again."""
    return F5Error(
        f"Job {job_id} was stopped.",
        code=CANCELLED_CODE,
        hint="Send the request again.",
        retryable=True,
    )


def deadline_passed(job_id: str, seconds: float) -> F5Error:
    """The error of a job that was not done within the time it was given."""
    return F5Error(
        f"Job {job_id} was not done within the {seconds:g} s that it was given.",
        code="DEADLINE_PASSED",
        hint="Send it under a new id with a larger timeout_s, or a shorter text.",
    )


def shut_down_error() -> F5Error:
    """The error of a job that was not done when the process had to end."""
    return F5Error(
        "The worker was shut down before the job was done.",
        code=SHUT_DOWN_CODE,
        hint="Send the request again.",
        retryable=True,
    )


def swallow_exception(task: asyncio.Future[Any]) -> None:
    """Read the outcome, so that asyncio does not log it as never retrieved."""
    if not task.cancelled():
        task.exception()
