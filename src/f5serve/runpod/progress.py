"""Posts the progress of a job to RunPod: in order, at most one a second, none after the answer.

The SDK's own progress_update starts a thread for each report, and what it sends may arrive after
the result.
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


class ProgressReports:
    """The reports of one job; used in the event loop.

    Args:
        send: posts one report; what it raises is logged.
        first_s: seconds before the first post; later ones are as far apart, growing to 5 s.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], Awaitable[None]], first_s: float = FIRST_S
    ) -> None:
        self._send = send
        self._pause_s = first_s
        self._news = asyncio.Event()
        self._latest: dict[str, Any] = {}
        self._sending = False
        self._closed = False
        self._task = asyncio.create_task(self._run())

    def report(self, body: dict[str, Any]) -> None:
        """Send this next; replaces a report that was not sent yet."""
        self._latest = body
        self._news.set()

    async def close(self) -> None:
        """Send nothing more; a post that is on its way arrives or is given up within 2 s."""
        self._closed = True
        if self._sending:
            await asyncio.wait({self._task}, timeout=LAST_S)
        self._task.cancel()
        await asyncio.wait({self._task})

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
