"""Child processes that end with this one (PR_SET_PDEATHSIG of Linux).

    python -m f5serve.startup.die_with_parent PARENT_PID ARGUMENTS...

runs `python ARGUMENTS...` in its own process, at low priority, which Linux ends as soon as the
thread that started it has ended: that thread must wait for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading

NICENESS = 10

_PR_SET_PDEATHSIG = 1


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
