"""Locks between processes that die with their holder, and with nobody else.

A path flows in, an open file that may hold a flock flows out. The kernel frees a flock when the
last copy of the descriptor closes, so a killed holder frees it at once, unless a forked child still
has a copy: children close theirs here, and exec closes the rest. On some network file systems flock
fails, or succeeds for everybody; nothing but bandwidth may depend on it. Lock files are never
removed: removing one that is held lets a second holder in. This module must not know what the
files are.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

Flock = Callable[[int, int], object]


class Locks:
    """The locks of one process."""

    def __init__(self, flock: Flock = fcntl.flock) -> None:
        """Args: flock: the system call; a test gives one that lies."""
        self._flock = flock
        self._open: set[int] = set()
        self._gate = threading.RLock()  # held while the set and the process's files differ
        _at_fork(self)

    def open(self, path: Path, flags: int = 0) -> int:
        """Open a file for locking, never through a symbolic link; `flags` as for `os.open`.

        Raises:
            OSError: as `os.open`.
        """
        with self._gate:
            flags |= os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            self._open.add(descriptor)
        return descriptor

    def take(self, descriptor: int) -> bool:
        """Lock an open file, without waiting; False when somebody else has it.

        Raises:
            OSError: the file system has no locks.
        """
        try:
            self._flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_ours(self, descriptor: int) -> bool:
        """As `take`, and True where there are no locks: then nobody else has it either."""
        try:
            return self.take(descriptor)
        except OSError:
            return True

    def close(self, descriptor: int) -> None:
        """Close a file and so free its lock; nothing when a fork has closed it already."""
        with self._gate:
            if descriptor in self._open:
                self._open.remove(descriptor)
                os.close(descriptor)

    def before_fork(self) -> None:
        """Let no file be opened or closed until the child is there."""
        self._gate.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Give up the child's copies; the parent's locks stay as they are."""
        self._gate = threading.RLock()
        for descriptor in self._open:
            os.close(descriptor)
        self._open = set()


def _at_fork(locks: Locks) -> None:
    """Tell `locks` of every fork as long as it lives; what is registered cannot be taken back."""
    alive = weakref.ref(locks)

    def telling(tell: Callable[[Locks], None]) -> Callable[[], None]:
        def hook() -> None:
            there = alive()
            if there is not None:
                tell(there)

        return hook

    os.register_at_fork(
        before=telling(Locks.before_fork),
        after_in_parent=telling(Locks.after_fork_in_parent),
        after_in_child=telling(Locks.after_fork_in_child),
    )
