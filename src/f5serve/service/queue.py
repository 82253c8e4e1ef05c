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
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.jobs.board import Board, Lease
from f5serve.jobs.reading import DAMAGED, TOO_NEW, RecordUnreadable
from f5serve.jobs.records import CANCELLED_CODE, ENDED, Standing, Status, folder_of
from f5serve.jobs.waiting import Entry, Listed, Waiting
from f5serve.service.endings import INTERNAL
from f5serve.service.flights import SHUT_DOWN_CODE, shut_down
from f5serve.service.parse import Ask
from f5serve.service.tools import Tools

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

MAX_PASSED = 10_000
"""Entries of later versions that a process remembers, so as not to read them again and again."""

Work = Callable[[Entry], Awaitable[Any]]
"""Does a job that waited, under its id; raises F5Error."""


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
        self._waiting = Waiting(tools.board.store, tools.board.reader.damage)
        self._work = work
        self._places = places
        self._look_s = look_s
        self._most = most
        self._line: dict[str, None] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = time.monotonic()
        self._passed: set[str] = set()
        self._faults: Counter[str] = Counter()
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
            self._tools.measures.registry.gauge(
                "f5_queue_last_look_seconds",
                "Seconds since the queue was last looked through for jobs that others have left.",
                source=lambda: time.monotonic() - self._looked_at,
            )
            self._looking = self._tools.background.begin("queue", self._look_on)

    async def put_off(self, job_id: str, ask: Ask, owner: str = "") -> Standing:
        """Have the job done later; when this returns it cannot be lost any more.

        Args:
            owner: whose key asks for it.

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
        standing = await self._tools.pools.jobs.run(queue, job_id, ask.sha256, ask.about, owner)
        name = folder_of(job_id)
        if standing.status not in (Status.QUEUED, Status.LOST) or self._has(name):
            return standing
        payload = {**ask.sent, "mode": "sync", "return_audio": "url"}
        await self._tools.blocking(self._waiting.keep, Entry(job_id, ask.sha256, payload, owner))
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
            task = self._tools.background.spawn(f"queued {name}", self._take(name))
            self._at_work[name] = task
            task.add_done_callback(functools.partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._at_work[name]
        self._fill()

    async def _take(self, name: str) -> None:
        """Do the job if it is still to be done, and nobody else is at it."""
        try:
            entry = await self._tools.blocking(self._free, name)
            if entry is not None and await self._do(name, entry):
                await self._tools.blocking(self._waiting.remove, name)
            self._faults.pop(name, None)
        except StorageFailed as error:
            _log.warning("job %s stays in the queue: %s", name, error.message)
        except Exception:
            await self._note_fault(name)
            raise  # to the supervisor, who logs it

    async def _do(self, name: str, entry: Entry) -> bool:
        """Whether the job is over now."""
        try:
            await self._work(entry)
            return True
        except F5Error as error:  # it is in the job's record
            _log.info("queued job %s: %s", name, error.code)
            if error.code == SHUT_DOWN_CODE:
                return False
            return await self._tools.blocking(self._is_over, entry, error)

    async def _note_fault(self, name: str) -> None:
        """After some unexpected faults the job has failed: what breaks us once may do so again."""
        self._faults[name] += 1
        if self._faults[name] >= QUEUE_ATTEMPTS:
            del self._faults[name]
            await self._tools.blocking(self._board.give_up, name, INTERNAL)
            await self._tools.blocking(self._waiting.remove, name)

    def _free(self, name: str) -> Entry | None:
        """The entry of a job that nobody is at; those of jobs that are over go."""
        try:
            entry = self._waiting.read(name)
        except RecordUnreadable as error:
            self._refuse(name, error)
            return None
        if entry is None:
            return None
        standing = self._board.look(entry.job_id)
        if standing.damage:  # the entry says all that is needed, and damaged records are replaced
            return entry if standing.damage == DAMAGED else None
        if standing.status in ENDED:
            self._waiting.remove(name)
        return None if standing.status in (*ENDED, Status.RUNNING) else entry

    def _refuse(self, name: str, error: RecordUnreadable) -> None:
        """A damaged entry is its job's failure; one of a later version is for others."""
        if error.code == TOO_NEW:
            if len(self._passed) < MAX_PASSED:
                self._passed.add(name)
            return
        self._board.give_up(name, error.told())  # a folder's name stands for its id
        self._waiting.remove(name)

    def _is_over(self, entry: Entry, error: F5Error) -> bool:
        """Whether the job has ended with this error; one that was never begun ends with it now."""
        standing = self._board.look(entry.job_id)
        if standing.damage:
            return False
        status = standing.status
        if status is not Status.QUEUED or error.retryable or isinstance(error, StorageFailed):
            return status in ENDED
        told = {"message": error.message, "code": error.code, "hint": error.hint}
        if standing.record["request_sha256"] != entry.request_sha256:  # they do not belong together
            self._board.give_up(entry.job_id, told)
            return True
        try:
            lease = self._board.claim(entry.job_id, entry.request_sha256)
        except InvalidRequest as refused:
            if refused.code == CANCELLED_CODE:  # by somebody who died before he could say so
                self._board.cancel(entry.job_id, "queue")
            return self._board.look(entry.job_id).status in ENDED
        if not isinstance(lease, Lease):
            return False
        self._board.fail(lease, {**told, "retryable": False})
        return True

    async def _look_on(self) -> None:
        pause_s = self._look_s
        while True:
            try:
                known = frozenset((*self._line, *self._at_work))
                left = await self._tools.pools.queue.finish(self._look, known)
                self._looked_at = time.monotonic()
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
        known |= self._passed
        others = [entry for entry in listed if entry.name not in known]
        if not others:
            return _Left([], not listed)
        before = self._board.store.now() - self._board.lease_s
        old = [entry for entry in others if entry.since <= before]
        young = [entry for entry in others if entry.since > before]
        lost = [entry for entry in young[:MAX_YOUNG] if self._is_left(entry)]
        return _Left([entry.name for entry in self._shuffled(old + lost)], False)

    def _is_left(self, entry: Listed) -> bool:
        try:
            return self._board.look(entry.name).status in (Status.LOST, *ENDED)
        except StorageFailed as error:  # of this one; the next look comes by again
            _log.warning("queued job %s cannot be looked at: %s", entry.name, error.message)
            return False

    def _shuffled(self, found: list[Listed]) -> list[Listed]:
        """Oldest first, by the length of a lease; among equals in any order, so that servers that
        look at the same time begin with different jobs."""
        return sorted(
            found,
            key=lambda entry: (entry.since // self._board.lease_s, random.random()),
        )


def _full(waiting: int) -> F5Error:
    return F5Error(
        f"{waiting:,} jobs are waiting here, as many as one server takes.",
        code="BUSY",
        hint="Try again later, or add servers over the same store: they share the queue.",
        retryable=True,
    )
