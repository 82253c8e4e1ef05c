"""Checks of what is installed, of the build, and of disks, memory, limits and ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from f5serve.doctor.facts import Disk, Facts
from f5serve.doctor.findings import Finding, finding, ok
from f5serve.settings import takes_jobs

OLDEST_PYTHON = (3, 11)
OLDEST = {"torch": (2, 10), "boto3": (1, 40)}
"""As pyproject.toml requires."""
TESTED_RUNPOD = (1, 12)
ROOM = 256 << 20
"""Free bytes for the voices and results that are under way."""
FEW_INODES = 1000
SMALL_MEMORY = 3 * 10**9
"""Bytes below which a warning is due: twice what torch and the published weights take in fp32."""
FEW_FILES = 256
_SDK_MEMORY_GB = 4.0
_SDK_DISK_PERCENT = 10.0
_SETTING_OF = {
    "temp": "TMPDIR",
    "data": "F5_DATA_DIR",
    "models": "F5_MODELS_DIR",
    "cache": "F5_CACHE_DIR",
}
_FULL = ("No space left on device", "Disk quota exceeded")


def check_python(facts: Facts) -> Iterator[Finding]:
    """The interpreter, and packages that are too old or installed twice."""
    python = facts.python
    version = ".".join(map(str, python.version))
    if python.version[:2] < OLDEST_PYTHON:
        yield finding("PYTHON_TOO_OLD", version)
    else:
        yield ok("python", "Python", f"{version}, {python.implementation}, {python.platform}")
    for name, oldest in OLDEST.items():
        package = facts.package(name)
        if package and version_of(package.version) < oldest:
            least = ".".join(map(str, oldest))
            yield finding(f"{name.upper()}_TOO_OLD", package.version, least=least)
    runpod = facts.package("runpod")
    if runpod and version_of(runpod.version) != TESTED_RUNPOD:
        yield finding("RUNPOD_UNTESTED", runpod.version)
    names = [package.name for package in facts.packages if package.name != "flash-attn"]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found = (f"{p.version} in {p.folder}" for p in facts.packages if p.name == name)
        yield finding("PACKAGE_TWICE", "; ".join(found), name=name)


def check_torch(facts: Facts) -> Iterator[Finding]:
    """Whether the engine's libraries are installed and can be loaded."""
    if facts.models is not None and not facts.models.engine_installed:
        if facts.needs_torch:
            yield finding("ENGINE_NOT_INSTALLED", "no torch", extra="engine")
        else:
            missing = finding("ENGINE_NOT_INSTALLED", "no onnxruntime", extra="local")
            yield replace(missing, section="python")
        return
    run = facts.torch_run
    if run is not None and run.error:
        code = "TORCH_HANGS" if run.timed_out else "TORCH_BROKEN"
        yield finding(code, run.error, level="fatal" if facts.needs_torch else "warning")
    elif facts.torch is not None:
        abi = run.cxx11_abi if run else None
        suffix = "" if abi is None else f", C++ ABI {str(abi).upper()}"
        cuda = f"CUDA {facts.torch.cuda}" if facts.torch.cuda else "CPU build"
        yield ok("torch", "torch", f"{facts.torch.version}, {cuda}{suffix}")
    if facts.torch and not (facts.torch.has_bytecode or facts.torch.can_compile):
        yield finding("BYTECODE_MISSING", "no __pycache__")


def check_build(facts: Facts) -> Iterator[Finding]:
    """Whether the installed files are those that were built."""
    build = facts.build
    if build is None:
        return
    if build.error:
        yield finding("STAMP_UNREADABLE", build.error)
    elif build.differing:
        more = len(build.differing) - 8
        suffix = f" and {more} more" if more > 0 else ""
        yield finding("BUILD_CHANGED", ", ".join(build.differing[:8]) + suffix)
    elif build.libraries:
        yield finding("LIBRARIES_CHANGED", "; ".join(build.libraries[:6]))
    elif build.dirty:
        yield finding("BUILD_DIRTY", build.stamp)
    elif build.commit == "unknown":
        yield finding("BUILD_UNSTAMPED", build.stamp)
    else:
        yield ok("build", "build", build.stamp + (", a checkout" if build.is_checkout else ""))


