"""What `health` tells of the machine: the doctor's quick visit.

Nothing flows in, a dict without path, host or secret flows out. Whoever asks often remembers it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from f5serve.diagnosis import Report, quick

REMEMBERED_S = 30.0


class Checkup:
    """Visits; any thread may ask.

    Args:
        look: makes a visit.
        remembered_s: how long one counts.
    """

    def __init__(
        self, look: Callable[[], Report] = quick, remembered_s: float = REMEMBERED_S
    ) -> None:
        self._look = look
        self.remembered_s = remembered_s

    def summary(self) -> dict[str, Any]:
        """`doctor`: findings above ok, worst first, each with level, code, what and fix; `disk`:
        free and total bytes by what a folder is used for. Blocks for as long as a disk does.
        """
        return _summary(self._look())


def _summary(report: Report) -> dict[str, Any]:
    return {
        "doctor": [finding.public() for finding in report.above_ok],
        "disk": {
            disk.role: {"free_bytes": disk.free, "total_bytes": disk.total}
            for disk in report.facts.disks
        },
    }
