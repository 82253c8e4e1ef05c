"""The jobs that are under way in this process: each once, whoever asks, and stopped within a step.

A job id and the work to do flow in, the record of the finished job flows out, to everybody who
asked for that id. The work runs in a task of its own, so a caller that goes away never leaves a
claim without an owner. What the work is, is not known here.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from f5serve.errors import F5Error
from f5serve.jobs.records import CANCELLED_CODE, Record
from f5serve.jobs.refusals import conflict
from f5serve.service.admission import Place
from f5serve.service.pieces import File, OnFile, OnPiece, Pieces
from f5serve.types import Wave

_log = logging.getLogger(__name__)

T = TypeVar("T")
OnProgress = Callable[[dict[str, Any]], None]
"""Called in the event loop with phase and percent, and done and total while speaking."""

SHUT_DOWN_CODE = "SHUT_DOWN"
RELEASE_S = 3.0
"""Kept of the time to land, for a last step of the device and the records of released jobs."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How one caller wants its speech.

    Attributes:
        whole_files: give out the `File` once all is made: behind the pieces, and in their place
            wherever none could be heard before the whole is there: of a result made earlier, and
            of a single utterance.
        may_leave: whether its going away leaves the job to others who wait for it, rather than
            ending it for all.
        may_go_unkept: whether it is content with the speech where that cannot be stored.
        whole_answer: whether it reads all of the answer; else only duration and warnings are told.
    """

    whole_files: bool = False
    may_leave: bool = False
    may_go_unkept: bool = False
    whole_answer: bool = True


@dataclass(frozen=True, slots=True)
class Listeners:
    """What one caller wants to be told while it waits."""

    on_progress: OnProgress | None = None
    on_piece: OnPiece | None = None
    on_file: OnFile | None = None
    wishes: Wishes = Wishes()


class Flight:
    """One job under way.

    Attributes:
        audio: the encoded result, once it was made here.
        progress: what was told last.
        attempts: how often the job is begun by itself, if its failure may pass; until then such an
            end leaves it free, and somebody will take it up again.
        owner: the stable id of the key that asks for it, or "".
        details: text and word times, once they were made here.
        place: where it stands in the line for the device.
        pieces: the speech so far, if anybody asked to hear it as it is made.
        deadline: `time.monotonic()` by which it is to be done, or None.
        callers: how many wait for it.
        may_go_unkept: whether its caller is content with the speech where that cannot be stored.
    """

    def __init__(self, job_id: str, sha256: str) -> None:
        self.job_id = job_id
        self.sha256 = sha256
        self.audio: File | None = None
        self.attempts = 1
        self.owner = ""
        self.details: dict[str, Any] | None = None
        self.place: Place | None = None
        self.pieces: Pieces | None = None
        self.deadline: float | None = None
        self.progress: dict[str, Any] = {"phase": "starting", "percent": 0}
        self.listeners: list[OnProgress] = []
        self.callers = 0
        self.may_go_unkept = False
        self._on_file: list[OnFile] = []
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._why: Callable[[], F5Error] | None = None
        self._lock = threading.Lock()

    def stop(self, why: Callable[[], F5Error]) -> None:
        """End the work at its next step; the first reason counts. From any thread."""
        with self._lock:
            self._why = self._why or why
        self._loop.call_soon_threadsafe(self._stopped.set)

    @property
    def is_ending(self) -> bool:
        """Whether it was stopped, so that it has no result for anybody who comes now."""
        return self._why is not None

    def check(self) -> None:
        """Raise the reason once the flight is to end; called from the device's thread too."""
        why = self._why
        if why is not None:
            raise why()

    def join(self, listeners: Listeners) -> None:
        """Tell them what happens from now on, and every piece of the speech."""
        self.callers += 1
        if listeners.on_progress is not None:
            self.listeners.append(listeners.on_progress)
        if listeners.on_piece is not None and self.pieces is not None:
            self.pieces.join(listeners.on_piece)
        if listeners.on_file is not None:
            self._on_file.append(listeners.on_file)
            if self.audio is not None:
                listeners.on_file(self.audio)

    def leave(self, listeners: Listeners) -> None:
        """Tell them no more."""
        self.callers -= 1
        if listeners.on_progress is not None:
            self.listeners.remove(listeners.on_progress)
        if listeners.on_piece is not None and self.pieces is not None:
            self.pieces.leave(listeners.on_piece)
        if listeners.on_file is not None:
            self._on_file.remove(listeners.on_file)

    def tell(self, phase: str, percent: float, **more: Any) -> None:
        """Pass on how far the job is."""
        self.progress = {"phase": phase, "percent": round(percent), **more}
        for listener in self.listeners:
            listener(dict(self.progress))

    def tell_spoken(self, done: int, total: int) -> None:
        """Pass on how many utterances are spoken; from the device's thread."""
        self._loop.call_soon_threadsafe(self._tell_spoken, done, total)

    def give_piece(self, wave: Wave) -> None:
        """Pass on the next stretch of speech; from the thread that speaks."""
        if self.pieces is not None:
            read = self.pieces.keep(wave)
            self._loop.call_soon_threadsafe(self._give_piece, len(wave.samples), read)

    def give_file(self, audio: File) -> None:
        """Pass on the whole, encoded; in the event loop."""
        self.audio = audio
        for listener in self._on_file:
            listener(audio)

    def end_at(self, seconds: float) -> asyncio.TimerHandle:
        """Stop in so many seconds, unless the timer is cancelled before."""
        self.deadline = time.monotonic() + seconds
        return self._loop.call_later(seconds, self.stop, lambda: too_late(self.job_id, seconds))

    def _give_piece(self, samples: int, read: Callable[[], Wave]) -> None:
        if self.pieces is not None:  # how many utterances there are was told before the first
            self.pieces.add(samples, read, self.progress.get("total", 0))

    def _tell_spoken(self, done: int, total: int) -> None:
        if self.place is not None:
            self.place.spoken(done / total)
        self.tell("speaking", 100 * done / total, done=done, total=total)

    async def pause(self, seconds: float) -> None:
        """Wait, or raise as soon as the flight is to end."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        self.check()

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """What `work` returns. A stop does not wait for it: it is left to end by itself."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        task.add_done_callback(read_outcome)
        self.check()  # a stop counts, too, when the work has ended in the same moment
        return await task

    async def until_ended(self, work: Future[T]) -> T:
        """As `unless_stopped`, but a stop waits for the thread, which looks at `check`."""
        task = asyncio.wrap_future(work)
        try:
            return await self.unless_stopped(asyncio.shield(task))
        finally:
            if not work.cancel() and not task.done():
                task.add_done_callback(read_outcome)
                await asyncio.wait({task})


