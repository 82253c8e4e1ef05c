"""Probes of the machine: Python, packages, memory, disks, ports and the GPU's driver.

Each reads one thing from files and programs, changes nothing and cannot hang; no package is
imported.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import re
import resource
import socket
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from f5serve.doctor.facts import Card, Disk, Gpu, Memory, Package, Port, Python, TorchFiles
from f5serve.doctor.sources import Sources
from f5serve.number_formats import cpu_flags

PACKAGES = (
    "torch",
    "triton",
    "flash-attn",
    "numpy",
    "safetensors",
    "huggingface-hub",
    "onnxruntime",
    "boto3",
    "runpod",
    "nvidia-cudnn-cu11",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
VOLUME = Path("/runpod-volume")
_QUERY = "name,driver_version,memory.total,memory.used"
_MIB = 1 << 20


def this_python() -> Python:
    """The interpreter that runs this."""
    return Python(
        version=sys.version_info[:3],
        implementation=platform.python_implementation(),
        platform=sysconfig.get_platform().replace("-", "_").replace(".", "_"),
        libc=platform.libc_ver()[0] or "unknown libc",
        bits=struct.calcsize("P") * 8,
    )


def probe_memory(sources: Sources, cores: int) -> Memory:
    """The least that machine and container leave.

    Args:
        cores: that this process may use.
    """
    lines = _text(sources.root / "proc/meminfo").splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
    total, available = values.get("MemTotal", 0), values.get("MemAvailable", 0)
    group = sources.root / "sys/fs/cgroup"
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        most = _number(group / limit)
        if most is not None and 0 < most < (total or most + 1):
            # Pages of files count as used until other memory is needed.
            cached = re.search(r"^(?:total_)?inactive_file (\d+)$", _text(group / stat), re.M)
            busy = (_number(group / used) or 0) - (int(cached[1]) if cached else 0)
            total, available = most, min(available, most - max(busy, 0))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Memory(total, available, cores, files, cpu_flags(sources.root / "proc/cpuinfo"))


def probe_disk(sources: Sources, role: str, path: Path) -> Disk:
    """Whether a folder can be written to, and what its file system reports."""
    # os.path, as Path's own raise at names that are too long or behind closed folders
    folders = (path, *path.absolute().parents)
    there = next((one for one in folders if os.path.exists(one)), Path("/"))  # noqa: PTH110
    mounted = _is_mounted(sources, path)
    if not os.path.isdir(there):  # noqa: PTH112
        return Disk(role, path, mounted=mounted, is_folder=False)
    try:
        held = sources.statvfs(there)
        total, free = held.f_blocks * held.f_frsize, held.f_bavail * held.f_frsize
        inodes = held.f_favail if held.f_files else None
    except OSError as error:
        return Disk(role, path, error=error.strerror or str(error), mounted=mounted)
    return Disk(role, path, total, free, inodes, _write_error(there), mounted)


def probe_ports(variables: Iterable[str], sources: Sources) -> tuple[Port, ...]:
    """Whether the ports that those variables name can be listened on.

    Variables that are not set are left out, and those without a number: settings report these.
    """
    named = [(name, sources.variables.get(name, "").strip()) for name in variables]
    return tuple(
        Port(name, value, _port_state(int(value)))
        for name, value in named
        if value.isdecimal() and 0 < int(value) < 65536
    )


def probe_gpu(sources: Sources, ask: bool) -> Gpu:
    """What the driver has put onto this machine; with `ask`, what nvidia-smi reports as well."""
    nodes = sorted(
        node.name
        for node in (sources.root / "dev").glob("nvidia[0-9]*")
        if node.name[6:].isdecimal()
    )
    module = re.search(
        r"Kernel Module\D*?(\d+\.[\d.]+)", _text(sources.root / "proc/driver/nvidia/version")
    )
    gpu = Gpu(nodes=tuple(nodes), kernel_driver=module[1] if module else "")
    return _ask_driver(sources, gpu) if ask else gpu


def _ask_driver(sources: Sources, gpu: Gpu) -> Gpu:
    asked = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    answer = sources.commands.run(asked, sources.driver_s)
    cards, driver, error = [], "", ""
    if answer.code == 0:
        for line in answer.out.strip().splitlines():
            cells = [cell.strip() for cell in line.split(",")]
            if len(cells) == 4:
                driver = cells[1]
                total, used = (int(c) * _MIB if c.isdecimal() else 0 for c in cells[2:])
                cards.append(Card(cells[0], total, used))
    elif answer.code is not None:
        error = answer.last_line or f"nvidia-smi ended with {answer.code}"
    return replace(
        gpu, driver=driver, cards=tuple(cards), error=error, hangs=answer.timed_out, asked=True
    )


def _is_mounted(sources: Sources, path: Path) -> bool:
    """False for a path on RunPod's volume where that is no mount: it would fill another disk."""
    if not path.is_relative_to(VOLUME):
        return True
    mounts = (line.split() for line in _text(sources.root / "proc/mounts").splitlines())
    return any(len(parts) > 1 and parts[1] == str(VOLUME) for parts in mounts)


def _write_error(folder: Path) -> str:
    try:
        # Without a name where the system can do that: nothing stays behind, whatever happens.
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _MIB)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _port_state(port: int) -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", port))
    except OSError as error:
        return "taken" if error.errno == errno.EADDRINUSE else "not permitted"
    return "free"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def probe_packages(sources: Sources) -> tuple[Package, ...]:
    """The distributions of `PACKAGES`, each as often as it is installed."""
    found: dict[str, Package] = {}
    for name in PACKAGES:
        for one in metadata.distributions(name=name, path=list(sources.site)):
            place = str(one.locate_file("."))
            key = f"{name} {one.version} {os.path.realpath(place)}"
            if key not in found:
                is_flash = name == "flash-attn"
                found[key] = Package(
                    name,
                    one.version,
                    place,
                    wheel=_wheel(one) if is_flash else "",
                    size=_size(one) if is_flash else 0,
                )
    return tuple(found.values())


def probe_torch_files(sources: Sources) -> TorchFiles | None:
    """Version and CUDA of the torch that would be imported; None when there is none."""
    for folder in sources.site:
        home = Path(folder or ".") / "torch"
        start = home / "__init__.py"
        if not start.is_file():
            continue
        try:
            text = (home / "version.py").read_text()
        except OSError:
            text = ""
        version = re.search(r"^__version__ *(?::[^=]+)?= *['\"]([^'\"]+)", text, re.M)
        cuda = re.search(r"^cuda *(?::[^=]+)?= *['\"]([^'\"]+)", text, re.M)
        compiled = Path(importlib.util.cache_from_source(str(start)))
        return TorchFiles(
            version=version[1] if version else "",
            cuda=cuda[1] if cuda else "",
            has_bytecode=compiled.is_file(),
            can_compile=os.access(home, os.W_OK),
        )
    return None


def _wheel(package: metadata.Distribution) -> str:
    """Name of the file that it was installed from, when that was a URL."""
    try:
        url = str(json.loads(package.read_text("direct_url.json") or "{}").get("url", ""))
    except ValueError:
        return ""
    return url.split("#")[0].rsplit("/", 1)[-1].replace("%2B", "+")


def _size(package: metadata.Distribution) -> int:
    return sum(file.size or 0 for file in package.files or ())
