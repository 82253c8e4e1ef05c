"""File descriptors of this process: as many as the system gives, and some kept back.

The limit of the system flows in, how many are free flows out. Every connection, file and pipe takes
one, and a process without any can neither answer nor write down what became of its work. Who uses
them is not known here.
"""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

from f5serve.errors import means_too_many_files

MOST = 65_536
"""What is asked for where a system names no limit."""

KEPT = 128
"""Kept back for the records of running work: files, connections to the store, pipes of children."""

LOOK_S = 1.0
"""How long a count is good for while there is plenty; near the limit each is made anew."""


def raise_limit() -> int:
    """As many descriptors as this user may have, from now on; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS takes fewer than it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """How many this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else int(soft)


def count() -> int:
    """How many are open; 0 where this system does not tell."""
    for folder in map(Path, ("/proc/self/fd", "/dev/fd")):
        try:
            return sum(1 for _ in folder.iterdir())
        except OSError as error:
            if means_too_many_files(error):  # not even one to look with
                return limit()
    return 0


class Descriptors:
    """Those of this process, looked at from the time when it is ready to take connections.

    Attributes:
        kept: how many nothing new may use.
        for_connections: how many connections there may be beside what was open at the start.
    """

    def __init__(self) -> None:
        self._limit = limit()
        self.kept = min(KEPT, self._limit // 4)
        self.for_connections = max(self._limit - count() - self.kept, 8)
        self._free, self._counted = 0, float("-inf")

    def missing(self) -> int:
        """How many have to be closed before new work may begin; 0 while there is room."""
        needed = self.kept // 2
        now = time.monotonic()
        if self._free < 4 * self.kept or now - self._counted > LOOK_S:
            self._free, self._counted = self._limit - count(), now
        return max(needed - self._free, 0)
