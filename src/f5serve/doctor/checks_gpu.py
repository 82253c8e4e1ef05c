"""Checks of GPU, driver, CUDA and cuDNN together: of several causes the first one is reported."""

from __future__ import annotations

import os
from collections.abc import Iterator

from f5serve.doctor.checks_machine import version_of
from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import Finding, Level, finding, ok
from f5serve.number_formats import Lack, lack_of_cpu, lack_of_gpu

_GB = 10**9
ROOM = 2 * _GB
"""Free bytes of a GPU below which a warning is due: four times what the fp16 weights take."""

OLDEST_DRIVER = {"11": (450, 80), "12": (525, 60), "13": (580, 65)}
"""CUDA major -> first driver for Linux that runs it."""


def check_gpu(facts: Facts) -> Iterator[Finding]:
    """Why no GPU can be used although one is there or asked for; else what it is like."""
    problem = _why_unused(facts)
    if problem is not None:
        yield problem
    elif facts.settings.device == "cpu":
        yield ok("gpu", "GPU", "not used: F5_DEVICE is cpu")
    elif not facts.gpu.is_there:
        yield ok("gpu", "GPU", "none, the CPU computes")
    else:
        yield from _usable(facts)
    if facts.gpu.hangs:
        yield finding("NVIDIA_SMI_HANGS", "killed")
    yield from _cudnn(facts)
    yield from _dtype(facts)


def _dtype(facts: Facts) -> Iterator[Finding]:
    dtype, device = facts.settings.dtype, facts.settings.device
    if dtype == "int8" and _would_compute_on_gpu(facts):
        yield finding("INT8_ON_GPU", f"F5_DEVICE={device}")
    lack = _lack(facts)
    if lack is not None:
        yield finding(
            "DTYPE_UNSUPPORTED", f"F5_DTYPE={dtype}", message=lack.message, hint=lack.hint
        )
    if dtype == "fp16" and device == "cpu":
        yield finding("FP16_ON_CPU")


def _lack(facts: Facts) -> Lack | None:
    """Why the processor lacks the format, where that is known; INT8_ON_GPU covers int8."""
    dtype = facts.settings.dtype
    if not facts.needs_torch or dtype not in ("bf16", "fp8"):
        return None
    if not _would_compute_on_gpu(facts):
        flags = facts.memory.cpu_flags
        return lack_of_cpu(dtype, flags) if flags or dtype == "fp8" else None
    run = facts.torch_run
    return lack_of_gpu(dtype, run.devices[0].capability) if run and run.devices else None


def _would_compute_on_gpu(facts: Facts) -> bool:
    return facts.settings.device == "cuda" or (
        facts.settings.device == "auto" and facts.gpu.is_there and facts.needs_torch
    )


def _why_unused(facts: Facts) -> Finding | None:
    """The first reason for which torch will not use a GPU, or None."""
    if facts.settings.device == "cpu" or not (facts.needs_torch or facts.wants_gpu):
        return None
    if not facts.gpu.is_there:
        error = facts.gpu.error or "no /dev/nvidia*"
        return finding("NO_GPU", error) if facts.wants_gpu else None
    return _why_driver(facts) or _why_torch(facts)


def _why_driver(facts: Facts) -> Finding | None:
    gpu = facts.gpu
    if "mismatch" in gpu.error:
        return _unused(facts, "DRIVER_MISMATCH", gpu.error)
    if gpu.error and not gpu.hangs:
        return _unused(facts, "NVIDIA_SMI_FAILED", gpu.error)
    if _hidden(facts):
        value = facts.variables["CUDA_VISIBLE_DEVICES"]
        return _unused(facts, "GPU_HIDDEN", f"CUDA_VISIBLE_DEVICES={value!r}")
    return None


def _why_torch(facts: Facts) -> Finding | None:
    gpu, files, run = facts.gpu, facts.torch, facts.torch_run
    if files is not None and not files.cuda:
        return _unused(facts, "TORCH_WITHOUT_CUDA", files.version)
    if files is not None and _driver_too_old(facts):
        cuda = files.cuda.split(".")[0]
        least = ".".join(map(str, OLDEST_DRIVER[cuda]))
        value = f"driver {gpu.version}, torch {files.version}"
        return _unused(facts, "DRIVER_TOO_OLD", value, cuda=cuda, least=least)
    if run is not None and not run.error and not run.devices and not run.trial:
        return _unused(facts, "GPU_UNUSABLE", f"driver {gpu.version}, torch {run.version}")
    return None


