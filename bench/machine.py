"""The machine that a result was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")
"""Instruction sets that decide which precision is fast."""


def describe() -> dict[str, Any]:
    """Processor, instruction sets, cores and memory."""
    info = _fields(Path("/proc/cpuinfo"))
    flags = info.get("flags", "").split()
    memory_kb = int(_fields(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0])
    return {
        "cpu": info.get("model name", platform.machine()),
        "family": "/".join(info.get(name, "?") for name in ("cpu family", "model", "stepping")),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kb / 2**20),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def _fields(path: Path) -> dict[str, str]:
    """The first value of each "name: value" line."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found
