"""How many CPU threads this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


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
