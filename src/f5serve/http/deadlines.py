"""The deadline of a request whose work is done in a thread, and its end when the client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from starlette.types import Receive

from f5serve.http import errors
from f5serve.http.streaming import cancel_on_disconnect

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
            raise errors.deadline_passed(self._timeout_s)

    async def answer(self, receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of the work; None after a disconnect.

        Raises:
            F5Error: DEADLINE_PASSED, or what the work raises.
        """
        try:
            async with asyncio.timeout_at(self._deadline):  # the clock of asyncio is monotonic's
                return await cancel_on_disconnect(receive, work)
        except TimeoutError:
            raise errors.deadline_passed(self._timeout_s) from None
        finally:
            self._is_over = True
