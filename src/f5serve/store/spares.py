"""Open files kept back, so that records can be written where the process may open no more.

Whoever was refused for too many open files borrows them and tries again. What for is not known
here.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator

SPARES = 16
"""For the writes of some jobs at once, each of a file and its folder, or of a connection."""


class SpareDescriptors:
    """File descriptors that are open for nothing, until they are lent; safe for threads.

    Args:
        count: how many, if the process may open so many.
    """

    def __init__(self, count: int = SPARES) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._borrowers = 0
        self._kept: list[int] = []
        weakref.finalize(self, _close_all, self._kept)
        self._keep()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, so many files can be opened; by all who borrow at the same time together."""
        with self._lock:
            self._borrowers += 1
            _close_all(self._kept)
        try:
            yield
        finally:
            with self._lock:
                self._borrowers -= 1
                if not self._borrowers:
                    self._keep()

    def _keep(self) -> None:
        with contextlib.suppress(OSError):  # others were faster; the next borrower tries again
            while len(self._kept) < self._count:
                self._kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
