"""Forked children that die with this process.

RunPod's SDK forks a heartbeat. It outlives a worker that is killed, and goes on telling RunPod that
the dead worker's jobs are running, so that nobody takes them over.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def tie_forks_to_this_process() -> None:
    """Have Linux kill whatever the main thread forks from now on once this process is gone.

    Forks of other threads are left alone: Linux would kill them when their thread ends.
    Programs started by subprocess are not concerned.
    """
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()
    main = threading.main_thread().ident

    def tie() -> None:
        if os.getppid() != parent or threading.get_ident() != main:
            return
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    os.register_at_fork(after_in_child=tie)
