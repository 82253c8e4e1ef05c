"""Work that computes or blocks, off the event loop: so much at a time, and no endless line.

A call flows in, its result flows out; what it does is not known here. A call that was begun ends,
even where nobody waits for it any more, and keeps its place until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from f5serve.errors import F5Error

T = TypeVar("T")


class Turns:
    """A few threads and a short line before them.

    Args:
        at_once: calls that run side by side.
        waiting: calls that may wait; one more is refused.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, "recording")
        self._most = at_once + waiting
        self._taken: set[Future[Any]] = set()

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """What the call returns, or raises.

        Raises:
            F5Error: BUSY.
        """
        if len(self._taken) >= self._most:
            raise F5Error(
                f"{self._most} recordings are being worked on or wait for it.",
                code="BUSY",
                hint="Send it again in a few seconds.",
                retryable=True,
            )
        future = self._pool.submit(call, *args)
        self._taken.add(future)
        future.add_done_callback(self._taken.discard)
        return await asyncio.wrap_future(future)
