"""A store in memory, for tests, demonstrations and servers that keep nothing after they end."""

from __future__ import annotations

import builtins
import hashlib
import heapq
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from f5serve.errors import KeyMissing
from f5serve.store.atomic import AtomicFile, key_conflict_error, read_error
from f5serve.store.base import (
    Progress,
    StoredObject,
    check_after,
    check_key,
    check_prefix,
    object_corrupt_error,
    object_too_large_error,
)


class MemoryStore:
    """Values in a dictionary; safe for threads.

    Args:
        clock: for `now` and `StoredObject.modified`, seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`."""
        check_key(key)
        with self._lock:
            if key not in self._values:
                raise KeyMissing(key)
            data = self._values[key][0]
        if max_bytes is not None and len(data) > max_bytes:
            raise object_too_large_error(key, max_bytes)
        return data

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """See `ObjectStore.get_part`."""
        return self.get(key)[start : start + size]

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """See `ObjectStore.put`; KEY_CONFLICT when one key would be the folder of another."""
        check_key(key)
        names = key.split("/")
        folders = {"/".join(names[:n]) for n in range(1, len(names))}
        with self._lock:
            inside = any(other.startswith(key + "/") for other in self._values)
            if inside or folders & self._values.keys():
                raise key_conflict_error(key)
            self._values[key] = (bytes(data), self._clock())

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """See `ObjectStore.put_file`."""
        check_key(key)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise read_error(path.name, error) from None
        self.put(key, data, content_type)
        if on_progress is not None:
            on_progress(len(data))

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """See `ObjectStore.download`."""
        data = self.get(key)
        if size is not None and len(data) != size:
            raise object_corrupt_error(key, f"it has {len(data)} bytes, not {size}")
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256.lower():
            raise object_corrupt_error(key, "its sha256 differs")
        with AtomicFile(to.parent, key, len(data)) as file:
            file.write_at(0, data)
            file.publish(to)
        if on_progress is not None:
            on_progress(len(data))

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        check_key(key)
        with self._lock:
            self._values.pop(key, None)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """See `ObjectStore.list`; a snapshot at the first step."""
        check_prefix(prefix)
        with self._lock:
            found = [(k, v) for k, v in self._values.items() if k.startswith(prefix)]
        if not recursive:
            found = [(k, v) for k, v in found if "/" not in k[len(prefix) :]]
        for key, (data, at) in found:
            yield StoredObject(key, len(data), datetime.fromtimestamp(at, UTC))

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """See `ObjectStore.page`."""
        check_after(after)
        behind = (one for one in self.list(prefix) if one.key > after)
        return heapq.nsmallest(limit, behind, key=lambda one: one.key)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        check_key(key)
        with self._lock:
            return key in self._values

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """Returns 0: there are none."""
        return 0

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """`memory:KEY`, which no program can fetch."""
        return f"memory:{check_key(key)}"

    def now(self) -> float:
        """The clock it was made with."""
        return self._clock()

    def describe(self) -> str:
        """One line for logs."""
        return "memory, lost when the process ends"
