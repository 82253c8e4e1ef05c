"""Room on a disk, taken before it is needed; files that appear whole or not at all; one at a time.

A folder and a number of bytes flow in, a `Reservation` flows out. What statvfs reports is only a
reason to refuse early: with quotas, network volumes and other writers it promises nothing, so the
blocks are really allocated. This module must not know what is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from f5serve.errors import StorageFailed, means_full

_PIECE = 64 << 20
_PATIENCE_S = 5.0
_MARGIN = 1 << 20  # directories, records and the last block of each file
_HINT = "Free some space there, or name another folder in F5_MODELS_DIR."


def human(size: int) -> str:
    """Bytes as people say them: "1.35 GB", "13.8 kB"; decimal units."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return (
                f"{size / scale:.3g} {unit}" if size < 1000 * scale else f"{size // scale} {unit}"
            )
    return f"{size} bytes"


def no_space(folder: Path, needed: int, free: int | None = None) -> StorageFailed:
    """The error for a folder that cannot take `needed` more bytes."""
    room = "less than that" if free is None or free >= needed else human(free)
    return StorageFailed(
        f"{human(needed)} are needed in {folder}, and {room} can be had there.",
        code="NO_SPACE",
        hint=_HINT,
    )


def unwritable(folder: Path, error: OSError) -> StorageFailed:
    """The error for a folder that cannot be written to for another reason."""
    return StorageFailed(
        f"{folder} cannot be written to: {error.strerror or error}.",
        code="NOT_WRITABLE",
        hint="Name a folder in F5_MODELS_DIR that this user may write to.",
    )


def cannot_write(folder: Path, needed: int, error: OSError) -> StorageFailed:
    """The error for a write of `needed` bytes that the system refused."""
    return no_space(folder, needed) if means_full(error) else unwritable(folder, error)


def unreadable(path: Path, error: OSError) -> StorageFailed:
    """The error for a file that is there and cannot be read."""
    return StorageFailed(
        f"{path} cannot be read: {error.strerror or error}.",
        code="NOT_READABLE",
        hint="Let this user read it, or remove it and pull the model again.",
    )


class Reservation:
    """Blocks of a file system that nobody else can take, given back as they are used.

    The blocks belong to an unnamed file, so a process that dies leaves nothing behind.
    """

    def __init__(self, folder: Path, needed: int) -> None:
        """Allocate `needed` bytes in `folder`.

        Raises:
            StorageFailed: code NO_SPACE or NOT_WRITABLE.
        """
        self._file: IO[bytes] | None = None
        self._held = needed + _MARGIN if needed else 0
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        if needed > free:
            raise no_space(folder, needed, free)
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__
            _allocate(self._file.fileno(), self._held)
        except OSError as error:
            self.close()
            if means_full(error):
                raise no_space(folder, self._held, free) from None
            raise unwritable(folder, error) from None

    def release(self, size: int) -> None:
        """Give `size` bytes back, just before they are written elsewhere in the folder."""
        self._held = max(0, self._held - size)
        if self._file is not None:
            os.ftruncate(self._file.fileno(), self._held)

    def close(self) -> None:
        """Give back what is left."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _allocate(descriptor: int, size: int) -> None:
    """Allocate from the start of a file.

    Where the file system has no such call, the C library writes to every block. That is as true
    and much slower, so what has not been had after some seconds is left to be found out later.
    """
    give_up = time.monotonic() + _PATIENCE_S
    for start in range(0, size, _PIECE):
        os.posix_fallocate(descriptor, start, min(_PIECE, size - start))
        if time.monotonic() > give_up:
            return


def write_atomic(path: Path, data: bytes) -> None:
    """Write a small file so that a reader, or a crash, meets the old one or the new one.

    Raises:
        StorageFailed: code NO_SPACE or NOT_WRITABLE.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, len(data), error) from None


@contextlib.contextmanager
def hold_lock(path: Path, patience_s: float) -> Iterator[bool]:
    """Hold `path` among the processes that ask for it; yields whether it could be had.

    The holder shows that it is alive by touching the file. When that has not happened for
    `patience_s` the caller goes on without: on a network volume the lock of a lost host can stay
    taken, and on some the lock always succeeds, so nothing but bandwidth may depend on it.
    """
    with path.open("a") as file:
        held = _take(file, path, patience_s)
        if held:
            path.touch()
        yield held


def _take(file: IO[str], path: Path, patience_s: float) -> bool:
    last_sign = path.stat().st_mtime_ns
    give_up = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        sign = path.stat().st_mtime_ns
        if sign != last_sign:
            last_sign, give_up = sign, time.monotonic() + patience_s
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