def version_of(text: str) -> tuple[int, int]:
    """First two numbers of a version; 0 for what is no number."""
    found = re.match(r"(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def check_disks(facts: Facts) -> Iterator[Finding]:
    """Whether each folder can be written to and has room."""
    full: list[Disk] = []
    for disk in facts.disks:
        name, path = _SETTING_OF.get(disk.role), str(disk.path)
        if name is None:
            continue
        if not disk.mounted:
            yield finding("VOLUME_NOT_MOUNTED", path, name=name)
        elif not disk.is_folder:
            yield finding("NOT_A_FOLDER", path, name=name)
        elif disk.error and disk.error not in _FULL:
            yield _not_writable(facts, disk, name)
        elif disk.error or (disk.role in ("temp", "data") and disk.free < ROOM):
            full.append(disk)
        elif disk.inodes_free is not None and disk.inodes_free < FEW_INODES:
            yield finding("NO_INODES", f"{path}: {disk.inodes_free} inodes left")
        else:
            yield ok("disk", disk.role, f"{path}, {disk.free / 10**9:.1f} GB free")
    if full:
        yield _no_space(facts, full)
    yield from _room_for_models(facts)
    yield from _sdk_disk(facts)


def _not_writable(facts: Facts, disk: Disk, name: str) -> Finding:
    value, code = f"{disk.path}: {disk.error}", f"{disk.role.upper()}_NOT_WRITABLE"
    if disk.role in ("temp", "data"):
        return finding("NOT_WRITABLE", value, code=code, name=name)
    if _must_fetch(facts):
        return finding("MODELS_NOT_WRITABLE", value, code=code, name=name)
    return ok("disk", disk.role, f"{disk.path}, read only")  # baked weights are only read


def _no_space(facts: Facts, disks: list[Disk]) -> Finding:
    """One finding for all folders that are full: most often they are on one disk."""
    parts = [
        f"{disk.path}: {disk.error or f'{disk.free >> 20} MiB of {disk.total >> 20} free'}"
        for disk in disks
    ]
    best = max(_usable(facts), key=lambda disk: disk.free, default=None)
    if best is not None and best.free >= ROOM:
        parts.append(f"it would fit below {best.path}: {best.free >> 20} MiB free")
    return finding(
        "NO_SPACE",
        "; ".join(parts),
        level="fatal" if any(disk.role in ("temp", "data") for disk in disks) else "warning",
        names=" and ".join(_SETTING_OF[disk.role] for disk in disks),
        needed=f"{ROOM >> 20} MiB",
    )


def _usable(facts: Facts) -> list[Disk]:
    return [disk for disk in facts.disks if disk.is_folder and disk.mounted and not disk.error]


def _must_fetch(facts: Facts) -> bool:
    models = facts.models
    return bool(models and models.may_fetch and models.code == "MODEL_MISSING")


def _room_for_models(facts: Facts) -> Iterator[Finding]:
    if not _must_fetch(facts) or facts.models is None or any(d.error in _FULL for d in facts.disks):
        return
    needed, most = facts.models.needs, max((disk.free for disk in _usable(facts)), default=0)
    if needed > most >= ROOM:
        # A bucket may hold the converted weights, which take a third.
        may_fit = facts.store is not None and facts.store.is_shared
        value = f"{needed / 10**9:.2f} GB are needed, {most / 10**9:.2f} GB are free"
        yield finding("NO_ROOM_FOR_MODELS", value, level="warning" if may_fit else None)


def _sdk_disk(facts: Facts) -> Iterator[Finding]:
    """RunPod's SDK ends a worker whose / is nearly full, without an error for the caller."""
    root = next((disk for disk in facts.disks if disk.role == "root"), None)
    if root is None or not _sdk_checks(facts) or not root.total:
        return
    least = _number(facts, "RUNPOD_MIN_DISK_PERCENT", _SDK_DISK_PERCENT)
    percent = 100 * root.free / root.total
    if percent < least:
        value = f"{percent:.1f} % of {root.total / 10**9:.1f} GB"
        yield finding("DISK_BELOW_SDK_MINIMUM", value, least=f"{least:g}")


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Memory, cores and the limit on open files."""
    memory, threads = facts.memory, facts.settings.threads
    least = _number(facts, "RUNPOD_MIN_MEMORY_GB", _SDK_MEMORY_GB)
    value = f"{memory.available / 10**9:.1f} of {memory.total / 10**9:.1f} GB available"
    if _sdk_checks(facts) and memory.available / 2**30 < least:
        yield finding("MEMORY_BELOW_SDK_MINIMUM", value, least=f"{least:g}")
    elif facts.needs_torch and memory.total < SMALL_MEMORY:
        yield finding("MEMORY_SMALL", value, needed=f"{SMALL_MEMORY / 10**9:.0f}")
    else:
        yield ok("memory", "memory", f"{value}, {memory.cores} cores")
    if threads > memory.cores:
        yield finding("THREADS_ABOVE_CORES", f"{threads} threads, {memory.cores} cores")
    if memory.open_files < FEW_FILES:
        yield finding("FILES_LIMIT_LOW", f"{memory.open_files}")


def check_ports(facts: Facts) -> Iterator[Finding]:
    """Whether a server can listen on the ports of the settings."""
    for port in facts.ports:
        if port.state == "free":
            yield ok("ports", port.variable, port.value)
        else:
            code = "PORT_TAKEN" if port.state == "taken" else "PORT_NOT_PERMITTED"
            yield finding(code, port.value, name=port.variable)


def _sdk_checks(facts: Facts) -> bool:
    skipped = facts.variables.get("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "").lower() == "true"
    return takes_jobs(facts.variables) and not skipped


def _number(facts: Facts, name: str, default: float) -> float:
    try:
        return float(facts.variables.get(name, ""))
    except ValueError:
        return default
