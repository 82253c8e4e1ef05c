"""Threads that make room: they wait while somebody wants the result, and let others go first.

Futures and locks flow in, with a call that raises once nobody wants what they give. What the work
is, and why it is not wanted any more, is not known here.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger(__name__)

CHECK_S = 0.1
"""How often it is looked whether the result is still wanted."""

Check = Callable[[], None]
"""Raises once nobody wants the result."""


def wanted() -> None:
    """The check of who wants the result whatever happens."""


def until_done(futures: Iterable[Future[Any]], check: Check | None = None) -> None:
    """Wait until all of them have ended, however they did."""
    waiting = set(futures)
    while waiting := wait(waiting, CHECK_S).not_done:
        if check is not None:
            check()


def log_faults(future: Future[Any] | asyncio.Future[Any], what: str) -> None:
    """Log a fault of work whose outcome nobody reads."""

    def tell(ended: Future[Any] | asyncio.Future[Any]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _log.error("%s failed: %s", what, type(error).__name__, exc_info=error)

    future.add_done_callback(tell)


@contextmanager
def held(lock: threading.Lock | threading.Semaphore, check: Check | None = None) -> Iterator[None]:
    """Hold the lock inside."""
    while not lock.acquire(timeout=CHECK_S):
        if check is not None:
            check()
    try:
        yield
    finally:
        lock.release()


def lower_priority(by: int) -> None:
    """Let other threads go before this one where cores are short; `by` is added to its niceness.

    Linux alone has a priority for each thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + by)
