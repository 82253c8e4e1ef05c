"""Cancels work when its client disconnects or its time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from starlette.types import Receive

from f5serve.errors import F5Error

T = TypeVar("T")


class RequestDeadline:
    """Deadline and disconnect of one request, for work in a thread.

    Args:
        timeout_s: how long the caller waits.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._is_over = False

    def check(self) -> None:
        """Raise once the result is not wanted any more; thread-safe.

        Raises:
            CancelledError: the client has disconnected.
            F5Error: DEADLINE_PASSED.
        """
        if self._is_over:
            raise CancelledError
        if time.monotonic() > self._deadline:
            raise deadline_passed(self._timeout_s)

    async def answer(self, receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of the work; None after a disconnect.

        Raises:
            F5Error: DEADLINE_PASSED, or what the work raises.
        """
        try:
            async with asyncio.timeout_at(self._deadline):  # the clock of asyncio is monotonic's
                return await cancel_on_disconnect(receive, work)
        except TimeoutError:
            raise deadline_passed(self._timeout_s) from None
        finally:
            self._is_over = True


def deadline_passed(timeout_s: float) -> F5Error:
    """The error of a request that took too long."""
    return F5Error(
        f"The request was not done within {timeout_s:g} s.",
        code="DEADLINE_PASSED",
        hint="Send less at a time, or raise F5_REQUEST_TIMEOUT_S of the server.",
    )


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work, or None after a disconnect; raises what the work raises.

    Args:
        receive: of a request whose body has been read.
    """
    doing = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        doing.cancel()  # harmless where it has ended
        await asyncio.wait({doing, gone})
    if not gone.cancelled():
        gone.exception()  # a connection that breaks has gone as well
    return None if doing.cancelled() else doing.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
