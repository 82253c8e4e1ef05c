"""A store in memory whose calls hang on request, as those of a disk or a bucket may."""

from __future__ import annotations

import builtins
import re
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from f5serve.store.base import StoredObject
from f5serve.store.memory import MemoryStore


class HangingStore(MemoryStore):
    """Calls whose "method key" the pattern finds wait for the end of the hang; used with `with`."""

    def __init__(self) -> None:
        super().__init__()
        self._pattern = ""
        self._goes_on = threading.Event()
        self._lock_of_count = threading.Lock()
        self.seen: list[str] = []
        self.waiting = 0
        self.reached = threading.Event()

    def hang(self, pattern: str) -> None:
        """From now on, until `go_on`."""
        self._goes_on.clear()
        self.reached.clear()
        self._pattern = pattern

    def go_on(self) -> None:
        """Answer all who wait, and everybody from now on."""
        self._pattern = ""
        self._goes_on.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.go_on()

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        self._meet(f"get {key}")
        return super().get(key, max_bytes)

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        self._meet(f"put {key}")
        super().put(key, data, content_type)

    def delete(self, key: str) -> None:
        self._meet(f"delete {key}")
        super().delete(key)

    def exists(self, key: str) -> bool:
        self._meet(f"exists {key}")
        return super().exists(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        self._meet(f"list {prefix}")
        yield from super().list(prefix, recursive=recursive)

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        self._meet(f"list {prefix}")
        return super().page(prefix, after, limit)

    def _meet(self, call: str) -> None:
        with self._lock_of_count:
            self.seen.append(call)
        if self._pattern and re.search(self._pattern, call):
            with self._lock_of_count:
                self.waiting += 1
            self.reached.set()
            self._goes_on.wait(60)
            with self._lock_of_count:
                self.waiting -= 1
