"""One look at a time at something that may never answer, and what the last look has found.

A function that may block flows in, its newest answer and how old that is flow out, within a few
seconds whatever happens. However many ask, no more than one thread can hang. What is looked at is
not known here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What the last look that ended has found.

    Attributes:
        value: None before the first one.
        age_s: seconds since it ended; None before the first one.
        is_late: whether a newer look has been at it for longer than callers wait.
    """

    value: T | None
    age_s: float | None
    is_late: bool


class Probe(Generic[T]):
    """Looks when it is asked and the last answer is old; any thread may ask.

    Args:
        name: of its thread.
        look: may block as long as it likes.
        remembered_s: how long an answer counts.
        patience_s: longest wait of a caller, counted from when the look began.
    """

    def __init__(
        self, name: str, look: Callable[[], T], remembered_s: float, patience_s: float
    ) -> None:
        self._name = name
        self._look = look
        self._remembered_s = remembered_s
        self._patience_s = patience_s
        self._lock = threading.Lock()  # never held while something is looked at
        self._running: Future[None] | None = None
        self._began = 0.0
        self._value: T | None = None
        self._ended: float | None = None

    async def ask(self) -> Seen[T]:
        """The newest answer; waits for the look under way, within its patience."""
        running = self._begin()
        if running is not None and (left_s := self._left_s()) > 0:
            await asyncio.wait({asyncio.wrap_future(running)}, timeout=left_s)
        return self._seen()

    def ask_blocking(self) -> Seen[T]:
        """As `ask`, for threads."""
        running = self._begin()
        if running is not None and (left_s := self._left_s()) > 0:
            concurrent.futures.wait({running}, timeout=left_s)
        return self._seen()

    def _left_s(self) -> float:
        return self._began + self._patience_s - time.monotonic()

    def _begin(self) -> Future[None] | None:
        """The look that is to be waited for, begun if need be; None while the last one counts."""
        with self._lock:
            now = time.monotonic()
            if self._running is None:
                if self._ended is not None and now - self._ended < self._remembered_s:
                    return None
                running: Future[None] = Future()
                # A thread of its own, which holds up neither other work nor the end of the process.
                thread = threading.Thread(
                    target=self._look_once, args=(running,), name=self._name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads for us; the next one tries
                    _log.warning("%s: there is no thread for a look", self._name)
                    return None
                self._began, self._running = now, running
            return self._running

    def _look_once(self, running: Future[None]) -> None:
        try:
            value: T | None = self._look()
        except Exception:  # noqa: BLE001 - whoever asks is told nothing, the log tells what failed
            _log.exception("%s: a look has failed", self._name)
            value = None
        with self._lock:
            self._value, self._ended, self._running = value, time.monotonic(), None
        if running.set_running_or_notify_cancel():
            running.set_result(None)

    def _seen(self) -> Seen[T]:
        with self._lock:
            now = time.monotonic()
            is_late = self._running is not None and now - self._began >= self._patience_s
            return Seen(self._value, None if self._ended is None else now - self._ended, is_late)
