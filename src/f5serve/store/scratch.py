"""A temporary file, in memory or on a disk, that can be read while it is written.

It is removed with its last reference; if the process dies, by `remove_stale` at a later start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from f5serve.errors import StorageFailed, means_full, means_too_many_files, too_many_files
from f5serve.store.atomic import OWNER_ONLY, AtomicFile
from f5serve.store.base import ObjectStore

RESERVE_BYTES = 32 << 20
"""Left free on the disk, for the records of jobs."""

_BLOCK_BYTES = 1 << 20
_PROBE_BYTES = 1 << 16


class ScratchFile:
    """One file; one thread writes, any may read.

    Args:
        folder: for the file; None keeps it in memory, where the system can.

    Attributes:
        path: of the file; None in memory.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE or TOO_MANY_OPEN_FILES.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path: Path | None = None
        self._folder = folder
        if folder is None:
            self._descriptor = _in_memory()
            weakref.finalize(self, os.close, self._descriptor)
        else:
            private = AtomicFile(folder, "speech", access=OWNER_ONLY)
            self.path, self._descriptor = private.path, private.descriptor
            weakref.finalize(self, private.close)
            self.check_room()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self._descriptor).st_size

    def open(self) -> IO[bytes]:
        """The file as a stream for its writer, who closes it."""
        return os.fdopen(os.dup(self._descriptor), "r+b")

    def append(self, data: bytes) -> int:
        """Write at the end; returns the position before.

        Raises:
            StorageFailed: NO_SPACE.
        """
        at = self.size
        with self.writing():
            left, start = memoryview(data), at
            while left:
                written = os.pwrite(self._descriptor, left, start)
                start, left = start + written, left[written:]
        return at

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """`size` bytes from `start`, or all that follow; fewer at the end."""
        return os.pread(self._descriptor, self.size - start if size is None else size, start)

    def sha256(self) -> str:
        """Hash of the content, in hexadecimal."""
        digest, at = hashlib.sha256(), 0
        while block := self.read(at, _BLOCK_BYTES):
            digest.update(block)
            at += len(block)
        return digest.hexdigest()

    def put(self, store: ObjectStore, key: str, mime: str) -> None:
        """Store the content under `key`."""
        if self.path is None:
            store.put(key, self.read(), mime)
        else:
            store.put_file(key, self.path, mime)

    def check_room(self) -> None:
        """Raise an error when less than RESERVE_BYTES are free.

        Raises:
            StorageFailed: NO_SPACE.
        """
        if self._has_no_room():
            raise _full()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn a writer's errors that a full disk or too many open files caused into ours.

        Raises:
            StorageFailed: NO_SPACE or TOO_MANY_OPEN_FILES.
        """
        try:
            yield
        except (OSError, RuntimeError, AssertionError) as error:  # encoders raise their own errors
            if means_too_many_files(error):
                raise too_many_files() from error
            if (isinstance(error, OSError) and means_full(error)) or self._is_full():
                raise _full() from error
            raise

    def _is_full(self) -> bool:
        """Whether the disk is full, by writing a few bytes more, which spoil the file."""
        try:
            os.pwrite(self._descriptor, bytes(_PROBE_BYTES), self.size)
        except OSError as error:
            return means_full(error)
        return self._has_no_room()

    def _has_no_room(self) -> bool:
        if self._folder is None:
            return False
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._folder)
            return disk.f_bavail * disk.f_frsize < RESERVE_BYTES
        return False


def _in_memory() -> int:
    try:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("f5serve")
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        if means_too_many_files(error):
            raise too_many_files() from error
        raise


def _full() -> StorageFailed:
    return StorageFailed(
        "The disk of F5_DATA_DIR is full: there is no space for the speech.",
        code="NO_SPACE",
        hint="Free some space, or move F5_DATA_DIR to a larger disk.",
    )
