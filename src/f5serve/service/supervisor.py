"""Background tasks: restarted after a fault, counted and shown in health.

The pause before a restart doubles with each fault in a row.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from f5serve.metrics import Registry

_log = logging.getLogger(__name__)

PAUSE_S = (1.0, 60.0)
"""From a fault to the next try, at first and at most; it doubles from one fault to the next."""

HEALTHY_S = 60.0
"""A task that ran for so long has recovered; its next fault counts as the first."""


@dataclass(slots=True)
class _Watched:
    """One task, and how it has been."""

    task: asyncio.Task[None] | None = None
    faults: int = 0
    is_running: bool = False
    last: str = ""


class Supervisor:
    """The background tasks of one process; used within one event loop.

    Args:
        registry: counts faults by task; None counts nowhere.
        pause_s: see PAUSE_S.
    """

    def __init__(
        self, registry: Registry | None = None, pause_s: tuple[float, float] = PAUSE_S
    ) -> None:
        self._pause_s = pause_s
        self._watched: dict[str, _Watched] = {}
        self._faults = None
        if registry is not None:
            self._faults = registry.counter(
                "f5_background_faults_total",
                "Faults of background tasks, which are begun again.",
                ["task"],
            )
            registry.gauge(
                "f5_background_tasks_down",
                "Background tasks that have failed and were not begun again yet.",
                source=lambda: len(self.down),
            )

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Have `work` done until it returns or is cancelled; after a fault it is done anew.

        The task that is returned never fails. A name is used once at a time.
        """
        watched = self._watched[name] = _Watched()
        watched.task = asyncio.get_running_loop().create_task(
            self._run(name, work, watched), name=name
        )
        return watched.task

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done once, in the background; a fault is logged and counted."""
        return asyncio.get_running_loop().create_task(self._once(name, work), name=name)

    @property
    def down(self) -> list[str]:
        """Names of tasks that have failed and wait for their next try."""
        return [
            name
            for name, one in list(self._watched.items())
            if one.task is not None and not one.task.done() and not one.is_running
        ]

    def health(self) -> dict[str, dict[str, Any]]:
        """By name: `running`, how many `faults` there were, and of which kind the last one was."""
        return {
            name: {"running": one.is_running, "faults": one.faults, "last_fault": one.last or None}
            for name, one in list(self._watched.items())
        }

    def stop(self) -> None:
        """Cancel them all; they end in the event loop's next turns."""
        for one in self._watched.values():
            if one.task is not None:
                one.task.cancel()

    async def close(self) -> None:
        """Cancel them all and wait for their end."""
        self.stop()
        tasks = {one.task for one in self._watched.values() if one.task is not None}
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, name: str, work: Callable[[], Awaitable[None]], one: _Watched) -> None:
        pause_s, longest_s = self._pause_s
        while True:
            one.is_running = True
            began = time.monotonic()
            try:
                await work()
                return
            except Exception as fault:  # noqa: BLE001 - whatever it is, the task goes on
                self._note(name, fault)
                one.faults += 1
                one.last = type(fault).__name__
            finally:
                one.is_running = False
            if time.monotonic() - began >= HEALTHY_S:
                pause_s = self._pause_s[0]
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, longest_s)

    async def _once(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as fault:  # noqa: BLE001 - no caller waits for it
            self._note(name, fault)

    def _note(self, name: str, fault: Exception) -> None:
        _log.error("the background task %s failed: %s", name, type(fault).__name__, exc_info=fault)
        if self._faults is not None:
            self._faults.labels(name).inc()
