"""A caller that goes away ends what is done for him.

The messages of a connection and work flow in; the work ends by itself, or is cancelled as soon as
nobody listens any more, or its time is over. What the work is, is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from starlette.types import Receive

from f5serve.errors import F5Error

T = TypeVar("T")


class Wanted:
    """Whether somebody still wants what a thread works at.

    Args:
        within_s: how long the caller waits.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._deadline = time.monotonic() + within_s
        self._is_over = False

    def check(self) -> None:
        """Raise once nobody does; in any thread.

        Raises:
            CancelledError: the caller is gone.
            F5Error: DEADLINE_PASSED.
        """
        if self._is_over:
            raise CancelledError
        if time.monotonic() > self._deadline:
            raise too_late(self._within_s)

    async def answer(self, receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work returns; None where the caller is gone.

        Raises:
            F5Error: DEADLINE_PASSED, or what the work raises.
        """
        try:
            async with asyncio.timeout_at(self._deadline):  # the clock of asyncio is monotonic's
                return await while_listening(receive, work)
        except TimeoutError:
            raise too_late(self._within_s) from None
        finally:
            self._is_over = True


def too_late(within_s: float) -> F5Error:
    """The error of a request that took too long."""
    return F5Error(
        f"The request was not done within {within_s:g} s.",
        code="DEADLINE_PASSED",
        hint="Send less at a time, or raise F5_REQUEST_TIMEOUT_S of the server.",
    )


async def while_listening(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work, to its end or until the caller is gone; what it raises comes out.

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
