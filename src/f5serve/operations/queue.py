"""The queue of servers that have none of a platform: jobs for later, kept in the store.

    put_off: board.queue -> queue/<id>.json -> told QUEUED -> a place -> answer -> removed
    look:    what others have left behind -> the same line

An `Ask` flows in and is done some time later, by this process or another; what was told QUEUED is
never lost. Only ids wait here, so a long line costs little. How a job is done is not known here.
docs/decisions/0023-a-queue-in-the-store.md tells why it is built so.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from f5serve.errors import F5Error, StorageFailed
from f5serve.jobs.board import Board, Lease
from f5serve.jobs.records import ENDED, Standing, Status, folder_of
from f5serve.jobs.waiting import Entry, Listed, Waiting
from f5serve.operations.flights import SHUT_DOWN_CODE, shut_down
from f5serve.operations.parse import Ask
from f5serve.operations.perform import Tools

_log = logging.getLogger(__name__)

LOOK_S = 30.0
"""From one look for left jobs to the next, while there are any; each gives or takes a fifth."""

QUIET = 4
"""So many times as long it may be while nothing waits anywhere: listings cost money."""

IN_TURNS = 2
"""Jobs taken at a time where the device speaks one after another: while one is spoken the next is
made ready, and whoever waits for an answer need not wait for the whole line."""

QUEUE_ATTEMPTS = 3
"""How often a job is begun whose failure may pass, such as a store that does not answer."""

MAX_WAITING = 10_000
"""Jobs in the line of one process."""

MAX_YOUNG = 32
"""Entries younger than a lease whose records a look reads, for jobs that somebody let go of."""

Work = Callable[[Mapping[str, Any], str], Awaitable[Any]]
"""Does a payload under an id; raises F5Error."""


@dataclass(frozen=True, slots=True)
class _Left:
    """What a look has found: jobs to do, and whether anything waits at all."""

    names: list[str]
    is_quiet: bool


class Queue:
    """The line of one process, and its share of what others have left.

    Args:
        places: most jobs at work at a time.
        look_s: see LOOK_S.
        most: jobs that may wait here.
    """

    def __init__(
        self,
        tools: Tools,
        work: Work,
        places: int,
        look_s: float = LOOK_S,
        *,
        most: int = MAX_WAITING,
    ) -> None:
        self._tools = tools
        self._board: Board = tools.board
        self._waiting = Waiting(tools.board.store)
        self._work = work
        self._places = places
        self._look_s = look_s
        self._most = most
        self._line: dict[str, None] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._line)

    def begin(self) -> None:
        """Look for jobs that others have left, from now on."""
        if self._looking is None:
            self._tools.measures.registry.gauge(
                "f5_jobs_queued",
                "Jobs for later in the line of this process, not yet begun.",
                source=lambda: len(self),
            )
            self._looking = asyncio.get_running_loop().create_task(self._look_on(), name="queue")
            self._looking.add_done_callback(_tell_fault)

    async def put_off(self, job_id: str, ask: Ask) -> Standing:
        """Have the job done later; when this returns it cannot be lost any more.

        Raises:
            InvalidRequest: JOB_ID_CONFLICT.
            F5Error: BUSY for one too many, SHUT_DOWN.
            StorageFailed: it was not kept.
        """
        if self._closing:
            raise shut_down()
        if len(self._line) >= self._most:
            raise _full(len(self._line))
        queue = self._board.queue
        standing = await self._tools.pools.jobs.run(queue, job_id, ask.sha256, ask.about)
        name = folder_of(job_id)
        if standing.status not in (Status.QUEUED, Status.LOST) or self._has(name):
            return standing
        payload = {**ask.sent, "mode": "sync", "return_audio": "url", "queued_as": job_id}
        await self._tools.blocking(self._waiting.keep, Entry(job_id, ask.sha256, payload))
        self._add([name])
        return standing

    async def drop(self, job_id: str) -> None:
        """The job was cancelled: it waits no more, here or anywhere."""
        self._line.pop(folder_of(job_id), None)
        await self._tools.blocking(self._waiting.remove, job_id)

    def stop(self) -> None:
        """Begin no more jobs; what waits stays in the store."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()

    async def close(self, within_s: float = 1.0) -> None:
        """Let go of everything; the jobs at work have ended, or are to be done by others."""
        self.stop()
        tasks = {*self._at_work.values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
        if self._looking is not None:
            tasks.add(self._looking)
        if tasks:
            await asyncio.wait(tasks)

    def _has(self, name: str) -> bool:
        return name in self._line or name in self._at_work

    def _add(self, names: list[str]) -> None:
        for name in names:
            if not self._has(name):
                self._line[name] = None
        self._fill()

    def _fill(self) -> None:
        places = self._places if self._tools.device.is_shared else min(IN_TURNS, self._places)
        while self._line and len(self._at_work) < places and not self._closing:
            name = next(iter(self._line))
            del self._line[name]
            task = asyncio.get_running_loop().create_task(self._take(name), name=f"queued {name}")
            self._at_work[name] = task
            task.add_done_callback(functools.partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._at_work[name]
        _tell_fault(task)
        self._fill()

    async def _take(self, name: str) -> None:
        """Do the job if it is still to be done, and nobody else is at it."""
        try:
            entry = await self._tools.blocking(self._free, name)
            if entry is None:
                return
            try:
                await self._work(entry.payload, entry.job_id)
                is_over = True
            except F5Error as error:  # it is in the job's record
                _log.info("queued job %s: %s", name, error.code)
                if error.code == SHUT_DOWN_CODE:
                    return
                is_over = await self._tools.blocking(self._is_over, entry, error)
            if is_over:
                await self._tools.blocking(self._waiting.remove, name)
        except StorageFailed as error:
            _log.warning("job %s stays in the queue: %s", name, error.message)

    def _free(self, name: str) -> Entry | None:
        """The entry of a job that nobody is at; those of jobs that are over go."""
        entry = self._waiting.read(name)
        if entry is None:
            return None
        status = self._board.look(entry.job_id).status
        if status in ENDED:
            self._waiting.remove(name)
        return None if status in (*ENDED, Status.RUNNING) else entry

    def _is_over(self, entry: Entry, error: F5Error) -> bool:
        """Whether the job has ended with this error; one that was never begun ends with it now."""
        status = self._board.look(entry.job_id).status
        if status is not Status.QUEUED or error.retryable or isinstance(error, StorageFailed):
            return status in ENDED
        lease = self._board.claim(entry.job_id, entry.request_sha256)
        if not isinstance(lease, Lease):
            return False
        told = {"message": error.message, "code": error.code, "hint": error.hint}
        self._board.fail(lease, {**told, "retryable": False})
        return True

    async def _look_on(self) -> None:
        pause_s = self._look_s
        while True:
            try:
                known = frozenset((*self._line, *self._at_work))
                left = await self._tools.pools.queue.finish(self._look, known)
                self._add(left.names)
                is_quiet = left.is_quiet and not known
            except StorageFailed as error:
                _log.warning("the queue cannot be looked through: %s", error.message)
                is_quiet = True
            pause_s = min(2 * pause_s, QUIET * self._look_s) if is_quiet else self._look_s
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))

    def _look(self, known: frozenset[str]) -> _Left:
        """Jobs whose process is gone or slow: what waits longer than a lease, or was let go of."""
        listed = self._waiting.list()
        others = [entry for entry in listed if entry.name not in known]
        if not others:
            return _Left([], not listed)
        before = self._board.store.now() - self._board.lease_s
        old = [entry for entry in others if entry.since <= before]
        young = [entry for entry in others if entry.since > before]
        lost = [entry for entry in young[:MAX_YOUNG] if self._is_left(entry)]
        return _Left([entry.name for entry in self._shuffled(old + lost)], False)

    def _is_left(self, entry: Listed) -> bool:
        return self._board.look(entry.name).status in (Status.LOST, *ENDED)

    def _shuffled(self, found: list[Listed]) -> list[Listed]:
        """Oldest first, by the length of a lease; among equals in any order, so that servers that
        look at the same time begin with different jobs."""
        return sorted(
            found,
            key=lambda entry: (entry.since // self._board.lease_s, random.random()),
        )


def _tell_fault(task: asyncio.Task[None]) -> None:
    """A fault in f5serve ends a task of the queue; the log says which."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        _log.error("%s: %s", task.get_name(), type(fault).__name__, exc_info=fault)


def _full(waiting: int) -> F5Error:
    return F5Error(
        f"{waiting:,} jobs are waiting here, as many as one server takes.",
        code="BUSY",
        hint="Try again later, or add servers over the same store: they share the queue.",
        retryable=True,
    )
