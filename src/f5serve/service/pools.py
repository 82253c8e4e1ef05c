"""Threads for calls that block: each kind of work has its own, and a bounded line before them.

A call flows in, its result flows out. Work of one kind never waits for work of another: whoever
lists 10,000 voices on a store that hangs holds up other listings, not speech. A caller who finds
the line full, or waits too long in it, is told BUSY. What the calls do is not known here.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from f5serve.errors import F5Error

T = TypeVar("T")

WAIT_S = 10.0
"""Longest wait for a thread; whoever waits longer is better off asking again later."""


class BoundedExecutor:
    """A few threads and a bounded line before them; safe for any thread.

    A call that was begun ends, even where nobody waits for it any more, and keeps its thread until
    then.

    Args:
        what: what its calls do, for errors: "N {what} are under way".
        threads: calls that run side by side.
        waiting: calls that may wait for a thread.
        wait_s: longest wait.
    """

    def __init__(self, what: str, threads: int, waiting: int, wait_s: float = WAIT_S) -> None:
        self._what = what
        self._threads = threads
        self._most = threads + waiting
        self._wait_s = wait_s
        self._pool = ThreadPoolExecutor(threads, what.replace(" ", "-"))
        self._lock = threading.Lock()
        self._taken = 0

    def __len__(self) -> int:
        """Calls that run or wait."""
        return self._taken

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """What the call returns, or raises.

        Raises:
            F5Error: BUSY, where the line is full or no thread is free in time.
        """
        may_wait = self._taken >= self._threads
        future = self._begin(call, args, self._most)
        waiter = asyncio.wrap_future(future)
        if may_wait:
            try:
                await asyncio.wait({waiter}, timeout=self._wait_s)
            except asyncio.CancelledError:
                waiter.cancel()
                raise
            if not future.running() and future.cancel():
                raise self._busy()
        return await waiter

    async def finish(self, call: Callable[..., T], *args: Any) -> T:
        """As `run` for work that was begun, which is never refused however long the line is."""
        return await asyncio.wrap_future(self.submit(call, *args))

    def submit(self, call: Callable[..., T], *args: Any) -> Future[T]:
        """As `finish`, for threads."""
        return self._begin(call, args, None)

    def close(self) -> None:
        """Take no more calls; those that are under way end by themselves."""
        self._pool.shutdown(wait=False)

    def _begin(self, call: Callable[..., T], args: tuple[Any, ...], most: int | None) -> Future[T]:
        with self._lock:
            if most is not None and self._taken >= most:
                raise self._busy()
            self._taken += 1
        try:
            # Logs of the thread name the same request as those of its caller.
            future = self._pool.submit(contextvars.copy_context().run, call, *args)
        except RuntimeError:  # closed
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self._taken -= 1

    def _busy(self) -> F5Error:
        return F5Error(
            f"{self._taken:,} {self._what} are under way or wait for it here.",
            code="BUSY",
            hint="Send it again in a few seconds.",
            retryable=True,
        )


class Pools:
    """The executors of one process; docs/decisions/0032-pools-and-deadlines.md tells why.

    Attributes:
        jobs: claims, signs of life, results and records of jobs at work.
        voices: voices and earlier results that speech is asked in.
        utterances: finished utterances of long jobs, kept for the next attempt.
        queue: looks for jobs that others have left.
        lookups: one job or one voice.
        listings: all jobs, voices or models.
        downloads: files of jobs, part by part.
        recordings: recordings that are made voices of.
        alignments: recordings whose words are timed.
        encoders: speech that is streamed.
        metrics: what is counted, for whoever collects it.
        checks: what must be right at the start.
        upkeep: erasures, and the removal of what nobody refers to.
    """

    def __init__(self) -> None:
        self.jobs = BoundedExecutor("steps of jobs", 32, 4096)
        self.voices = BoundedExecutor("looks at voices", 32, 4096)
        self.utterances = BoundedExecutor("utterances to keep", 8, 4096)
        self.queue = BoundedExecutor("looks into the queue", 2, 64)
        self.lookups = BoundedExecutor("look-ups", 16, 256)
        self.listings = BoundedExecutor("listings", 8, 64)
        self.downloads = BoundedExecutor("downloads", 16, 256)
        self.recordings = BoundedExecutor("recordings", 4, 60)
        self.alignments = BoundedExecutor("alignments", 2, 30)
        self.encoders = BoundedExecutor("streams", 16, 4096)
        self.metrics = BoundedExecutor("looks at the metrics", 2, 16)
        self.checks = BoundedExecutor("checks", 2, 16)
        self.upkeep = BoundedExecutor("erasures", 2, 8)

    def close(self) -> None:
        """Take no more calls; those that are under way end by themselves."""
        for pool in vars(self).values():
            pool.close()
