"""Calls that may never return, made in threads that are left alone when they take too long.

A call and a `Deadline` flow in; its result flows out, or an error once the deadline is over. A
system call on a disk that hangs cannot be ended, so its thread stays until the disk answers; how
many such threads there may be is bounded. What the calls do is not known here.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from f5serve.errors import StorageFailed

T = TypeVar("T")

MOST_HUNG = 64
"""Calls that may hang at once; beyond it nothing more is tried until one of them returns."""


IDLE_S = 60.0
"""A thread that has nothing to do for so long ends."""


class Deadline:
    """A moment that ends waiting."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._extended_s: float | None = None

    def left_s(self) -> float:
        """Seconds until then; negative when it is past."""
        return self._end - time.monotonic()

    @property
    def extended_s(self) -> float:
        """By how much it was moved."""
        return self._extended_s or 0.0

    def extend_once(self, seconds: float) -> None:
        """Move it when it is found how much there is to do; later calls have no effect."""
        if self._extended_s is None:
            self._extended_s = seconds
            self._end += seconds

    def for_one_try(self, seconds: float) -> TryDeadline:
        """The end of one try within it: so many seconds from now, and what is extended."""
        return TryDeadline(self, seconds)

    def renew(self, seconds: float) -> None:
        """Move it to so many seconds from now, where there is progress."""
        self._end = time.monotonic() + seconds


class TryDeadline:
    """See `Deadline.for_one_try`."""

    def __init__(self, whole: Deadline, seconds: float) -> None:
        self._whole = whole
        self._end = time.monotonic() + seconds

    def left_s(self) -> float:
        """As `Deadline.left_s`."""
        more_s = self._whole.extended_s
        return min(self._whole.left_s(), self._end + more_s - time.monotonic())


class GivenUp(Exception):
    """A call has not returned; `is_begun` tells whether it is still at it."""

    def __init__(self, is_begun: bool) -> None:
        super().__init__()
        self.is_begun = is_begun


class HelperThreads:
    """Threads that are kept for the next call; safe for threads, and after a fork.

    Args:
        name: of the threads.
        most_hung: see MOST_HUNG.
    """

    def __init__(self, name: str, most_hung: int = MOST_HUNG) -> None:
        self._name = name
        self._most_hung = most_hung
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Task]] = []
        self._pid = os.getpid()
        self.hung = 0

    def run(self, call: Callable[[], T], deadline: Deadline | TryDeadline) -> T:
        """The result of `call`, or what it raises.

        Raises:
            GivenUp: the deadline is over, or too many calls hang already.
        """
        task = _Task(call)
        self._give(task)
        while not task.wait(deadline.left_s()):
            with self._lock:
                if task.is_done or deadline.left_s() > 0:  # it was moved meanwhile
                    continue
                task.is_given_up = True
                self.hung += 1
            raise GivenUp(is_begun=True)
        return task.result()  # type: ignore[no-any-return]

    def _give(self, task: _Task) -> None:
        with self._lock:
            if self._pid != os.getpid():  # a forked child has none of the threads
                self._idle, self._pid, self.hung = [], os.getpid(), 0
            if self.hung >= self._most_hung:
                raise GivenUp(is_begun=False)
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            thread = threading.Thread(
                target=self._work, args=(inbox,), daemon=True, name=self._name
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads for us
                raise GivenUp(is_begun=False) from None
        inbox.put(task)

    def _work(self, inbox: SimpleQueue[_Task]) -> None:
        while True:
            try:
                task = inbox.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue  # a call is on its way
            task.run()
            with self._lock:
                task.is_done = True
                if task.is_given_up:
                    self.hung -= 1
                self._idle.append(inbox)
            task.tell()
            del task  # or the last result is kept until the next call


class _Task:
    """One call, and who waits for it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._value: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Lock()
        self._ended.acquire()
        self.is_done = self.is_given_up = False

    def run(self) -> None:
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error

    def wait(self, seconds: float) -> bool:
        return self._ended.acquire(timeout=max(0.0, seconds))

    def tell(self) -> None:
        self._ended.release()

    def result(self) -> Any:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # or error and task hold one another
        return self._value


def not_answering(what: str) -> StorageFailed:
    """The error for a store that has not answered in time; `what` is a key, or ""."""
    about = f" about {what!r}" if what else ""
    return StorageFailed(
        f"The store does not answer{about}.",
        code="STORE_NOT_ANSWERING",
        hint="Try again later; look at the disk or network of F5_STORE when it stays.",
        retryable=True,
    )
