"""What `health` tells of the machine: the doctor's quick visit, remembered for a while.

Nothing flows in, a dict without path, host or secret flows out. Health is asked often and by
several callers at once, so one look serves them all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from f5serve.diagnosis import Report, quick

REMEMBERED_S = 30.0


class Checkup:
    """The newest visit; any thread may ask.

    Args:
        look: makes a visit.
        remembered_s: how long one counts.
    """

    def __init__(
        self, look: Callable[[], Report] = quick, remembered_s: float = REMEMBERED_S
    ) -> None:
        self._look = look
        self._remembered_s = remembered_s
        self._told: dict[str, Any] = {}
        self._until = 0.0
        self._lock = threading.Lock()

    def summary(self) -> dict[str, Any]:
        """`doctor`: findings above ok, worst first, each with level, code, what and fix; `disk`:
        free and total bytes by what a folder is used for. Blocks while it looks.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._told = _summary(self._look())
                self._until = time.monotonic() + self._remembered_s
            return self._told


def _summary(report: Report) -> dict[str, Any]:
    return {
        "doctor": [finding.public() for finding in report.above_ok],
        "disk": {
            disk.role: {"free_bytes": disk.free, "total_bytes": disk.total}
            for disk in report.facts.disks
        },
    }
