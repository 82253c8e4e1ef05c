"""Job loop of a RunPod worker, in place of the SDK's JobScaler.

Jobs come from the SDK's own long polls; each runs through the SDK's own `handle_job`, which calls
the handler and posts its answer. What differs from the SDK's loop (docs/decisions/0011):

- a job that is handed out after the stop signal is run, and an idle worker exits within seconds;
- running jobs get a bounded time to end, then they are released for another worker to take;
- an API that fails or answers at once is asked at a bounded pace and logged with restraint;
- a job starts when it arrives, not at the next tenth or full second;
- of one id that was delivered twice both runs are known, so that a stop reaches both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

from f5serve.logging import JOB_ID
from f5serve.runpod.handler import Handler
from f5serve.runpod.sdk import Sdk
from f5serve.startup.process import exit_after

_log = logging.getLogger(__name__)

HANDOVER_S = 2.0
"""How long the poll that is open at the stop signal may still bring a job."""

POLL_S = 100.0
"""Longest poll; RunPod ends its own within 90 s, so this ends only dead connections."""

FORCE_S = 2.0

TOO_MANY_S = 5.0
"""Pause after status 429."""

SHORTEST_TURN_S = 0.5
LONGEST_PAUSE_S = 15.0
ANSWER_S = 2.0
"""Of the time for a stop, what is kept for the last answers on their way."""


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How many jobs are held at a time, and the seconds that a stop may take."""

    concurrency: int
    shutdown_s: float