async def within(seconds: float | None, since: float, job_id: str, work: Awaitable[T]) -> T:
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
        raise too_late(job_id, seconds or 0.0) from None


class Flights:
    """All jobs under way, by id."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[Flight, asyncio.Task[Record]]] = {}
        self._landing = False

    def __len__(self) -> int:
        return len(self._tasks)

    def find(self, job_id: str) -> Flight | None:
        """The flight of a job, if it is under way here."""
        return self._tasks[job_id][0] if job_id in self._tasks else None

    async def fly(
        self,
        flight: Flight,
        work: Callable[[Flight], Coroutine[Any, Any, Record]],
        listeners: Listeners,
        within_s: float | None = None,
        since: float = 0.0,
    ) -> tuple[Record, Flight]:
        """Do the work of `flight`, or join the one that does it already.

        A caller that is cancelled ends the job, unless others wait for it and it may leave: it
        waits for the device to stop and for the record to be written, then the cancellation goes
        on.

        Args:
            within_s: from `since`, longest wait for a flight that is joined, whose own end may be
                later; it goes on for those who still wait.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
            F5Error: what the work raises; SHUT_DOWN when it was released at the end of the
                process: answer nobody where the job is handed out again then.
        """
        own = flight
        flight, task = self._join_or_begin(flight, work)
        flight.join(listeners)
        try:
            if flight is not own and within_s is not None:
                await asyncio.wait({task}, timeout=since + within_s - time.monotonic())
                if not task.done():
                    late = functools.partial(too_late, flight.job_id, within_s)
                    if flight.callers == 1:
                        flight.stop(late)
                    raise late()
            return await asyncio.shield(task), flight
        except asyncio.CancelledError:
            if flight.callers == 1 or not listeners.wishes.may_leave:
                flight.stop(shut_down if self._landing else lambda: stopped(flight.job_id))
                await asyncio.wait({task})
            raise
        finally:
            flight.leave(listeners)

    async def until_ended(self, job_id: str) -> None:
        """Wait for a flight that was stopped, so that the same job can be begun anew."""
        if job_id in self._tasks and self._tasks[job_id][0].is_ending:
            await asyncio.wait({self._tasks[job_id][1]})

    async def land(self, within_s: float) -> None:
        """Wait for all flights; those that would take longer are stopped and released in time."""
        flights = dict(self._tasks)
        tasks = {task for _, task in flights.values()}
        if not tasks:
            return
        release_s = min(RELEASE_S, within_s / 4)
        _, late = await asyncio.wait(tasks, timeout=within_s - release_s)
        self._landing = True
        for flight, task in flights.values():
            if task in late:
                flight.stop(shut_down)
        if late:
            await asyncio.wait(late, timeout=release_s)

    def _join_or_begin(
        self, flight: Flight, work: Callable[[Flight], Coroutine[Any, Any, Record]]
    ) -> tuple[Flight, asyncio.Task[Record]]:
        if flight.job_id in self._tasks:
            found, task = self._tasks[flight.job_id]
            if found.sha256 != flight.sha256:
                raise conflict(flight.job_id)
            return found, task
        task = asyncio.get_running_loop().create_task(work(flight), name=f"job {flight.job_id}")
        self._tasks[flight.job_id] = (flight, task)
        task.add_done_callback(lambda _: self._tasks.pop(flight.job_id))
        task.add_done_callback(read_outcome)
        return flight, task


def stopped(job_id: str) -> F5Error:
    """The error of a job whose caller stopped it; whoever hands it out again gets it done."""
    return F5Error(
        f"Job {job_id} was stopped.",
        code=CANCELLED_CODE,
        hint="Send the request again.",
        retryable=True,
    )


def too_late(job_id: str, seconds: float) -> F5Error:
    """The error of a job that was not done within the time it was given."""
    return F5Error(
        f"Job {job_id} was not done within the {seconds:g} s that it was given.",
        code="DEADLINE_PASSED",
        hint="Send it under a new id with a larger timeout_s, or a shorter text.",
    )


def shut_down() -> F5Error:
    """The error of a job that was not done when the process had to end."""
    return F5Error(
        "The worker was shut down before the job was done.",
        code=SHUT_DOWN_CODE,
        hint="Send the request again.",
        retryable=True,
    )


def read_outcome(task: asyncio.Future[Any]) -> None:
    """Look at an outcome that nobody may be waiting for, which asyncio would complain about."""
    if not task.cancelled():
        task.exception()
