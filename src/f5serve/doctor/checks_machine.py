"""Judges disks, memory, limits and ports.

Facts flow in, findings flow out.
"""

from __future__ import annotations

from collections.abc import Iterator

from f5serve.doctor.facts import Disk, Facts, Port
from f5serve.doctor.findings import DEVICE, STORAGE, Finding, ok
from f5serve.settings import takes_jobs

ROOM = 256 << 20
"""Free bytes for the voices and results that are under way."""
FEW_INODES = 1000
SMALL_MEMORY = 3 * 10**9
"""Bytes below which it is worth a word: twice what torch and the published weights take in fp32."""
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


def check_disks(facts: Facts) -> Iterator[Finding]:
    """Whether each folder can be written to and has room."""
    full: list[Disk] = []
    for disk in facts.disks:
        if disk.role not in _SETTING_OF:
            continue
        if not disk.mounted:
            yield _not_mounted(disk)
        elif not disk.is_folder:
            yield _in_the_way(disk)
        elif disk.error and disk.error not in _FULL:
            yield from _not_writable(facts, disk)
        elif disk.error or (disk.role in ("temp", "data") and disk.free < ROOM):
            full.append(disk)
        elif disk.inodes_free is not None and disk.inodes_free < FEW_INODES:
            yield _no_inodes(disk)
        else:
            yield ok("disk", disk.role, f"{disk.path}, {disk.free / 10**9:.1f} GB free")
    yield from _full(facts, full)
    yield from _room_for_models(facts)
    yield from _sdk_disk(facts)


def _not_mounted(disk: Disk) -> Finding:
    name = _SETTING_OF[disk.role]
    return Finding(
        "warning",
        "disk",
        "VOLUME_NOT_MOUNTED",
        f"{name} is on the network volume, and none is mounted.",
        str(disk.path),
        "What is written there fills the container's disk and is gone with the worker.",
        f"Attach the volume to the endpoint, or remove {name}.",
    )


def _in_the_way(disk: Disk) -> Finding:
    name = _SETTING_OF[disk.role]
    return Finding(
        "fatal",
        "disk",
        "NOT_A_FOLDER",
        f"{name} leads to something that is no folder.",
        str(disk.path),
        "Nothing can be kept there.",
        f"Set {name} to a folder; it is made when it is not there.",
        STORAGE,
    )


def _not_writable(facts: Facts, disk: Disk) -> Iterator[Finding]:
    if disk.role in ("models", "cache") and not _must_fetch(facts):
        yield ok(
            "disk", disk.role, f"{disk.path}, read only"
        )  # baked weights are read, not written
        return
    is_fatal = disk.role in ("temp", "data")
    name = _SETTING_OF[disk.role]
    yield Finding(
        "fatal" if is_fatal else "warning",
        "disk",
        f"{disk.role.upper()}_NOT_WRITABLE",
        f"Nothing can be written to the folder of {name}.",
        f"{disk.path}: {disk.error}",
        "Voices and results pass through it."
        if is_fatal
        else "Weights that are missing are fetched to the next place that has room.",
        f"Set {name} to a folder that this user may write to, or mount one there.",
        STORAGE if is_fatal else 0,
    )


def _no_inodes(disk: Disk) -> Finding:
    return Finding(
        "fatal",
        "disk",
        "NO_INODES",
        "The file system can hold almost no further files.",
        f"{disk.path}: {disk.inodes_free} inodes left",
        "It says 'No space left on device' although bytes are free.",
        "Remove small files there, such as old caches and locks.",
        STORAGE,
    )


def _full(facts: Facts, disks: list[Disk]) -> Iterator[Finding]:
    """One finding for all folders that are full: most often they are on one disk."""
    if not disks:
        return
    is_fatal = any(disk.role in ("temp", "data") for disk in disks)
    names = " and ".join(_SETTING_OF[disk.role] for disk in disks)
    needed = f"{ROOM >> 20} MiB"
    yield Finding(
        "fatal" if is_fatal else "warning",
        "disk",
        "NO_SPACE",
        f"The folder of {names} has no room for the {needed} that are needed.",
        "; ".join(
            f"{disk.path}: {disk.error or f'{disk.free >> 20} MiB of {disk.total >> 20} free'}"
            for disk in disks
        )
        + _roomy(facts),
        f"Voices and results need {needed} to pass through.",
        f"Set {names} to a folder with {needed} free, give the container a larger disk, or remove "
        "what fills it (f5serve doctor names a second flash-attn).",
        STORAGE if is_fatal else 0,
    )


def _roomy(facts: Facts) -> str:
    """Where the room is that others lack, in a few words; "" where nobody has it."""
    usable = [disk for disk in facts.disks if disk.is_folder and disk.mounted and not disk.error]
    best = max(usable, key=lambda disk: disk.free, default=None)
    if best is None or best.free < ROOM:
        return ""
    return f"; it would fit below {best.path}: {best.free >> 20} MiB free"