class JobLoop:
    """One worker's loop, from `start` until a stop signal has been obeyed.

    Args:
        config: the SDK's, with the handler; handed on to its `handle_job`.
    """

    def __init__(
        self, sdk: Sdk, config: dict[str, Any], options: LoopOptions, handler: Handler
    ) -> None:
        self._sdk = sdk
        self._config = config
        self._options = options
        self._handler = handler
        self._running: dict[asyncio.Task[None], str] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._deadline = 0.0
        self._force: threading.Timer | None = None

    def start(self) -> None:
        """Run until SIGTERM or SIGINT; returns when every job has ended or was released."""
        asyncio.run(self.run())

    async def run(self) -> None:
        """The loop itself; `stop` ends it."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        async with self._sdk.make_session() as session:
            self._handler.started(session)
            watch = asyncio.create_task(self._watch_stops(session))
            try:
                await self._take_jobs(session)
                await self._drain()
            finally:
                watch.cancel()
                await asyncio.wait({watch})
        if self._force is not None:
            self._force.cancel()
        _log.info("stopped")
        # A thread that is deep in a step of released work must not hold up the end.
        self._force = exit_after(FORCE_S, 0)

    def stop(self) -> None:
        """Take no more jobs and end; safe to call again."""
        if self._stopping.is_set():
            return
        _log.info("stop signal, %d jobs running", len(self._running))
        self._deadline = time.monotonic() + self._options.shutdown_s
        self._force = exit_after(
            self._options.shutdown_s + FORCE_S,
            1,
            "jobs did not end in time; the process ends without them",
        )
        self._stopping.set()

    async def _take_jobs(self, session: Any) -> None:
        backoff = PollBackoff("the job queue", self._sdk.too_many)
        while not self._stopping.is_set():
            free = self._options.concurrency - len(self._running)
            if free <= 0:
                await self._wait_for_slot()
                continue
            backoff.start()
            try:
                jobs = await self._poll(self._sdk.get_job(session, free))
                pause_s = backoff.success(bool(jobs))
                for job in jobs or ():
                    self._begin(session, job)
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever the API does
                pause_s = backoff.failure(error)
            await self._pause(pause_s)

    async def _poll(self, asking: Awaitable[Any]) -> Any:
        """The answer of a long poll, or None when the stop signal comes and nothing follows."""
        poll = asyncio.ensure_future(asyncio.wait_for(asking, POLL_S))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({poll, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():  # stopping; the queue may have handed out a job at this moment
                await asyncio.wait({poll}, timeout=min(HANDOVER_S, self._options.shutdown_s / 4))
        finally:
            stop.cancel()
            poll.cancel()
        await asyncio.wait({poll})
        return None if poll.cancelled() else poll.result()

    def _begin(self, session: Any, job: Any) -> None:
        job_id = job.get("id") if isinstance(job, dict) else None
        if not isinstance(job_id, str) or not job_id:
            _log.error("the job queue handed out something without an id; it is left alone")
            return
        task = asyncio.create_task(self._run_job(session, job))
        self._running[task] = job_id
        self._sdk.jobs.add(job_id)
        task.add_done_callback(self._ended)

    async def _run_job(self, session: Any, job: dict[str, Any]) -> None:
        JOB_ID.set(job["id"])
        try:
            await self._sdk.handle_job(session, self._config, job)
        except asyncio.CancelledError:
            _log.info("job stopped, nothing is answered")
            raise
        except Exception:  # noqa: BLE001 - one job's fault must not end the others
            _log.exception("the answer could not be handed to RunPod")

    def _ended(self, task: asyncio.Task[None]) -> None:
        job_id = self._running.pop(task)
        self._cancelled.discard(task)
        if job_id not in self._running.values():
            self._sdk.jobs.remove(job_id)

    async def _watch_stops(self, session: Any) -> None:
        """Cancel what RunPod says is cancelled or out of time; lasts until the loop's end."""
        backoff = PollBackoff("the stop channel", self._sdk.too_many)
        while True:
            backoff.start()
            try:
                job_ids = await asyncio.wait_for(self._sdk.get_stop_signals(session), POLL_S)
                self._cancel(set(job_ids))
                pause_s = backoff.success(bool(job_ids))
            except Exception as error:  # noqa: BLE001 - as in _take_jobs
                pause_s = backoff.failure(error)
            await asyncio.sleep(pause_s)

    def _cancel(self, job_ids: set[str]) -> None:
        for task, job_id in list(self._running.items()):
            if job_id in job_ids and task not in self._cancelled:
                _log.info("job is to stop", extra={"job_id": job_id})
                self._cancelled.add(task)
                task.cancel()

    async def _drain(self) -> None:
        """Let running jobs end; what is left near the deadline is released."""
        kept_s = min(ANSWER_S, self._options.shutdown_s / 4)
        await _within(self._handler.drain(self._left_s(kept_s)), self._left_s(kept_s / 2))
        if self._running:
            await asyncio.wait(self._running, timeout=self._left_s(kept_s / 4))
        for task, job_id in list(self._running.items()):
            _log.warning("out of time, the job is released", extra={"job_id": job_id})
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._left_s(0))

    def _left_s(self, kept_s: float) -> float:
        return max(self._deadline - kept_s - time.monotonic(), 0.0)

    async def _wait_for_slot(self) -> None:
        stop = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stop, *self._running}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        await asyncio.sleep(0)  # lets _ended run

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await _within(self._stopping.wait(), seconds)


async def _within(work: Coroutine[Any, Any, Any], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)


class PollBackoff:
    """When to poll an API again, and which of its failures to log: 1, 2, 4, 8 ...

    An API that is down, or answers at once, costs neither a core nor a log.

    Args:
        api: its name in the log.
        too_many: exception for status 429.
    """

    def __init__(self, api: str, too_many: type[Exception]) -> None:
        self._api = api
        self._too_many = too_many
        self._failures = 0
        self._began = 0.0

    def start(self) -> None:
        """A poll begins."""
        self._began = time.monotonic()

    def success(self, brought_any: bool) -> float:
        """Seconds to wait after an answer: none if the poll was held or brought something."""
        if self._failures:
            _log.info("%s answers again after %d failures", self._api, self._failures)
            self._failures = 0
        if brought_any:
            return 0.0
        return max(SHORTEST_TURN_S - (time.monotonic() - self._began), 0.0)

    def failure(self, error: Exception) -> float:
        """Seconds to wait after `error`; doubles from half a second to 15 s."""
        if isinstance(error, TimeoutError):
            return self.success(False)
        if isinstance(error, self._too_many):
            return TOO_MANY_S
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            status = getattr(error, "status", "")
            _log.warning(
                "%s failed %d times: %s %s",
                self._api,
                self._failures,
                type(error).__name__,
                status,
            )
        return min(SHORTEST_TURN_S * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)
