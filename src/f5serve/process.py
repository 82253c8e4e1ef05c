"""This process: file descriptors, cores, priority, waits that can be cancelled, its children's end.

    python -m f5serve.process PARENT_PID ARGUMENTS...

runs `python ARGUMENTS...` in its own process, at low priority, which Linux ends as soon as the
thread that started it has ended: that thread must wait for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f5serve.errors import means_too_many_files

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger(__name__)

MAX_FILES = 65_536
"""What is asked for where a system names no limit."""

RESERVED_FILES = 128
"""Kept back for the records of running work: files, connections to the store, pipes of children."""

COUNT_TTL_S = 1.0
"""How long a count is good for while there is plenty; near the limit each is made anew."""

CHECK_S = 0.1
"""Seconds between two calls of a check while a thread waits."""

NICENESS = 10
"""Of work that gives way to everything else."""

_PR_SET_PDEATHSIG = 1
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")

Check = Callable[[], None]
"""Raises once the result is no longer wanted."""


def raise_file_limit() -> int:
    """Allow as many descriptors as this user may have, from now on; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS takes fewer than it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return file_limit()


def file_limit() -> int:
    """How many descriptors this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_FILES if soft == resource.RLIM_INFINITY else int(soft)


def count_open_files() -> int:
    """How many descriptors are open; 0 where this system does not report it."""
    for folder in map(Path, ("/proc/self/fd", "/dev/fd")):
        try:
            return sum(1 for _ in folder.iterdir())
        except OSError as error:
            if means_too_many_files(error):  # not even one to look with
                return file_limit()
    return 0


class FileDescriptors:
    """The descriptors of this process, from the time when it is ready to take connections.

    Attributes:
        reserved: how many nothing new may use.
        max_connections: how many connections there may be beside what was open at the start.
    """

    def __init__(self) -> None:
        self._limit = file_limit()
        self.reserved = min(RESERVED_FILES, self._limit // 4)
        self.max_connections = max(self._limit - count_open_files() - self.reserved, 8)
        self._free, self._counted = 0, float("-inf")

    def shortage(self) -> int:
        """How many have to be closed before new work may begin; 0 while there is room."""
        needed = self.reserved // 2
        now = time.monotonic()
        if self._free < 4 * self.reserved or now - self._counted > COUNT_TTL_S:
            self._free, self._counted = self._limit - count_open_files(), now
        return max(needed - self._free, 0)


def usable_threads(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores that the container's quota and the affinity mask leave, at least 1.

    More threads than that make every OpenMP barrier wait for a core, which costs several times
    the work itself.
    """
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
        cores = min(cores, int(quota) // int(period))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        pass
    return max(1, cores)


def memory_limit(limit_file: Path = _CGROUP_MEMORY) -> int:
    """Bytes that this process may take: those of the machine, or fewer by its container."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(there, int(limit_file.read_text()))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return there


def never_cancelled() -> None:
    """A check that never raises."""


def wait_all(futures: Iterable[Future[Any]], check: Check | None = None) -> None:
    """Wait until all futures have ended, with a result, an error or cancelled."""
    waiting = set(futures)
    while waiting := wait(waiting, CHECK_S).not_done:
        if check is not None:
            check()


def log_failure(future: Future[Any] | asyncio.Future[Any], what: str) -> None:
    """Log the exception of a future whose outcome nothing else reads."""

    def log(ended: Future[Any] | asyncio.Future[Any]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _log.error("%s failed: %s", what, type(error).__name__, exc_info=error)

    future.add_done_callback(log)


@contextlib.contextmanager
def hold_lock(
    lock: threading.Lock | threading.Semaphore, check: Check | None = None
) -> Iterator[None]:
    """Hold the lock inside; `check` may end the wait for it."""
    while not lock.acquire(timeout=CHECK_S):
        if check is not None:
            check()
    try:
        yield
    finally:
        lock.release()


def lower_priority(by: int) -> None:
    """Let other threads go before this one where cores are short; `by` is added to its niceness.

    Linux alone has a priority for each thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + by)


def kill_forks_with_parent() -> None:
    """Have Linux kill what the main thread forks from now on once this process has ended.

    RunPod's SDK forks a heartbeat. It outlives a worker that is killed, and goes on reporting to
    RunPod that the dead worker's jobs are running, so that no other worker takes them over.
    Forks of other threads are left alone: Linux would kill them when their thread ends.
    Programs started by subprocess are not concerned.
    """
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()
    main_thread = threading.main_thread().ident

    def tie() -> None:
        if os.getppid() != parent or threading.get_ident() != main_thread:
            return
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    os.register_at_fork(after_in_child=tie)


def main() -> None:
    """Become another Python program that ends with the parent, and gives way to it."""
    parent, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before that
        sys.exit(1)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