def _unused(facts: Facts, code: str, value: str, cuda: str = "", least: str = "") -> Finding:
    if facts.wants_gpu:
        consequence = "F5_DEVICE is cuda, so the engine will not start without it."
    else:
        consequence = "Speech is computed on the CPU, many times slower."
    level: Level | None = "fatal" if facts.wants_gpu else None
    return finding(code, value, level=level, consequence=consequence, cuda=cuda, least=least)


def _hidden(facts: Facts) -> bool:
    shown = facts.variables.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return False
    first = shown.split(",")[0].strip()
    if first in ("", "-1", "none", "void"):
        return True
    count = len(facts.gpu.cards) or len(facts.gpu.nodes)
    return first.isdecimal() and int(first) >= count


def _driver_too_old(facts: Facts) -> bool:
    cuda = facts.torch.cuda if facts.torch else ""
    oldest = OLDEST_DRIVER.get(cuda.split(".")[0])
    version = facts.gpu.version
    return bool(oldest and version and version_of(version) < oldest)


def _usable(facts: Facts) -> Iterator[Finding]:
    """A GPU that torch uses, or would: what it is, and what is wrong with it."""
    cards = ", ".join(f"{card.name} {card.total / 2**30:.0f} GiB" for card in facts.gpu.cards)
    driver = f"driver {facts.gpu.version}" if facts.gpu.version else "driver unknown"
    run = facts.torch_run
    if run is None or not run.devices:
        yield ok("gpu", "GPU", f"{cards or ', '.join(facts.gpu.nodes)}, {driver}")
        return
    device = run.devices[0]
    capability = ".".join(map(str, device.capability))
    free = f"{device.free / _GB:.1f}"
    if not _has_kernels(device.capability, run.architectures):
        value = f"{device.name}; torch {run.version} has {' '.join(run.architectures)}"
        yield finding("GPU_NOT_SUPPORTED", value, capability=capability)
    elif run.trial:
        yield finding("GPU_TRIAL_FAILED", run.trial)
    elif device.free < ROOM:
        yield finding("GPU_MEMORY_SHORT", f"{free} of {device.total / _GB:.1f} GB free")
    else:
        attention = "varlen attention" if device.capability >= (8, 0) else "SDPA attention"
        value = f"{device.name}, capability {capability}, {driver}, {attention}, {free} GB free"
        yield ok("gpu", "GPU", value)
        yield from _kernels(facts)


def _kernels(facts: Facts) -> Iterator[Finding]:
    """Where the engine's own kernels come from."""
    kernels, run = facts.kernels, facts.torch_run
    if kernels is None:
        return
    if facts.settings.fused_kernels == "off":
        yield ok("gpu", "kernels", "off, by F5_FUSED_KERNELS")
    elif run is not None and run.devices and run.devices[0].capability < (8, 0):
        yield ok("gpu", "kernels", "none for GPUs below capability 8.0")
    elif not kernels.reason:
        yield ok("gpu", "kernels", "compiled ahead")
    elif kernels.can_compile:
        consequence = "Triton compiles them at the start, which takes seconds."
        value = kernels.reason
        yield finding("KERNELS_NOT_COMPILED", value, level="info", consequence=consequence)
    else:
        consequence = "torch's own operations do their work, in more steps."
        yield finding("KERNELS_NOT_COMPILED", kernels.reason, consequence=consequence)


def _has_kernels(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Binaries run on the same major and a higher minor; intermediate code on anything newer."""
    if not architectures:
        return True
    for name in architectures:
        kind, _, digits = name.partition("_")
        digits = "".join(c for c in digits if c.isdecimal())
        if len(digits) < 2:
            continue
        built = int(digits[:-1]), int(digits[-1])
        if kind == "compute" and built <= capability:
            return True
        if built[0] == capability[0] and built[1] <= capability[1]:
            return True
    return False


def _cudnn(facts: Facts) -> Iterator[Finding]:
    run = facts.torch_run
    if run is not None and run.cuda and not run.cudnn:
        yield finding("CUDNN_MISSING", f"torch {run.version}")
    elif run is not None and run.cudnn:
        yield ok("gpu", "cuDNN", str(run.cudnn))
    kinds = sorted({p.name for p in facts.packages if p.name.startswith("nvidia-cudnn")})
    if len(kinds) > 1:
        yield finding("CUDNN_TWICE", ", ".join(kinds))
    for folder in facts.variables.get("LD_LIBRARY_PATH", "").split(":"):
        if folder and facts.torch and facts.torch.cuda and _has_cudnn(folder):
            yield finding("CUDNN_OVERRULED", folder)


def _has_cudnn(folder: str) -> bool:
    try:
        return any(name.startswith("libcudnn") for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False
