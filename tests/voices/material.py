"""A recording and its words, and stores that count, meddle and forget."""

from __future__ import annotations

import builtins
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from f5serve.store.base import ObjectStore, Progress, StoredObject

DATA = Path(__file__).parents[1] / "data"
WORDS = "He was not an ill-disposed young man."
OTHER_WORDS = "Unless to be rather cold-hearted and rather selfish is to be ill-disposed."


def recording() -> bytes:
    """3 s of `WORDS`."""
    return (DATA / "librivox-0880.wav").read_bytes()


def other_recording() -> bytes:
    """5 s of `OTHER_WORDS`."""
    return (DATA / "librivox-0890.wav").read_bytes()


class CountingStore:
    """Another store, and what was asked of it.

    Args:
        inner: the store.
        pause_s: how long each get takes, so that others can come in between.
        log: a file that gets a line for each call, for counting over processes.
        before: called with the name of a call and its key, before it is passed on.
    """

    def __init__(
        self,
        inner: ObjectStore,
        pause_s: float = 0.0,
        log: Path | None = None,
        before: Callable[[str, str], None] | None = None,
    ) -> None:
        self.inner = inner
        self.calls: Counter[tuple[str, str]] = Counter()
        self._pause_s = pause_s
        self._log = log
        self._before = before
        self._lock = threading.Lock()

    def total(self, call: str = "", part: str = "") -> int:
        """Calls of that name whose key holds `part`."""
        return sum(n for (c, key), n in self.calls.items() if c.startswith(call) and part in key)

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        self._note("get", key)
        time.sleep(self._pause_s)
        return self.inner.get(key, max_bytes)

    def get_part(self, key: str, start: int, size: int) -> bytes:
        self._note("get", key)
        return self.inner.get_part(key, start, size)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self._note("put", key)
        self.inner.put(key, data, content_type)

    def put_file(
        self,
        key: str,
        path: Path,
        content_type: str = "",
        on_progress: Progress | None = None,
    ) -> None:
        self._note("put", key)
        self.inner.put_file(key, path, content_type, on_progress)

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self._note("get", key)
        time.sleep(self._pause_s)
        self.inner.download(key, to, size, sha256, on_progress)

    def delete(self, key: str) -> None:
        self._note("delete", key)
        self.inner.delete(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        self._note("list", prefix)
        return self.inner.list(prefix, recursive=recursive)

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        self._note("list", prefix)
        return self.inner.page(prefix, after, limit)

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        self._note("uploads", prefix)
        return self.inner.abort_old_uploads(prefix, older_than_s)

    def exists(self, key: str) -> bool:
        self._note("exists", key)
        return self.inner.exists(key)

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        return self.inner.url(key, expires_s, filename, content_type)

    def now(self) -> float:
        return self.inner.now()

    def describe(self) -> str:
        return self.inner.describe()

    def _note(self, call: str, key: str) -> None:
        if self._before is not None:
            self._before(call, key)
        with self._lock:
            self.calls[call, key] += 1
        if self._log is not None:
            descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{call} {key}\n".encode())
            os.close(descriptor)
