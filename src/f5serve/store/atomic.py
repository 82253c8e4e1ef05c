"""Files that appear whole or not at all: written under a temporary name, flushed and renamed.

A process that dies leaves a temporary file, which `remove_stale` removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from f5serve.errors import StorageFailed, means_full, means_too_many_files, too_many_files

_MARK = ".f5-"
_SUFFIX = ".tmp"
_TRIES = 100  # to make a folder that other processes remove when they find it empty


@dataclass(frozen=True, slots=True)
class Access:
    """Mode bits of new files and folders.

    Attributes:
        is_exact: whether the umask of the process is ignored.
    """

    file: int
    folder: int
    is_exact: bool = False


DEFAULT = Access(0o644, 0o777)
"""The usual bits, less the umask."""

OWNER_ONLY = Access(0o600, 0o700)


class AtomicFile:
    """A file under a temporary name, until `publish` renames it.

    While it is open it is locked, so that `remove_stale` leaves it. Threads may write to
    different places at once, until it is published or closed.

    Args:
        folder: for the temporary file, made when it is not there; on the same file system as the
            final name, since a rename is one step only there.
        what: the content's name in errors, e.g. a key.
        size: bytes to allocate at once, which is the only way to know that they fit; 0 for none.
        access: of the file, and of folders that are made for it.

    Raises:
        StorageFailed: NO_SPACE, NOT_WRITABLE or TOO_MANY_OPEN_FILES.
    """

    def __init__(self, folder: Path, what: str, size: int = 0, access: Access = DEFAULT) -> None:
        self._what = what
        self._access = access
        self._descriptor = -1
        try:
            self.path, self._descriptor = _create(folder, access)
        except OSError as error:
            raise write_error(what, size, error) from None
        with contextlib.suppress(OSError):  # not every network file system has locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if size:
            try:
                self.allocate(size)
            except StorageFailed:
                self.close()
                raise

    @property
    def descriptor(self) -> int:
        """The file descriptor; -1 once it is closed."""
        return self._descriptor

    def allocate(self, size: int) -> None:
        """Allocate `size` bytes on the disk.

        Raises:
            StorageFailed: NO_SPACE or NOT_WRITABLE.
        """
        if not size:
            return
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise write_error(self._what, size, error) from None

    def write_at(self, start: int, data: bytes) -> None:
        """Write all of `data` at byte `start`.

        Raises:
            StorageFailed: NO_SPACE or NOT_WRITABLE.
        """
        left = memoryview(data)
        try:
            while left:
                written = os.pwrite(self._descriptor, left, start)
                start, left = start + written, left[written:]
        except OSError as error:
            raise write_error(self._what, len(left), error) from None

    def read_at(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from byte `start`, as the file system holds them."""
        return os.pread(self._descriptor, size, start)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, where fewer came than were allocated."""
        os.ftruncate(self._descriptor, size)

    def publish(self, to: Path) -> None:
        """Flush the file and rename it to `to`, replacing what was there.

        Raises:
            StorageFailed: NO_SPACE, NOT_WRITABLE, or KEY_CONFLICT when `to` is a folder.
        """
        try:
            os.fsync(self._descriptor)
            self._rename(to)
            _sync_folder(to.parent)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            raise key_conflict_error(self._what) from None
        except OSError as error:
            raise write_error(self._what, 0, error) from None

    def _rename(self, to: Path) -> None:
        for _ in range(_TRIES):
            try:
                make_folder(to.parent, self._access)
                self.path.rename(to)
                return
            except FileNotFoundError:
                # Another process removed the empty folder just after it was made.
                if not self.path.exists():
                    raise
        self.path.rename(to)

    def close(self) -> None:
        """Close the file, and remove it unless it was published; may be called again."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                if self.path.exists():  # a forked process may keep the blocks of an open file
                    os.ftruncate(self._descriptor, 0)
                    self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def temporary_path(folder: Path) -> Path:
    """A new name in a folder, for a file that `remove_stale` removes if its maker is killed."""
    return folder / f"{_MARK}{uuid.uuid4().hex}{_SUFFIX}"


def _create(folder: Path, access: Access) -> tuple[Path, int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(_TRIES):
        path = temporary_path(folder)
        with contextlib.suppress(FileNotFoundError):  # another process may remove an empty folder
            make_folder(folder, access)
            descriptor = os.open(path, flags, access.file)
            if access.is_exact:
                with contextlib.suppress(OSError):  # some network file systems have no modes
                    os.fchmod(descriptor, access.file)
            return path, descriptor
    raise FileNotFoundError(errno.ENOENT, "its folder is removed again and again")


def make_folder(folder: Path, access: Access = DEFAULT) -> None:
    """Make a folder and its parents, and flush them, so that no crash loses what is put there.

    Raises:
        FileNotFoundError: another process removed one meanwhile; the caller may try again.
        NotADirectoryError: a file has one of the names.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, access)
    try:
        folder.mkdir(access.folder)
        if access.is_exact:
            with contextlib.suppress(OSError):
                folder.chmod(access.folder)
        _sync_folder(folder.parent)
    except FileExistsError:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder") from None


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems cannot flush folders
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_stale(folder: Path, older_than_s: float = 600) -> int:
    """Remove temporary files whose processes have died; returns how many.

    A living process holds a lock on its own. The age covers file systems without locks, and the
    moment between making a file and locking it.

    Args:
        older_than_s: seconds since the last write.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_MARK}*{_SUFFIX}"):
            if _is_abandoned(path, older_than_s):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _is_abandoned(path: Path, older_than_s: float) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(file.fileno()).st_mtime > older_than_s
    except OSError:
        return False


def write_error(what: str, size: int, error: OSError) -> StorageFailed:
    """The error for a failed write of `size` more bytes; it names no folder, as it may be sent
    to callers."""
    if means_too_many_files(error):
        return too_many_files()
    if means_full(error):
        return StorageFailed(
            f"The disk is full: {what!r} ({size} more bytes) does not fit.",
            code="NO_SPACE",
            hint="Free some space, or move F5_DATA_DIR or F5_STORE to a larger disk.",
        )
    return StorageFailed(
        f"{what!r} cannot be written: {error.strerror or error}.",
        code="NOT_WRITABLE",
        hint="Let this user write to the folder of F5_STORE or F5_DATA_DIR.",
    )


def read_error(what: str, error: OSError) -> StorageFailed:
    """The error for a failed read of a file that exists."""
    if means_too_many_files(error):
        return too_many_files()
    return StorageFailed(
        f"{what!r} cannot be read: {error.strerror or error}.",
        code="NOT_READABLE",
        hint="Let this user read the folder of F5_STORE, and make sure that it is no link.",
    )


def key_conflict_error(key: str) -> StorageFailed:
    """The error for a key that is the folder of other keys, or inside another key."""
    return StorageFailed(
        f"{key!r} cannot be a value and a folder of values at once.",
        code="KEY_CONFLICT",
        hint="Choose another name.",
    )
