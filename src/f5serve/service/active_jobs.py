"""Registry of running jobs: one run per job id, shared by all callers, cancellable between steps.

A job runs in a task of its own, so a caller that disconnects never leaves a claim without an owner.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from f5serve.errors import F5Error
from f5serve.jobs.claims import conflict
from f5serve.jobs.records import CANCELLED_CODE, Record
from f5serve.service.admission import Ticket
from f5serve.service.job_events import AudioChunks, AudioFile, OnFile, OnProgress, Subscriber
from f5serve.types import Wave

_log = logging.getLogger(__name__)

T = TypeVar("T")

SHUT_DOWN_CODE = "SHUT_DOWN"
REMEMBERED_S = 5.0
"""How long a shared result is kept: a later request may have read the cache before it was there."""

RELEASE_S = 3.0
"""Part of the shutdown budget for a last ODE step and the records of released jobs."""


class ActiveJob:
    """One running job.

    Attributes:
        audio: the encoded result, once it was made here.
        progress: what was published last.
        attempts: attempts that the queue makes at a job with retryable failures; before the last
            one a failure releases the job.
        owner: the stable id of the key that asks for it, or "".
        details: text and word times, once they were made here.
        ticket: its share of the backlog, or None.
        chunks: the speech so far, if a caller streams it.
        deadline: `time.monotonic()` by which it is to be done, or None.
        subscribers: how many callers wait for it.
        accept_unstored: whether speech that cannot be stored is delivered all the same.
    """

    def __init__(self, job_id: str, sha256: str) -> None:
        self.job_id = job_id
        self.sha256 = sha256
        self.audio: AudioFile | None = None
        self.attempts = 1
        self.owner = ""
        self.details: dict[str, Any] | None = None
        self.ticket: Ticket | None = None
        self.chunks: AudioChunks | None = None
        self.deadline: float | None = None
        self.progress: dict[str, Any] = {"phase": "starting", "percent": 0}
        self._on_progress: list[OnProgress] = []
        self.subscribers = 0
        self.accept_unstored = False
        self._on_file: list[OnFile] = []
        self._loop = asyncio.get_running_loop()
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

    def subscribe(self, subscriber: Subscriber) -> None:
        """Send progress from now on, and every chunk of the speech."""
        self.subscribers += 1
        if subscriber.on_progress is not None:
            self._on_progress.append(subscriber.on_progress)
        if subscriber.on_chunk is not None and self.chunks is not None:
            self.chunks.subscribe(subscriber.on_chunk)
        if subscriber.on_file is not None:
            self._on_file.append(subscriber.on_file)
            if self.audio is not None:
                subscriber.on_file(self.audio)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Send nothing more."""
        self.subscribers -= 1
        if subscriber.on_progress is not None:
            self._on_progress.remove(subscriber.on_progress)
        if subscriber.on_chunk is not None and self.chunks is not None:
            self.chunks.unsubscribe(subscriber.on_chunk)
        if subscriber.on_file is not None:
            self._on_file.remove(subscriber.on_file)

    def publish(self, phase: str, percent: float, **more: Any) -> None:
        """Publish phase and percent."""
        self.progress = {"phase": phase, "percent": round(percent), **more}
        for listener in self._on_progress:
            listener(dict(self.progress))

    def publish_utterances(self, done: int, total: int) -> None:
        """Publish the number of finished utterances; from the inference thread."""
        self._loop.call_soon_threadsafe(self._publish_utterances, done, total)

    def publish_chunk(self, wave: Wave) -> None:
        """Publish the next chunk; from the inference thread."""
        if self.chunks is not None:
            read = self.chunks.store(wave)
            self._loop.call_soon_threadsafe(self._publish_chunk, len(wave.samples), read)

    def publish_file(self, audio: AudioFile) -> None:
        """Publish the encoded file; in the event loop."""
        self.audio = audio
        for listener in self._on_file:
            listener(audio)

    def set_deadline(self, seconds: float) -> asyncio.TimerHandle:
        """Cancel the job after so many seconds, unless the timer is cancelled before."""
        self.deadline = time.monotonic() + seconds
        return self._loop.call_later(
            seconds, self.cancel, lambda: deadline_passed(self.job_id, seconds)
        )

    def _publish_chunk(self, samples: int, read: Callable[[], Wave]) -> None:
        if self.chunks is not None:  # how many utterances there are was told before the first
            self.chunks.add(samples, read, self.progress.get("total", 0))

    def _publish_utterances(self, done: int, total: int) -> None:
        if self.ticket is not None:
            self.ticket.progress(done / total)
        self.publish("speaking", 100 * done / total, done=done, total=total)

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


