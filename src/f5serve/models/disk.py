"""Files on disk: hashes, space that is reserved before a download, atomic writes, file locks.

What statvfs reports is only a reason to refuse early: with quotas, network volumes and other
writers it promises nothing, so the blocks are really allocated.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from f5serve.errors import ModelUnavailable, StorageFailed, means_full
from f5serve.store.atomic import AtomicFile

_PIECE = 64 << 20  # bytes of one call that allocates
_LEAST_STEP, _MOST_STEP = 4 << 20, 256 << 20  # bytes given back in one call
_ALLOCATE_S = 5.0  # at most, for allocating blocks before a download
_IMPLAUSIBLE = 100 * 10**12  # bytes free: more than any one disk has
_NETWORKED = ("fuse", "nfs", "cifs", "smb", "ceph", "lustre", "9p", "virtiofs")
_HASH_BLOCK = 4 << 20
_MARGIN = 1 << 20  # directories, records and the last block of each file
_HINT_UNWRITABLE = "Name a folder in F5_MODELS_DIR that this user may write to."


def format_bytes(size: int) -> str:
    """Bytes in decimal units with three digits: "1.35 GB", "13.8 kB"."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= 1000 * scale:
            return f"{size // scale} {unit}"
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def no_space(folder: Path, needed: int, free: int | None = None) -> StorageFailed:
    """The error for a folder that cannot take `needed` more bytes."""
    room = "less than that" if free is None or free >= needed else format_bytes(free)
    return StorageFailed(
        f"{format_bytes(needed)} are needed in {folder}, and {room} can be had there.",
        code="NO_SPACE",
        hint="Free some space there, or name another folder in F5_MODELS_DIR.",
    )


def cannot_write(folder: Path, needed: int, error: OSError) -> StorageFailed:
    """The error for a write of `needed` bytes into a folder that the system refused."""
    if means_full(error):
        return no_space(folder, needed)
    return StorageFailed(
        f"{folder} cannot be written to: {error.strerror or error}.",
        code="NOT_WRITABLE",
        hint=_HINT_UNWRITABLE,
    )


def unreadable(path: Path, error: OSError) -> StorageFailed:
    """The error for a file that is there and cannot be read."""
    return StorageFailed(
        f"{path} cannot be read: {error.strerror or error}.",
        code="NOT_READABLE",
        hint="Let this user read it, or remove it and pull the model again.",
    )


class DiskReservation:
    """Blocks of a file system, allocated in advance and given back as they are used.

    They belong to an unnamed file, so a process that dies leaves nothing behind.
    """

    def __init__(self, folder: Path, needed: int) -> None:
        """Allocate `needed` bytes in `folder`.

        Raises:
            StorageFailed: code NO_SPACE or NOT_WRITABLE.
        """
        self._file: IO[bytes] | None = None
        self._held = needed + _MARGIN if needed else 0
        self._ahead = 0  # bytes given back and not written yet
        self._step, self._cut_at = _LEAST_STEP, time.monotonic()
        free = free_bytes(folder)
        if free is not None and needed > free:
            raise no_space(folder, needed, free)
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__
            _allocate(self._file.fileno(), self._held)
        except OSError as error:
            self.close()
            if means_full(error):
                raise no_space(folder, self._held, free) from None
            raise cannot_write(folder, self._held, error) from None

    def release(self, size: int) -> None:
        """Give `size` bytes back, just before they are written elsewhere in the folder.

        More than that is given back at once, about what is written in a second: on a network
        volume each call goes to another machine.
        """
        self._ahead -= size
        if self._ahead >= 0 or self._file is None or not self._held:
            return
        now = time.monotonic()
        is_fast = now - self._cut_at < 1
        self._step = min(2 * self._step, _MOST_STEP) if is_fast else self._step
        self._cut_at = now
        given = min(self._held, self._step - self._ahead)
        self._held -= given
        self._ahead += given
        os.ftruncate(self._file.fileno(), self._held)

    def close(self) -> None:
        """Give back what is left."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a forked process may hold the file open for long
                os.ftruncate(self._file.fileno(), 0)
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


def free_bytes(folder: Path) -> int | None:
    """Free bytes by statvfs; None on file systems whose figure cannot be trusted.

    Network volumes report the size of a whole cluster, and some of them nothing at all.
    """
    stat = os.statvfs(folder)
    free = stat.f_bavail * stat.f_frsize
    if not stat.f_blocks or free > _IMPLAUSIBLE or _file_system(folder).startswith(_NETWORKED):
        return None
    return free


def _file_system(folder: Path) -> str:
    """Kind of the file system that holds `folder`, e.g. "ext4"; "" where it is not known."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError, IndexError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if line.split()[2] == wanted:
                return line.partition(" - ")[2].split()[0]
    return ""


