"""Files under way: private until they are finished, swept away when their maker died.

A folder flows in; an empty locked file flows out, and later its name in another folder. A draft's
lock says that its maker lives, so a sweeper takes away exactly those whose lock it can have. This
module must not know what the files are, nor who else may be making the same one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from f5serve.download.locks import Locks
from f5serve.errors import StorageFailed

_NAME = re.compile(r"[0-9a-f]{12}-[0-9a-f]{32}")
_NEW_NAMES = 10
_ABANDONED_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What changes when a file is replaced or rewritten."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def identify(path: Path) -> Identity | None:
    """The identity of a regular file; None for anything else, a symbolic link included."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Drafts:
    """The unfinished files in one folder, ours and those of other processes."""

    def __init__(self, folder: Path, locks: Locks) -> None:
        self._folder = folder
        self._locks = locks
        self._boot_id = uuid.uuid4().hex[:12]

    @contextlib.contextmanager
    def new(self) -> Iterator[Path]:
        """An empty file of ours, which is gone afterwards unless it was published.

        Raises:
            StorageFailed: code NO_SPACE or NOT_WRITABLE.
        """
        draft, lock = self._create()
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            self._locks.close(lock)

    def _create(self) -> tuple[Path, int]:
        with writing():
            for _ in range(_NEW_NAMES):
                draft = self._folder / f"{self._boot_id}-{uuid.uuid4().hex}"
                lock = self._locks.open(draft, os.O_CREAT | os.O_EXCL)
                # A sweeper may come between these calls: it has the lock, or had it already.
                if self._locks.is_ours(lock) and _is_at(lock, draft):
                    return draft, lock
                draft.unlink(missing_ok=True)
                self._locks.close(lock)
        raise _unwritable("each new file is taken away")

    def publish(self, draft: Path, path: Path) -> None:
        """Give a finished file its name, so that neither a reader nor a power cut meets a part.

        Raises:
            StorageFailed: code NO_SPACE or NOT_WRITABLE.
        """
        with writing():
            _sync(draft, os.O_RDONLY)
            draft.replace(path)
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)

    def sweep(self) -> int:
        """Remove the drafts of makers that are dead; returns how many."""
        drafts = list(self._folder.iterdir()) if self._folder.is_dir() else []
        return sum(self._sweep_one(draft) for draft in drafts if _NAME.fullmatch(draft.name))

    def _sweep_one(self, draft: Path) -> bool:
        opened: list[int] = []
        try:
            opened.append(self._locks.open(draft))
            if not self._locks.take(opened[0]):
                return False
            opened.append(self._locks.open(draft))
            is_old = time.time() - draft.lstat().st_mtime > _ABANDONED_S
            if self._locks.take(opened[1]) and not is_old:  # a lock that two hold tells nothing
                return False
            if not _is_at(opened[0], draft):
                return False
            draft.unlink()
        except OSError:  # gone meanwhile, not ours, or without locks
            return False
        finally:
            for descriptor in opened:
                self._locks.close(descriptor)
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` is the file that is open, not another one nor none."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Say without a path what the system refused."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFailed(
                "The folder for downloads is full.",
                code="NO_SPACE",
                hint="Free some space there, or name another folder.",
            ) from error
        raise _unwritable(error.strerror or type(error).__name__) from error


def _unwritable(reason: str) -> StorageFailed:
    return StorageFailed(
        f"The folder for downloads cannot be written to: {reason}.",
        code="NOT_WRITABLE",
        hint="Name a folder that this user may write to.",
    )