async def within_deadline(
    seconds: float | None, since: float, job_id: str, work: Awaitable[T]
) -> T:
    """What the work returns, for a caller who gave the job so many seconds.

    Args:
        since: `time.monotonic()` when he did.

    Raises:
        F5Error: DEADLINE_PASSED.
    """
    try:  # asyncio's clock is that of time.monotonic
        async with asyncio.timeout_at(None if seconds is None else since + seconds):
            return await work
    except TimeoutError:
        raise deadline_passed(job_id, seconds or 0.0) from None


class JobRegistry:
    """Registry of running jobs by id."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[ActiveJob, asyncio.Task[Record]]] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._tasks)

    def find(self, job_id: str) -> ActiveJob | None:
        """The running job with this id, or None."""
        return self._tasks[job_id][0] if job_id in self._tasks else None

    async def run(
        self,
        job: ActiveJob,
        work: Callable[[ActiveJob], Coroutine[Any, Any, Record]],
        subscriber: Subscriber,
        within_s: float | None = None,
        since: float = 0.0,
    ) -> tuple[Record, ActiveJob]:
        """Run `job`, or attach to the running job with its id.

        A caller that is cancelled ends the job, unless others wait for it and it may leave: it
        waits for the device to stop and for the record to be written, then the cancellation goes
        on.

        Args:
            within_s: from `since`, longest wait for a job that is joined, whose own end may be
                later; it goes on for those who still wait.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
            F5Error: what the work raises; SHUT_DOWN when it was released at the end of the
                process: answer nobody where the job is handed out again then.
        """
        own = job
        job, task = self._attach_or_start(job, work)
        job.subscribe(subscriber)
        try:
            if job is not own and within_s is not None:
                await asyncio.wait({task}, timeout=since + within_s - time.monotonic())
                if not task.done():
                    late = functools.partial(deadline_passed, job.job_id, within_s)
                    if job.subscribers == 1:
                        job.cancel(late)
                    raise late()
            return await asyncio.shield(task), job
        except asyncio.CancelledError:
            if job.subscribers == 1 or not subscriber.delivery.detach_on_disconnect:
                job.cancel(shut_down_error if self._draining else lambda: stopped(job.job_id))
                await asyncio.wait({task})
            raise
        finally:
            job.unsubscribe(subscriber)

    async def wait_until_ended(self, job_id: str) -> None:
        """Wait for a cancelled job to end, so that it can be started again."""
        if job_id in self._tasks and self._tasks[job_id][0].is_cancelling:
            await asyncio.wait({self._tasks[job_id][1]})

    async def drain(self, within_s: float) -> None:
        """Wait for all jobs; those that take longer are cancelled and released in time."""
        jobs = dict(self._tasks)
        tasks = {task for _, task in jobs.values()}
        if not tasks:
            return
        release_s = min(RELEASE_S, within_s / 4)
        _, late = await asyncio.wait(tasks, timeout=within_s - release_s)
        self._draining = True
        for job, task in jobs.values():
            if task in late:
                job.cancel(shut_down_error)
        if late:
            await asyncio.wait(late, timeout=release_s)

    def _attach_or_start(
        self, job: ActiveJob, work: Callable[[ActiveJob], Coroutine[Any, Any, Record]]
    ) -> tuple[ActiveJob, asyncio.Task[Record]]:
        if job.job_id in self._tasks:
            found, task = self._tasks[job.job_id]
            if found.sha256 != job.sha256:
                raise conflict(job.job_id)
            return found, task
        task = asyncio.get_running_loop().create_task(work(job), name=f"job {job.job_id}")
        self._tasks[job.job_id] = (job, task)
        task.add_done_callback(lambda _: self._tasks.pop(job.job_id))
        task.add_done_callback(swallow_exception)
        return job, task


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