def _allocate(descriptor: int, size: int) -> None:
    """Allocate from the start of a file.

    Where the file system has no such call, the C library writes to every block. That is as true
    and much slower, so what has not been had after some seconds is left to be found out later.
    """
    give_up = time.monotonic() + _ALLOCATE_S
    for start in range(0, size, _PIECE):
        os.posix_fallocate(descriptor, start, min(_PIECE, size - start))
        if time.monotonic() > give_up:
            return


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of one file has been transferred or hashed.

    Attributes:
        path: in its repository.
        phase: "download", "upload" or "verify".
        done: bytes so far, those of an earlier attempt included.
        total: bytes in all, or None when not known.
    """

    path: str
    phase: Literal["download", "upload", "verify"]
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Hashes of one content, lower-case hex: its sha256, and its git blob id or ""."""

    sha256: str
    git: str = ""

    def has(self, name: str) -> bool:
        """Whether `name` is one of them."""
        return name.lower() in (self.sha256, self.git)

    def matches(self, name: str) -> bool:
        """Whether `name` may be one of them; a name of neither length proves nothing."""
        own = {64: self.sha256, 40: self.git}.get(len(name), "")
        return not own or name.lower() == own


def digest(
    file: Path, path: str = "", on_progress: OnProgress = no_progress, *, git: bool = False
) -> Digest:
    """Hash a file as it lies on disk.

    Args:
        path: what progress calls it.
        git: whether to compute the git blob id, too.

    Raises:
        OSError: it cannot be read.
    """
    hashed = hashlib.sha256()
    size = file.stat().st_size
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            hashed.update(block)
            if git:
                blob.update(block)
            done += len(block)
            on_progress(Progress(path, "verify", done, size))
    return Digest(hashed.hexdigest(), blob.hexdigest() if git else "")


def copy_file(
    source: Path, to: Path, sha256: str, on_block: Callable[[], None] = lambda: None
) -> None:
    """Copy a file that has to have this hash, whole or not at all.

    Args:
        on_block: called after each block; what it raises ends the copy.

    Raises:
        ModelUnavailable: HASH_MISMATCH, for a file that was changed.
        StorageFailed: NO_SPACE, NOT_WRITABLE, or NOT_READABLE of the source.
    """
    hashed, at = hashlib.sha256(), 0
    try:
        with (
            source.open("rb") as file,
            AtomicFile(to.parent, to.name, source.stat().st_size) as copy,
        ):
            while block := file.read(_HASH_BLOCK):
                hashed.update(block)
                copy.write_at(at, block)
                at += len(block)
                on_block()
            copy.truncate(at)
            if hashed.hexdigest() != sha256:
                raise ModelUnavailable(
                    f"{source} has changed since it was loaded.",
                    code="HASH_MISMATCH",
                    hint="It is not copied. The next start hashes it and does not use it.",
                )
            copy.publish(to)
    except OSError as error:
        raise unreadable(source, error) from None


def write_atomic(path: Path, data: bytes) -> None:
    """Write a small file so that a reader, or a crash, meets the old one or the new one.

    Raises:
        StorageFailed: code NO_SPACE or NOT_WRITABLE.
    """
    try:
        with AtomicFile(path.parent, path.name) as file:
            file.write_at(0, data)
            file.publish(path)
    except StorageFailed as error:  # named with the folder, and the setting for it
        if error.code == "NO_SPACE":
            raise no_space(path.parent, len(data)) from None
        raise StorageFailed(
            f"{path.parent}: {error.message}", code="NOT_WRITABLE", hint=_HINT_UNWRITABLE
        ) from None


class FileLock:
    """A lock file between processes, as `hold_lock` yields it.

    Attributes:
        is_held: whether this process has it.
    """

    def __init__(self, path: Path, is_held: bool) -> None:
        self.is_held = is_held
        self._path = path
        self._last = time.monotonic()  # taking the lock touched it

    def beat(self) -> None:
        """Show those who wait that work goes on; call it often, it touches once a second."""
        if time.monotonic() > self._last + 1:
            self._last = time.monotonic()
            with contextlib.suppress(OSError):  # others would only wait for less long
                self._path.touch()


@contextlib.contextmanager
def hold_lock(path: Path, stale_after_s: float) -> Iterator[FileLock]:
    """Hold the lock file `path`, which is created with its folder.

    The holder touches the file (`FileLock.beat`). After `stale_after_s` without that the caller
    goes on without the lock: on a network volume the lock of a lost host can stay taken, and on
    some the lock always succeeds, so nothing but bandwidth may depend on it.

    Raises:
        StorageFailed: NO_SPACE or NOT_WRITABLE.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        file = path.open("a")
    except OSError as error:
        raise cannot_write(path.parent, 0, error) from None
    with file:
        is_held = _take(file, path, stale_after_s)
        if is_held:
            path.touch()
        try:
            yield FileLock(path, is_held)
        finally:  # closing alone would leave it with a process that was forked meanwhile
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def _take(file: IO[str], path: Path, stale_after_s: float) -> bool:
    last_beat = path.stat().st_mtime_ns
    give_up = time.monotonic() + stale_after_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        except OSError:  # a file system without locks
            return False
        beat = path.stat().st_mtime_ns
        if beat != last_beat:
            last_beat, give_up = beat, time.monotonic() + stale_after_s
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
