"""A store wrapper with deadlines, a limit of calls for each key, and spare file descriptors.

docs/decisions/0032-pools-and-deadlines.md gives the reasons.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from f5serve.errors import TOO_MANY_FILES, StorageFailed
from f5serve.store.base import ObjectStore, Progress, StoredObject
from f5serve.store.deadlines import CallAbandoned, Deadline, DeadlineExecutor

T = TypeVar("T")

CALL_S = 20.0
"""Seconds for a call to a disk, beyond the time that its bytes take."""

MIN_BYTES_PER_S = 1_000_000
"""Slowest disk that is waited for, bytes a second."""

UNKNOWN_BYTES = 100_000_000
"""Assumed size of a value when the caller gives no limit."""

TRANSFER_S = 120.0
"""Seconds without progress that a file transfer may take; its last step flushes all bytes."""

CALLS_PER_KEY = 8
"""Calls with one key at a time."""

SILENCE_S = 2.0
"""Seconds a call waits, without one of CALLS_PER_KEY others ending, before it is refused."""

_BATCH = 200
"""Entries of a listing that one call in another thread reads."""

_UNRELATED = (TOO_MANY_FILES, "KEY_MISSING", "KEY_CONFLICT", "LINK_LEADS_OUT", "NOT_READABLE")
"""Codes of failed writes that say nothing about the next one."""

SPARE_DESCRIPTORS = 16
"""For some concurrent writes, each of a file and its folder, or of a connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one store; see CALL_S, TRANSFER_S, CALLS_PER_KEY and SILENCE_S."""

    call_s: float = CALL_S
    transfer_s: float = TRANSFER_S
    calls_per_key: int = CALLS_PER_KEY
    silence_s: float = SILENCE_S


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of a write.

    Attributes:
        code: the error's; "" after success.
        size: bytes to be written; 0 if unknown.
        at: `time.monotonic()` of its end.
    """

    code: str
    size: int
    at: float


class SpareDescriptors:
    """File descriptors kept open, to be closed when the process may open no more; thread-safe.

    So records can still be written then.

    Args:
        count: how many, if the process may open so many.
    """

    def __init__(self, count: int = SPARE_DESCRIPTORS) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._borrowers = 0
        self._kept: list[int] = []
        weakref.finalize(self, _close_all, self._kept)
        self._open()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, that many files can be opened, by all concurrent borrowers together."""
        with self._lock:
            self._borrowers += 1
            _close_all(self._kept)
        try:
            yield
        finally:
            with self._lock:
                self._borrowers -= 1
                if not self._borrowers:
                    self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):  # others were faster; the next borrower tries again
            while len(self._kept) < self._count:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


class BoundedStore:
    """`inner` with deadlines and limits; safe for threads.

    Every call raises StorageFailed (STORE_NOT_ANSWERING) beyond its deadline or the limits.

    Args:
        inner: the store.
        inner_has_deadlines: whether the calls of `inner` end in time by themselves, as those of a
            bucket do; others run in threads that are abandoned when they hang.
        limits: see `Limits`.
        spares: lent to calls that failed because of too many open files.

    Attributes:
        last_write: outcome of the newest write; None before the first one.
    """

    def __init__(
        self,
        inner: ObjectStore,
        inner_has_deadlines: bool = True,
        limits: Limits | None = None,
        spares: SpareDescriptors | None = None,
    ) -> None:
        self.inner = inner
        self.last_write: WriteResult | None = None
        self._limits = limits or Limits()
        self._spares = spares
        self._keys = _KeyLimiter(self._limits)
        self._executor = None if inner_has_deadlines else DeadlineExecutor("f5-store")

    @property
    def hung(self) -> int:
        """Calls that were abandoned and have not returned."""
        if self._executor is not None:
            return self._executor.hung
        return int(getattr(self.inner, "hung", 0))

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        size = UNKNOWN_BYTES if max_bytes is None else max_bytes
        return self._run(key, lambda: self.inner.get(key, max_bytes), size)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        return self._run(key, lambda: self.inner.get_part(key, start, size), size)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; an abandoned one may still be done later."""
        with self._writing(len(data)):
            self._run(key, lambda: self.inner.put(key, data, content_type), len(data))

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """See `ObjectStore.put_file`."""
        size = _size_of(path)
        with self._writing(size or 0):
            self._transfer(
                key,
                size,
                on_progress,
                lambda report: self.inner.put_file(key, path, content_type, report),
            )

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`."""
        self._transfer(
            key,
            size,
            on_progress,
            lambda report: self.inner.download(key, to, size, sha256, report),
        )

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._run(key, lambda: self.inner.delete(key))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; each batch of entries has its own deadline."""
        found = iter(self.inner.list(prefix, recursive=recursive))
        size = 1 if self._executor is None else _BATCH
        deadline_s = self._limits.call_s
        while batch := self._bounded(
            prefix, lambda: list(itertools.islice(found, size)), Deadline(deadline_s)
        ):
            yield from batch

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`."""
        return self._run(prefix, lambda: self.inner.page(prefix, after, limit))

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        return self._run(key, lambda: self.inner.exists(key))

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """See `ObjectStore.abort_old_uploads`."""
        return self._run(prefix, lambda: self.inner.abort_old_uploads(prefix, older_than_s))

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """See `ObjectStore.url`."""
        return self._run(key, lambda: self.inner.url(key, expires_s, filename, content_type))

    def now(self) -> float:
        """See `ObjectStore.now`."""
        return self.inner.now()

    def describe(self) -> str:
        """One line for logs."""
        return self.inner.describe()

    def _run(self, key: str, call: Callable[[], T], size: int = 0) -> T:
        """The result of a call that moves about `size` bytes and may be repeated."""
        seconds = self._limits.call_s + size / MIN_BYTES_PER_S
        return self._with_spares(lambda: self._bounded(key, call, Deadline(seconds)))

    def _transfer(
        self,
        key: str,
        size: int | None,
        on_progress: Progress | None,
        call: Callable[[Progress], None],
    ) -> None:
        """Make a call that may go on for as long as bytes move.

        Its last step may take as long as all bytes, since that is when a disk really writes.
        """
        longest_s = self._limits.transfer_s
        if size is not None:
            longest_s = min(longest_s, self._limits.call_s + size / MIN_BYTES_PER_S)

        def once() -> None:
            deadline = Deadline(longest_s)

            def report(moved: int) -> None:
                deadline.renew(longest_s)
                if on_progress is not None:
                    on_progress(moved)

            self._bounded(key, lambda: call(report), deadline)

        self._with_spares(once)

    def _with_spares(self, once: Callable[[], T]) -> T:
        """The result of a call; repeated with spare descriptors after TOO_MANY_OPEN_FILES."""
        try:
            return once()
        except StorageFailed as error:
            if error.code != TOO_MANY_FILES or self._spares is None:
                raise
        with self._spares.lent():
            return once()

    def _bounded(self, key: str, call: Callable[[], T], deadline: Deadline) -> T:
        if not self._keys.acquire(key):
            raise _not_answering(key)
        if self._executor is None:
            try:
                return call()
            finally:
                self._keys.release(key)

        def work() -> T:
            try:
                return call()
            finally:
                self._keys.release(key)  # its caller may have abandoned it before

        try:
            return self._executor.run(work, deadline)
        except CallAbandoned as error:
            if not error.is_started:
                self._keys.release(key)
            raise _not_answering(key) from None

    @contextlib.contextmanager
    def _writing(self, size: int) -> Iterator[None]:
        try:
            yield
        except StorageFailed as error:
            if error.code not in _UNRELATED:
                self.last_write = WriteResult(error.code, size, time.monotonic())
            raise
        self.last_write = WriteResult("", size, time.monotonic())


def _size_of(path: Path) -> int | None:
    """Bytes of a file of this machine; None if unknown."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


