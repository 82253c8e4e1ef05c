"""Become another Python program that ends with the one that started this, and gives way to it.

    python -m f5serve.startup.tied PARENT_PID ARGUMENTS...

runs `python ARGUMENTS...` in this process. On Linux it is told to end as soon as the thread that
started it has ended, so that thread must wait for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

NICENESS = 10

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie, give way, and turn into the other program."""
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
