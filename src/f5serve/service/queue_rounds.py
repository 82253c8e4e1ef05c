"""What the queues of all tenants share: slots for running jobs, and scans one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import random
import time
from typing import Protocol

from f5serve.service.dependencies import SCAN_S
from f5serve.service.executor import InferenceExecutor

IDLE_BACKOFF = 4
"""Factor by which the pause grows at most while nothing is pending: listings cost money."""

SCANS_PER_PAUSE = 30
"""Most scans in the pause between two scans of one queue: with more tenants each is scanned less
often, so that their number does not decide what listings cost."""

SERIAL_CONCURRENCY = 2
"""Concurrent jobs on an engine without batching: one runs, one is prepared; other requests
come in between."""


class Queue(Protocol):
    """The queue of one tenant."""

    def start_next(self) -> bool:
        """Begin the job that waits longest; False where there is none to begin."""
        ...

    async def scan(self) -> bool:
        """Look for jobs whose process is gone; whether nothing is pending at all."""
        ...

    def __len__(self) -> int:
        """Jobs that wait."""
        ...


class JobSlots:
    """Slots for queued jobs that run at a time; queues that wait for one take turns.

    Args:
        max_concurrent: how many there are, where the engine batches.
    """

    def __init__(self, executor: InferenceExecutor, max_concurrent: int) -> None:
        self._executor = executor
        self._max_concurrent = max_concurrent
        self._running = 0
        self._waiting: dict[Queue, None] = {}

    def request(self, queue: Queue) -> None:
        """Have the queue begin its jobs as slots are free."""
        self._waiting[queue] = None
        self._dispatch()

    def release(self) -> None:
        """A job has ended."""
        self._running -= 1
        self._dispatch()

    def _dispatch(self) -> None:
        is_shared = self._executor.is_shared
        most = self._max_concurrent if is_shared else min(SERIAL_CONCURRENCY, self._max_concurrent)
        while self._waiting and self._running < most:
            queue = next(iter(self._waiting))
            del self._waiting[queue]
            if queue.start_next():
                self._running += 1
                if len(queue):
                    self._waiting[queue] = None  # behind those of others


class QueueScans:
    """Scans queues for jobs that other servers have left, each again and again.

    Args:
        poll_s: see SCAN_S.
    """

    def __init__(self, poll_s: float = SCAN_S) -> None:
        self._poll_s = poll_s
        self._queues: list[Queue] = []
        self._due: list[tuple[float, int, Queue, float]] = []
        self._numbers = itertools.count()
        self._has_new = asyncio.Event()
        self.scanned_at = time.monotonic()

    def __len__(self) -> int:
        """Jobs that wait in all queues."""
        return sum(map(len, self._queues))

    def add(self, queue: Queue) -> None:
        """Scan this queue as well, for the first time at once."""
        self._queues.append(queue)
        self._push(0.0, queue, self._poll_s)
        self._has_new.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._has_new.clear()
            wait_s = self._due[0][0] - time.monotonic() if self._due else None
            if wait_s is None or wait_s > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._has_new.wait(), wait_s)
                continue
            await self._scan_next()
            await asyncio.sleep(self._poll_s / SCANS_PER_PAUSE)

    async def _scan_next(self) -> None:
        _, _, queue, pause_s = heapq.heappop(self._due)
        is_quiet = False
        try:
            is_quiet = await queue.scan()
            self.scanned_at = time.monotonic()
        finally:
            longest_s = IDLE_BACKOFF * self._poll_s
            pause_s = min(2 * pause_s, longest_s) if is_quiet else self._poll_s
            self._push(time.monotonic() + pause_s * random.uniform(0.8, 1.2), queue, pause_s)

    def _push(self, at: float, queue: Queue, pause_s: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), queue, pause_s))
