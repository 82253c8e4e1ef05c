"""What this process is and uses, for whoever watches it: build, memory, threads, files, disk.

The kernel's own numbers flow into a registry each time it is read, under the names that Prometheus'
own clients give them. What the process does is not known here.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from f5serve import build
from f5serve.metrics import Registry
from f5serve.service.probe import Probe

DOCS = {
    "process_cpu_seconds_total": "User and system time of this process.",
    "process_resident_memory_bytes": "Memory of this process that is in RAM.",
    "process_open_fds": "Open file descriptors.",
    "process_max_fds": "Most file descriptors that may be open.",
    "process_threads": "Threads of this process.",
    "process_start_time_seconds": "When this process began, seconds since 1970.",
}
DISK_DOCS = {
    "f5_disk_free_bytes": "Free on the disk of F5_DATA_DIR.",
    "f5_disk_size_bytes": "Size of that disk.",
}
DISK_REMEMBERED_S = 1.0
DISK_S = 1.0
"""Longest wait for the disk."""

_PAGE = resource.getpagesize()
_PROC = Path("/proc/self")


def watch_process(registry: Registry, data_dir: Path | None = None) -> None:
    """Export what the process is and uses, and the room on the disk of `data_dir`."""
    stamp = build.stamp()
    registry.gauge(
        "f5_build_info", "1, with what is running as its labels.", ["version", "commit"]
    ).labels(stamp.version, stamp.commit).set(1)
    registry.add_source(usage, DOCS)
    if data_dir is not None:
        # A disk that does not answer is told as it was, and asked by one thread at a time.
        disk = Probe("f5-disk", lambda: _room(data_dir), DISK_REMEMBERED_S, DISK_S)
        registry.add_source(lambda: disk.ask_blocking().value or {}, DISK_DOCS)


def usage() -> Mapping[str, float]:
    """The numbers of `DOCS` that this system tells; none where there is no /proc."""
    told: dict[str, float] = {"process_cpu_seconds_total": time.process_time()}
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):  # not on Linux
        pages = int((_PROC / "statm").read_text().split()[1])
        told |= {
            "process_resident_memory_bytes": pages * _PAGE,
            "process_open_fds": sum(1 for _ in (_PROC / "fd").iterdir()),
            "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            **_of_stat((_PROC / "stat").read_text()),
        }
    return told


def _of_stat(line: str) -> Mapping[str, float]:
    """Threads and begin; counted from behind the name, which may hold anything."""
    fields = line.rpartition(")")[2].split()
    since_boot = float(fields[19]) / os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return {
        "process_threads": float(fields[17]),
        "process_start_time_seconds": round(booted + since_boot, 2),
    }


def _room(folder: Path) -> Mapping[str, float]:
    """The numbers of `DISK_DOCS`; none where the system does not tell them."""
    for there in (folder, *folder.parents):  # the first put makes it
        with contextlib.suppress(OSError):
            found = shutil.disk_usage(there)
            return {"f5_disk_free_bytes": found.free, "f5_disk_size_bytes": found.total}
    return {}
