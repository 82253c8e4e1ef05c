"""The protocol of object stores, the grammar of keys, and the errors that all stores raise.

Every store guarantees: a reader gets one whole value, the old or the new; of several writers of
one key one wins; after a `put` the same process gets that value. No store guarantees that one
write excludes another, that a listing is fresh or ordered, or that another machine sees a new
value at once. So keys that are written once have a hash or an id in their name, and only small
values are ever overwritten.
"""

from __future__ import annotations

import builtins
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from f5serve.errors import InvalidRequest, StorageFailed

_log = logging.getLogger(__name__)

MAX_KEY_CHARS = 512
MAX_SEGMENT_CHARS = 200  # a file system takes 255 bytes; temporary names need some of them

_SEGMENT = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_SEGMENT_CHARS - 1}}}")

Progress = Callable[[int], None]
"""Called with the number of bytes moved so far."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One entry of a listing; `size` in bytes, `modified` with a time zone."""

    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Bytes under keys. Every call blocks, is bounded in time and may run in any thread.

    No key may be the folder of another ("a" beside "a/b"): a file system cannot hold both. Every
    call raises InvalidRequest (BAD_KEY) for a key outside `check_key`'s grammar, and StorageFailed
    for a failure of the disk or the bucket.
    """

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """The whole value, which must fit in memory.

        Raises:
            KeyMissing: there is no such key.
            StorageFailed: OBJECT_TOO_LARGE beyond `max_bytes`, else the store's own code.
        """
        ...

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """Bytes `start` to `start + size` of the value; fewer at its end, none behind it.

        Parts of one value are only sure for keys that are written once.

        Raises:
            KeyMissing: there is no such key.
            StorageFailed: the store's own code.
        """
        ...

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        """Store `data` under `key`, replacing what was there in one step.

        Raises:
            StorageFailed: NO_SPACE, or the store's own code.
        """
        ...

    def put_file(
        self, key: str, path: Path, content_type: str = "", on_progress: Progress | None = None
    ) -> None:
        """Store the content of a file of any size; otherwise as `put`.

        Args:
            on_progress: called with the number of bytes sent.
        """
        ...

    def download(
        self,
        key: str,
        to: Path,
        size: int | None = None,
        sha256: str | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Write the value to the file `to`, which appears whole, checked and flushed, or never.

        Args:
            to: replaced if it exists; its folder is made. Concurrent calls with the same `to` are
                harmless.
            size: expected bytes, or None for any.
            sha256: expected hash in hexadecimal, or None. Without it a key that is overwritten
                during the download may give a mix of both values.

        Raises:
            KeyMissing: there is no such key.
            StorageFailed: OBJECT_CORRUPT when size or hash differ, NO_SPACE when the disk of `to`
                is full, else the store's own code.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the key; no error when there is none."""
        ...

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
        """Every object whose key starts with `prefix`, in no guaranteed order.

        Objects whose names are not keys are left out, and counted in a warning. Pages are requested
        as the iterator is read.

        Args:
            prefix: "" or a key, with a slash or a dot at the end or without.
            recursive: False leaves out keys with another slash, at no cost.
        """
        ...

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> builtins.list[StoredObject]:
        """The first objects whose key starts with `prefix` and comes after `after`, sorted by key.

        The cost does not grow with the number of objects, where folders are small.

        Args:
            after: a key, or "" for the beginning.
            limit: objects at most, 1 to 1000.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether there is a value now."""
        ...

    def abort_old_uploads(self, prefix: str = "", older_than_s: float = 24 * 3600) -> int:
        """Remove what uploads of killed processes left behind; returns the number of uploads.

        Args:
            prefix: of the keys that were being written.
            older_than_s: seconds since the upload began.
        """
        ...

    def url(
        self, key: str, expires_s: float = 3600, filename: str = "", content_type: str = ""
    ) -> str:
        """A URL from which any client can get the value; its existence is not checked.

        Args:
            expires_s: lifetime in seconds where URLs can expire, clamped to 60 s .. 7 days.
            filename: name under which a browser saves it; "" lets the browser show it.
            content_type: media type of the answer.
        """
        ...

    def now(self) -> float:
        """Seconds since 1970 by the store's clock, which all workers share.

        Raises:
            StorageFailed: the store had to be asked and did not answer.
        """
        ...

    def describe(self) -> str:
        """One line for logs, without secrets."""
        ...


def check_key(key: str) -> str:
    """Return `key` if it is valid: names of letters, digits, `_`, `-` and `.`, joined by slashes.

    A name starts with a letter, a digit or `_`, has no `..` and does not end in a dot, so no key
    can leave a folder, be hidden in it or mean two files on any file system.

    Raises:
        InvalidRequest: code BAD_KEY.
    """
    if is_key(key):
        return key
    shown = key if len(key) <= 80 else key[:80] + "..."
    raise InvalidRequest(
        f"{shown!r} is not a key of the store.",
        code="BAD_KEY",
        hint="Use letters, digits, _, - and . in names joined by /, each starting with a letter, "
        f"a digit or _; at most {MAX_KEY_CHARS} characters.",
    )


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is "" or a key, with one slash or dot at the end or none.

    Raises:
        InvalidRequest: code BAD_KEY.
    """
    if prefix:
        check_key(prefix[:-1] if prefix[-1] in "/." else prefix)
    return prefix


def check_after(after: str) -> str:
    """Return `after` if it is "" or a key.

    Raises:
        InvalidRequest: code BAD_KEY.
    """
    return check_key(after) if after else ""


def is_key(key: str) -> bool:
    """Whether `check_key` accepts it."""
    return len(key) <= MAX_KEY_CHARS and all(_is_name(name) for name in key.split("/"))


class IgnoredKeys:
    """Counts names that a listing leaves out, for one warning at its end."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._first = ""

    def add(self, name: str) -> None:
        """Count a name that is no key."""
        self._count += 1
        self._first = self._first or name[:80]

    def warn(self) -> None:
        """Log the count, unless it is 0."""
        if self._count:
            _log.warning(
                "%d objects under %r have names that are not used, the first is %r; rename them "
                "to letters, digits, _, - and .",
                self._count,
                self._prefix,
                self._first,
            )


def _is_name(name: str) -> bool:
    return _SEGMENT.fullmatch(name) is not None and ".." not in name and not name.endswith(".")


def object_too_large_error(key: str, max_bytes: int) -> StorageFailed:
    """The error for a value of more than `max_bytes`."""
    return StorageFailed(
        f"{key!r} is larger than {max_bytes} bytes.",
        code="OBJECT_TOO_LARGE",
        hint="Put a smaller object there.",
    )


def object_corrupt_error(key: str, what: str) -> StorageFailed:
    """The error for a value that is not the expected one; `what` names the difference."""
    return StorageFailed(
        f"{key!r} is not what it should be: {what}.",
        code="OBJECT_CORRUPT",
        hint="Try again; if it stays, put the object into the store anew.",
        retryable=True,
    )