class _KeyLimiter:
    """Limits the calls with one key at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._calls: dict[str, _KeyCalls] = {}

    def acquire(self, key: str) -> bool:
        """Whether the call may be made; waits while other calls with this key keep ending."""
        with self._lock:
            calls = self._calls.get(key)
            if calls is None:
                calls = self._calls[key] = _KeyCalls(self._lock)
            calls.waiting += 1
            is_granted = self._wait(calls)
            calls.waiting -= 1
            calls.running += is_granted
            self._forget_unused(key, calls)
            return is_granted

    def _wait(self, calls: _KeyCalls) -> bool:
        while calls.running >= self._limits.calls_per_key:
            left_s = calls.progress_at + self._limits.silence_s - time.monotonic()
            if left_s <= 0:
                return False
            calls.ended.wait(left_s)
        return True

    def release(self, key: str) -> None:
        """A call has ended."""
        with self._lock:
            calls = self._calls[key]
            calls.running -= 1
            calls.progress_at = time.monotonic()
            calls.ended.notify()
            self._forget_unused(key, calls)

    def _forget_unused(self, key: str, calls: _KeyCalls) -> None:
        if not calls.running and not calls.waiting:
            del self._calls[key]


class _KeyCalls:
    """Calls with one key; `progress_at` is when the last one ended, or the first began."""

    __slots__ = ("ended", "progress_at", "running", "waiting")

    def __init__(self, lock: threading.Lock) -> None:
        self.running = self.waiting = 0
        self.progress_at = time.monotonic()
        self.ended = threading.Condition(lock)


def _not_answering(key: str) -> StorageFailed:
    """The error for a store that did not answer in time; `key` may be ""."""
    about = f" about {key!r}" if key else ""
    return StorageFailed(
        f"The store does not answer{about}.",
        code="STORE_NOT_ANSWERING",
        hint="Try again later; look at the disk or network of F5_STORE when it stays.",
        retryable=True,
    )
