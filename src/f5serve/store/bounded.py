"""A store that hangs on one key holds up nobody who asks for another, and nobody for ever.

An `ObjectStore` flows in and out again: each call ends by a deadline of its own, few calls are made
about one key at a time, and the outcome of the newest write is known. What is stored is not known
here. docs/decisions/0032-pools-and-deadlines.md tells why.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from f5serve.errors import TOO_MANY_FILES, StorageFailed
from f5serve.store.base import ObjectStore, Progress, StoredObject
from f5serve.store.helpers import Deadline, GivenUp, HelperThreads, not_answering
from f5serve.store.spares import SpareDescriptors

T = TypeVar("T")

CALL_S = 20.0
"""Most seconds for a call to a disk, beyond the time that its bytes take."""

MIN_BYTES_PER_S = 1_000_000
"""Slowest disk that is waited for."""

UNKNOWN_BYTES = 100_000_000
"""What a value is taken for whose size nobody tells."""

TRANSFER_S = 120.0
"""Longest silence of a file that is copied, however large; the last step flushes all of it."""

AT_ONCE = 8
"""Calls about one key at a time."""

SILENCE_S = 2.0
"""Where so many calls are under way and none has ended for so long, the next one is refused."""

_BATCH = 200
"""Entries of a listing that are fetched at a time where each time changes the thread."""

_NO_FAULT = (TOO_MANY_FILES, "KEY_MISSING", "KEY_CONFLICT", "LINK_LEADS_OUT", "NOT_READABLE")
"""Failed writes that tell nothing about the next one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long calls may take, and how many there may be; see CALL_S, TRANSFER_S, AT_ONCE and
    SILENCE_S."""

    call_s: float = CALL_S
    transfer_s: float = TRANSFER_S
    at_once: int = AT_ONCE
    silence_s: float = SILENCE_S


@dataclass(frozen=True, slots=True)
class Write:
    """How the newest write ended.

    Attributes:
        code: "" where it worked, else that of the error.
        size: bytes that were to be written; 0 where that is not known.
        at: `time.monotonic()` of its end.
    """

    code: str
    size: int
    at: float


class BoundedStore:
    """`inner`, bounded; safe for threads.

    Args:
        inner: the store.
        ends_calls: whether `inner` ends its calls in time by itself, as a bucket does; the others
            are called in threads that are given up when they hang.
        limits: see `Limits`.
        spares: lent to calls that were refused for too many open files.

    Attributes:
        last_write: how the newest write ended; None before the first one.
    """

    def __init__(
        self,
        inner: ObjectStore,
        ends_calls: bool = True,
        limits: Limits | None = None,
        spares: SpareDescriptors | None = None,
    ) -> None:
        self.inner = inner
        self.last_write: Write | None = None
        self._limits = limits or Limits()
        self._spares = spares
        self._lines = _Lines(self._limits)
        self._helpers = None if ends_calls else HelperThreads("f5-store")

    @property
    def hung(self) -> int:
        """Calls that were given up and have not returned."""
        if self._helpers is not None:
            return self._helpers.hung
        return int(getattr(self.inner, "hung", 0))

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        size = UNKNOWN_BYTES if max_bytes is None else max_bytes
        return self._run(key, lambda: self.inner.get(key, max_bytes), size)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        return self._run(key, lambda: self.inner.get_part(key, start, size), size)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; one that is given up may still be done some time later."""
        with self._writing(len(data)):
            self._run(key, lambda: self.inner.put(key, data, content_type), len(data))

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "",
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.put_file`."""
        size = _size_of(path)
        with self._writing(size or 0):
            self._transfer(
                key,
                size,
                on_progress,
                lambda tell: self.inner.put_file(key, path, content_type, tell),
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
            key, size, on_progress, lambda tell: self.inner.download(key, to, size, sha256, tell)
        )

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._run(key, lambda: self.inner.delete(key))

    def list(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; each part of the listing has a deadline of its own."""
        found = iter(self.inner.list(prefix, deep=deep))
        size = 1 if self._helpers is None else _BATCH
        deadline_s = self._limits.call_s
        while part := self._bounded(
            prefix, lambda: list(itertools.islice(found, size)), Deadline(deadline_s)
        ):
            yield from part

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
        """The result of a call that moves about so many bytes, and may be made again."""
        seconds = self._limits.call_s + size / MIN_BYTES_PER_S
        return self._with_spares(lambda: self._bounded(key, call, Deadline(seconds)))

    def _transfer(
        self,
        key: str,
        size: int | None,
        on_progress: Progress | None,
        call: Callable[[Progress], None],
    ) -> None:
        """A call that goes on for as long as bytes move; its end may take as long as all of them,
        since that is when a disk really writes."""
        longest_s = self._limits.transfer_s
        if size is not None:
            longest_s = min(longest_s, self._limits.call_s + size / MIN_BYTES_PER_S)

        def once() -> None:
            deadline = Deadline(longest_s)

            def tell(moved: int) -> None:
                deadline.renew(longest_s)
                if on_progress is not None:
                    on_progress(moved)

            self._bounded(key, lambda: call(tell), deadline)

        self._with_spares(once)

    def _with_spares(self, once: Callable[[], T]) -> T:
        """The result of a call; made again with what is kept back where files are short."""
        try:
            return once()
        except StorageFailed as error:
            if error.code != TOO_MANY_FILES or self._spares is None:
                raise
        with self._spares.lent():
            return once()

    def _bounded(self, key: str, call: Callable[[], T], deadline: Deadline) -> T:
        if not self._lines.enter(key):
            raise not_answering(key)
        if self._helpers is None:
            try:
                return call()
            finally:
                self._lines.leave(key)

        def work() -> T:
            try:
                return call()
            finally:
                self._lines.leave(key)  # later than its caller, where that has given up

        try:
            return self._helpers.run(work, deadline)
        except GivenUp as error:
            if not error.is_begun:
                self._lines.leave(key)
            raise not_answering(key) from None

    @contextlib.contextmanager
    def _writing(self, size: int) -> Iterator[None]:
        try:
            yield
        except StorageFailed as error:
            if error.code not in _NO_FAULT:
                self.last_write = Write(error.code, size, time.monotonic())
            raise
        self.last_write = Write("", size, time.monotonic())


def _size_of(path: Path) -> int | None:
    """Bytes of a file of this machine; None where that is not told."""
    try:
        return path.stat().st_size
    except OSError:
        return None


class _Lines:
    """Who makes calls about which key, and who waits to."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def enter(self, key: str) -> bool:
        """Whether the call may be made; waits for as long as others about this key do end."""
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(self._lock)
            line.waiting += 1
            has_place = self._wait(line)
            line.waiting -= 1
            line.under_way += has_place
            self._tidy(key, line)
            return has_place

    def _wait(self, line: _Line) -> bool:
        while line.under_way >= self._limits.at_once:
            left_s = line.moved + self._limits.silence_s - time.monotonic()
            if left_s <= 0:
                return False
            line.wake.wait(left_s)
        return True

    def leave(self, key: str) -> None:
        """A call has ended."""
        with self._lock:
            line = self._lines[key]
            line.under_way -= 1
            line.moved = time.monotonic()
            line.wake.notify()
            self._tidy(key, line)

    def _tidy(self, key: str, line: _Line) -> None:
        if not line.under_way and not line.waiting:
            del self._lines[key]


class _Line:
    """The calls about one key; `moved` is when the last one ended, or the first began."""

    __slots__ = ("moved", "under_way", "waiting", "wake")

    def __init__(self, lock: threading.Lock) -> None:
        self.under_way = self.waiting = 0
        self.moved = time.monotonic()
        self.wake = threading.Condition(lock)
