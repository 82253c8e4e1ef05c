"""Probes of the machine: Python, packages, memory, disks, ports, the GPU's driver, torch.

Each reads one thing from files and programs, changes nothing and cannot hang. torch and flash-attn
are imported, and files hashed, in a process of their own: a crash, a hang or a damaged library ends
that process alone.
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
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from f5serve.doctor.facts import (
    Card,
    CudaDevice,
    Disk,
    Explanation,
    FlashRun,
    Gpu,
    Memory,
    Package,
    Port,
    Python,
    TorchFiles,
    TorchRun,
)
from f5serve.doctor.flash_attn import explain
from f5serve.doctor.sources import Outcome, Sources
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


_TORCH = """
import json, torch
result = {
    "version": torch.__version__,
    "cuda": torch.version.cuda or "",
    "cudnn": torch.backends.cudnn.version() or 0,
    "cxx11_abi": bool(torch.compiled_with_cxx11_abi()),
    "architectures": torch.cuda.get_arch_list(),
    "devices": [],
    "trial": "",
}
if torch.cuda.is_available():
    try:
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
            result["devices"].append([name, capability, total, free])
        wave = torch.randn(1, 4, 64, device="cuda", dtype=torch.float16)
        layer = torch.nn.Conv1d(4, 4, 3, device="cuda", dtype=torch.float16)
        result["trial"] = "" if layer(wave).isfinite().all().item() else "the result is not finite"
    except RuntimeError as error:
        result["trial"] = str(error)
print("f5serve-doctor " + json.dumps(result))
"""  # noqa: E501

_FLASH = """
import json, torch
from flash_attn import flash_attn_varlen_func
result = {"on_gpu": torch.cuda.is_available(), "apart": 0.0}
if result["on_gpu"]:
    q, k, v = (torch.randn(24, 2, 64, device="cuda", dtype=torch.float16) for _ in range(3))
    ends = torch.tensor([0, 16, 24], device="cuda", dtype=torch.int32)
    fast = flash_attn_varlen_func(q, k, v, ends, ends, 16, 16)
    plain = torch.cat([
        torch.nn.functional.scaled_dot_product_attention(
            *(x[a:b].transpose(0, 1)[None] for x in (q, k, v)))[0].transpose(0, 1)
        for a, b in ((0, 16), (16, 24))])
    result["apart"] = (fast - plain).abs().max().item()
print("f5serve-doctor " + json.dumps(result))
"""
_MAX_DIFFERENCE = 1e-2

_HASH = """
import hashlib, json, sys
result = {}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        result[path] = hashlib.file_digest(file, "sha256").hexdigest()
print("f5serve-doctor " + json.dumps(result))
"""


def probe_torch(sources: Sources) -> TorchRun:
    """Import torch and compute a little on the GPU, if it sees one."""
    outcome = sources.commands.run([sources.executable, "-c", _TORCH], sources.trial_s)
    answer = _answer(outcome)
    if answer is None:
        return TorchRun(error=_reason(outcome), timed_out=outcome.timed_out)
    devices = tuple(
        CudaDevice(name, (capability[0], capability[1]), total, free)
        for name, capability, total, free in answer["devices"]
    )
    return TorchRun(
        version=answer["version"],
        cuda=answer["cuda"],
        cudnn=answer["cudnn"],
        cxx11_abi=answer["cxx11_abi"],
        devices=devices,
        architectures=tuple(answer["architectures"]),
        trial=_first_line(answer["trial"]),
    )


def probe_flash_attn(sources: Sources, torch_abi: bool | None = None) -> FlashRun:
    """Import flash-attn and, on a GPU, compare a small call with SDPA.

    Args:
        torch_abi: C++ ABI of torch, where it is known, for the explanation.
    """
    outcome = sources.commands.run([sources.executable, "-c", _FLASH], sources.trial_s)
    answer = _answer(outcome)
    if answer is None:
        error = _reason(outcome)
        return FlashRun(False, error=error, explanation=_explain(outcome, torch_abi))
    if not answer["apart"] <= _MAX_DIFFERENCE:  # also not a number
        error = f"it differs from SDPA by {answer['apart']:.3g}"
        wrong = Explanation("other", "It computes something else than SDPA on this GPU.")
        return FlashRun(False, on_gpu=True, error=error, explanation=wrong)
    return FlashRun(True, on_gpu=answer["on_gpu"])


def hash_files(sources: Sources, paths: Sequence[Path]) -> tuple[dict[Path, str], str]:
    """The sha256 of each file, or none and why."""
    command = [sources.executable, "-c", _HASH, *map(str, paths)]
    outcome = sources.commands.run(command, sources.hash_s)
    answer = _answer(outcome)
    if answer is None:
        return {}, _reason(outcome)
    return {Path(path): str(sha256) for path, sha256 in answer.items()}, ""


def hide_flash_attn() -> None:
    """Make flash-attn impossible to import or to find in this process."""
    # None is the import system's own mark for a module that must not be found.
    sys.modules["flash_attn"] = None  # type: ignore[assignment]


def _answer(outcome: Outcome) -> dict[str, Any] | None:
    """The object that a probe printed, or None when it failed before."""
    for line in reversed(outcome.out.splitlines()):
        if outcome.code == 0 and line.startswith("f5serve-doctor "):
            try:
                return dict(json.loads(line.split(" ", 1)[1]))
            except ValueError:
                return None
    return None


def _reason(outcome: Outcome) -> str:
    if outcome.timed_out:
        return "it did not end in time"
    if outcome.code is not None and outcome.code < 0:
        return f"it was ended by signal {-outcome.code}"
    return outcome.last_line or f"it ended with {outcome.code}"


def _explain(outcome: Outcome, torch_abi: bool | None) -> Explanation:
    if outcome.timed_out:
        return Explanation("slow", "It does not come to an end.")
    if outcome.code is not None and outcome.code < 0:
        return Explanation("crashed", "It crashes.")
    return explain(outcome.last_line, torch_abi)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