def _must_fetch(facts: Facts) -> bool:
    models = facts.models
    return bool(models and models.may_fetch and models.code == "MODEL_MISSING")


def _room_for_models(facts: Facts) -> Iterator[Finding]:
    if not _must_fetch(facts) or facts.models is None or any(d.error in _FULL for d in facts.disks):
        return
    usable = [d for d in facts.disks if d.is_folder and d.mounted and not d.error]
    most = max((disk.free for disk in usable), default=0)
    if facts.models.needs > most >= ROOM:
        # A bucket may hold the converted weights, which take a third.
        may_fit = facts.store is not None and facts.store.is_shared
        yield Finding(
            "warning" if may_fit else "fatal",
            "disk",
            "NO_ROOM_FOR_MODELS",
            "No disk has room for the weights, which are to be fetched.",
            f"{facts.models.needs / 10**9:.2f} GB are needed, {most / 10**9:.2f} GB are free",
            "Without weights F5-TTS cannot speak.",
            "Give the container a larger disk, attach a volume, or put the weights into the image.",
            0 if may_fit else STORAGE,
        )


def _sdk_disk(facts: Facts) -> Iterator[Finding]:
    """RunPod's SDK ends a worker whose / is nearly full, without saying so to the caller."""
    root = next((disk for disk in facts.disks if disk.role == "root"), None)
    if root is None or not _sdk_checks(facts) or not root.total:
        return
    least = _number(facts, "RUNPOD_MIN_DISK_PERCENT", _SDK_DISK_PERCENT)
    percent = 100 * root.free / root.total
    if percent < least:
        yield Finding(
            "fatal",
            "disk",
            "DISK_BELOW_SDK_MINIMUM",
            f"Less than {least:g} % of / is free.",
            f"{percent:.1f} % of {root.total / 10**9:.1f} GB",
            "RunPod's SDK ends such a worker before its first job.",
            "Enlarge the container disk of the endpoint, or lower RUNPOD_MIN_DISK_PERCENT.",
            STORAGE,
        )


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Memory, cores and the limit on open files."""
    memory = facts.memory
    least = _number(facts, "RUNPOD_MIN_MEMORY_GB", _SDK_MEMORY_GB)
    shown = f"{memory.available / 10**9:.1f} of {memory.total / 10**9:.1f} GB available"
    if _sdk_checks(facts) and memory.available / 2**30 < least:
        yield Finding(
            "fatal",
            "memory",
            "MEMORY_BELOW_SDK_MINIMUM",
            f"Less than {least:g} GB of memory is available.",
            shown,
            "RunPod's SDK ends such a worker before its first job.",
            "Take a machine with more memory, or lower RUNPOD_MIN_MEMORY_GB.",
            DEVICE,
        )
    elif facts.needs_torch and memory.total < SMALL_MEMORY:
        yield Finding(
            "warning",
            "memory",
            "MEMORY_SMALL",
            "There is little memory for F5-TTS.",
            shown,
            "The system ends a process that takes more, with exit code 137 and no message.",
            f"Give the container {SMALL_MEMORY / 10**9:.0f} GB or more; F5_DTYPE=int8 takes less.",
        )
    else:
        yield ok("memory", "memory", f"{shown}, {memory.cores} cores")
    if facts.settings.threads > memory.cores:
        yield Finding(
            "warning",
            "environment",
            "THREADS_ABOVE_CORES",
            "F5_THREADS is more than the cores that this process may use.",
            f"{facts.settings.threads} threads, {memory.cores} cores",
            "Threads that wait for a core hold up all others: it gets slower, not faster.",
            "Remove F5_THREADS: it follows the container's quota by itself.",
        )
    if memory.open_files < FEW_FILES:
        yield Finding(
            "warning",
            "memory",
            "FILES_LIMIT_LOW",
            "Few files may be open at a time.",
            f"{memory.open_files}",
            "Each job and each connection to the store takes some.",
            "Raise the limit: ulimit -n 1024, or the container's nofile.",
        )


def check_ports(facts: Facts) -> Iterator[Finding]:
    """Whether a server can listen where it is told to."""
    for port in facts.ports:
        if port.state == "free":
            yield ok("ports", port.variable, port.value)
        else:
            yield _bad_port(port)


def _bad_port(port: Port) -> Finding:
    is_taken = port.state == "taken"
    return Finding(
        "fatal",
        "ports",
        "PORT_TAKEN" if is_taken else "PORT_NOT_PERMITTED",
        f"Something listens on the port of {port.variable} already."
        if is_taken
        else f"This user may not listen on the port of {port.variable}.",
        port.value,
        "The server cannot start, and RunPod's load balancer answers 502.",
        f"Set {port.variable} to a number from 1024 to 65535 that is free.",
        STORAGE,
    )


def _sdk_checks(facts: Facts) -> bool:
    skipped = facts.variables.get("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "").lower() == "true"
    return takes_jobs(facts.variables) and not skipped


def _number(facts: Facts, name: str, default: float) -> float:
    try:
        return float(facts.variables.get(name, ""))
    except ValueError:
        return default
