"""Deadlines, and an executor that abandons calls beyond them.

A system call on a disk that hangs cannot be ended, so its thread stays until the disk answers. The
number of such threads is bounded.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

MAX_HUNG = 64
"""Abandoned calls at once; beyond it new calls are refused until one of them returns."""

IDLE_S = 60.0
"""Seconds after which an idle thread ends."""


class Deadline:
    """A point in time by which a call must end."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._extended_s: float | None = None

    def left_s(self) -> float:
        """Seconds until then; negative once it is past."""
        return self._end - time.monotonic()

    @property
    def extended_s(self) -> float:
        """Seconds by which `extend_once` moved it."""
        return self._extended_s or 0.0

    def extend_once(self, seconds: float) -> None:
        """Move it, once the number of bytes is known; later calls have no effect."""
        if self._extended_s is None:
            self._extended_s = seconds
            self._end += seconds

    def for_one_try(self, seconds: float) -> TryDeadline:
        """A deadline of one attempt: `seconds` from now and the extension, but not beyond this."""
        return TryDeadline(self, seconds)

    def renew(self, seconds: float) -> None:
        """Move it to `seconds` from now, because there is progress."""
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


class CallAbandoned(Exception):
    """A call did not return in time; `is_started` is False where it was never started."""

    def __init__(self, is_started: bool) -> None:
        super().__init__()
        self.is_started = is_started


class DeadlineExecutor:
    """Runs calls in other threads, each up to a deadline. Safe for threads and after a fork.

    Args:
        name: of the threads.
        max_hung: see MAX_HUNG.
    """

    def __init__(self, name: str, max_hung: int = MAX_HUNG) -> None:
        self._name = name
        self._max_hung = max_hung
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Task]] = []
        self._pid = os.getpid()
        self.hung = 0

    def run(self, call: Callable[[], T], deadline: Deadline | TryDeadline) -> T:
        """The result of `call`, or what it raises.

        Raises:
            CallAbandoned: the deadline is past, or too many abandoned calls still run.
        """
        task = _Task(call)
        self._submit(task)
        while not task.wait(deadline.left_s()):
            with self._lock:
                if task.is_done or deadline.left_s() > 0:  # it was moved meanwhile
                    continue
                task.is_abandoned = True
                self.hung += 1
            raise CallAbandoned(is_started=True)
        return task.result()  # type: ignore[no-any-return]

    def _submit(self, task: _Task) -> None:
        with self._lock:
            if self._pid != os.getpid():  # a forked child has none of its parent's threads
                self._idle, self._pid, self.hung = [], os.getpid(), 0
            if self.hung >= self._max_hung:
                raise CallAbandoned(is_started=False)
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            thread = threading.Thread(
                target=self._work, args=(inbox,), daemon=True, name=self._name
            )
            try:
                thread.start()
            except RuntimeError:  # the system allows no more threads
                raise CallAbandoned(is_started=False) from None
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
                if task.is_abandoned:
                    self.hung -= 1
                self._idle.append(inbox)
            task.notify()
            del task  # or the last result is kept until the next call


class _Task:
    """One call, its result, and a lock that is released when it has ended."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._value: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Lock()
        self._ended.acquire()
        self.is_done = self.is_abandoned = False

    def run(self) -> None:
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error

    def wait(self, seconds: float) -> bool:
        return self._ended.acquire(timeout=max(0.0, seconds))

    def notify(self) -> None:
        self._ended.release()

    def result(self) -> Any:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # or error and task hold one another
        return self._value
