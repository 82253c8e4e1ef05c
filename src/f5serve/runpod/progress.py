"""How far a job is, told to RunPod in order and never after its answer.

Reports flow in from any thread, at most one post a second flows out. The SDK's own progress_update
starts a thread for each report, and what it sends may arrive after the result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

_log = logging.getLogger(__name__)

FIRST_S = 1.0
"""Jobs that end sooner post nothing but their answer."""

LONGEST_S = 5.0
LAST_S = 2.0


class Progress:
    """The reports of one job.

    Args:
        send: posts one report; what it raises is logged.
        first_s: seconds before the first post; later ones are as far apart, growing to 5 s.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], Awaitable[None]], first_s: float = FIRST_S
    ) -> None:
        self._send = send
        self._pause_s = first_s
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._latest: dict[str, Any] = {}
        self._sending = False
        self._closed = False
        self._task = asyncio.create_task(self._run())

    def report(self, body: dict[str, Any]) -> None:
        """Note how far the job is; replaces a report that was not sent yet. Any thread may call."""
        self._loop.call_soon_threadsafe(self._note, dict(body))

    async def close(self) -> None:
        """Send nothing more; a post that is on its way arrives or is given up within 2 s."""
        self._closed = True
        if self._sending:
            await asyncio.wait({self._task}, timeout=LAST_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    def _note(self, body: dict[str, Any]) -> None:
        self._latest = body
        self._news.set()

    async def _run(self) -> None:
        while not self._closed:
            await asyncio.sleep(self._pause_s)
            await self._news.wait()
            self._news.clear()
            self._sending = True
            try:
                await self._send(self._latest)
            except Exception:  # noqa: BLE001 - one post that fails must not end the others
                _log.exception("a report of progress could not be sent")
            self._sending = False
            self._pause_s = min(self._pause_s * 1.5, LONGEST_S)
