"""Judges GPU, driver, CUDA and cuDNN together: of several reasons the one to begin with is told.

Facts flow in, findings flow out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from f5serve.doctor.checks_python import version_of
from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import DEVICE, MODEL, SETTING, Finding, ok
from f5serve.number_formats import Lack, lack_of_cpu, lack_of_gpu

_GB = 10**9
ROOM = 2 * _GB
"""Free bytes of a GPU below which it is worth a word: four times what the fp16 weights take."""

OLDEST_DRIVER = {"11": (450, 80), "12": (525, 60), "13": (580, 65)}
"""CUDA major -> first driver for Linux that runs it."""


def check_gpu(facts: Facts) -> Iterator[Finding]:
    """Why no GPU can be used although one is there or asked for; else what it is like."""
    reason = _why_unused(facts)
    if reason is not None:
        yield reason
    elif facts.settings.device == "cpu":
        yield ok("gpu", "GPU", "not used: F5_DEVICE is cpu")
    elif not facts.gpu.is_there:
        yield ok("gpu", "GPU", "none, the CPU computes")
    else:
        yield from _usable(facts)
    if facts.gpu.hangs:
        yield Finding(
            "warning",
            "gpu",
            "NVIDIA_SMI_HANGS",
            "nvidia-smi does not answer.",
            "killed",
            "The driver is stuck; the next CUDA call may hang as well.",
            "Restart the machine, or take another worker.",
        )
    yield from _cudnn(facts)
    if facts.settings.dtype == "int8" and _would_compute_on_gpu(facts):
        yield Finding(
            "fatal",
            "environment",
            "INT8_ON_GPU",
            "F5_DTYPE is int8 and the GPU computes.",
            f"F5_DEVICE={facts.settings.device}",
            "int8 is made for CPUs; the engine refuses it on a GPU.",
            "Remove F5_DTYPE, or set F5_DEVICE=cpu.",
            SETTING,
        )
    lack = _lack(facts)
    if lack is not None:
        yield Finding(
            "fatal",
            "environment",
            "DTYPE_UNSUPPORTED",
            lack.message,
            f"F5_DTYPE={facts.settings.dtype}",
            "The engine refuses to compute in this format here.",
            lack.hint,
            SETTING,
        )
    if facts.settings.dtype == "fp16" and facts.settings.device == "cpu":
        yield Finding(
            "warning",
            "environment",
            "FP16_ON_CPU",
            "F5_DTYPE is fp16 and F5_DEVICE is cpu.",
            "",
            "CPUs compute fp16 several times slower than fp32.",
            "Remove F5_DTYPE, or set it to int8 for more speed.",
        )


def _lack(facts: Facts) -> Lack | None:
    """Why what computes lacks the format, where that is known; int8 on a GPU is told apart."""
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
        return _no_gpu(facts) if facts.wants_gpu else None
    return _why_driver(facts) or _why_torch(facts)


def _why_driver(facts: Facts) -> Finding | None:
    gpu = facts.gpu
    if "mismatch" in gpu.error:
        return _unused(
            facts,
            "DRIVER_MISMATCH",
            "The driver's library and its kernel module are of different versions.",
            gpu.error,
            "Restart the machine: its driver was updated while it ran.",
        )
    if gpu.error and not gpu.hangs:
        return _unused(
            facts,
            "NVIDIA_SMI_FAILED",
            "nvidia-smi reports an error.",
            gpu.error,
            "Look at the driver of the host; in a container, at the NVIDIA runtime.",
        )
    if _hidden(facts):
        return _unused(
            facts,
            "GPU_HIDDEN",
            "CUDA_VISIBLE_DEVICES hides every GPU.",
            f"CUDA_VISIBLE_DEVICES={facts.variables['CUDA_VISIBLE_DEVICES']!r}",
            "Remove CUDA_VISIBLE_DEVICES, or let it name a GPU that is there; F5_DEVICE=cpu says "
            "that none is wanted.",
        )
    return None


def _why_torch(facts: Facts) -> Finding | None:
    gpu, files, run = facts.gpu, facts.torch, facts.torch_run
    if files is not None and not files.cuda:
        return _unused(
            facts,
            "TORCH_WITHOUT_CUDA",
            "torch is a build for CPUs, and there is a GPU.",
            files.version,
            "Install torch from PyPI, or from the index of its CUDA builds.",
        )
    if files is not None and _driver_too_old(facts):
        major = files.cuda.split(".")[0]
        least = ".".join(map(str, OLDEST_DRIVER[major]))
        return _unused(
            facts,
            "DRIVER_TOO_OLD",
            f"The driver is too old for a torch with CUDA {major}.",
            f"driver {gpu.version}, torch {files.version}",
            f"Take a machine with driver {least} or newer (RunPod: allowed CUDA versions of the "
            "endpoint), or a torch built for an older CUDA.",
        )
    if run is not None and not run.error and not run.devices and not run.trial:
        return _unused(
            facts,
            "GPU_UNUSABLE",
            "The driver lists a GPU, and torch finds none.",
            f"driver {gpu.version}, torch {run.version}",
            "Look at /dev/nvidia* in the container: it needs the NVIDIA runtime.",
        )
    return None


def _no_gpu(facts: Facts) -> Finding:
    return Finding(
        "fatal",
        "gpu",
        "NO_GPU",
        "F5_DEVICE is cuda, and there is no GPU on this machine.",
        facts.gpu.error or "no /dev/nvidia*",
        "The engine refuses to start on another device than the one that was asked for.",
        "Set F5_DEVICE=auto, or take a machine with a GPU.",
        SETTING,
    )


def _unused(facts: Facts, code: str, what: str, value: str, fix: str) -> Finding:
    why = "Speech is computed on the CPU, many times slower."
    if facts.wants_gpu:
        why = "F5_DEVICE is cuda, so the engine will not start without it."
        return Finding("fatal", "gpu", code, what, value, why, fix, MODEL)
    return Finding("warning", "gpu", code, what, value, why, fix)


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
        shown = cards or ", ".join(facts.gpu.nodes)
        yield ok("gpu", "GPU", f"{shown}, {driver}")
        return
    device = run.devices[0]
    major, minor = device.capability
    if not _has_kernels(device.capability, run.architectures):
        yield Finding(
            "fatal",
            "gpu",
            "GPU_NOT_SUPPORTED",
            f"This torch has no kernels for a GPU of capability {major}.{minor}.",
            f"{device.name}; torch {run.version} has {' '.join(run.architectures)}",
            "Every computation on it fails.",
            "Install a torch that was built for this GPU, or take another one.",
            DEVICE,
        )
        return
    if run.trial:
        yield Finding(
            "fatal",
            "gpu",
            "GPU_TRIAL_FAILED",
            "A small convolution in fp16 fails on the GPU.",
            run.trial,
            "So will speech: cuDNN or the device is broken, or its memory is taken.",
            "Take another machine; when it stays so, install torch anew.",
            DEVICE,
        )
        return
    if device.free < ROOM:
        yield Finding(
            "warning",
            "gpu",
            "GPU_MEMORY_SHORT",
            "The GPU has little free memory.",
            f"{device.free / _GB:.1f} of {device.total / _GB:.1f} GB free",
            "The weights take 0.5 GB; a long request that finds no room for the rest fails.",
            "End what else computes there, or take a larger GPU.",
        )
        return
    attention = "varlen attention" if device.capability >= (8, 0) else "SDPA attention"
    shown = f"{device.name}, capability {major}.{minor}, {driver}, {attention}"
    yield ok("gpu", "GPU", f"{shown}, {device.free / _GB:.1f} GB free")
    yield from _kernels(facts)


def _kernels(facts: Facts) -> Iterator[Finding]:
    """Where the engine's own kernels come from."""
    kernels = facts.kernels
    if kernels is None:
        return
    if facts.settings.fused_kernels == "off":
        yield ok("gpu", "kernels", "off, by F5_FUSED_KERNELS")
        return
    run = facts.torch_run
    if run is not None and run.devices and run.devices[0].capability < (8, 0):
        yield ok("gpu", "kernels", "none for GPUs below capability 8.0")
        return
    if not kernels.reason:
        yield ok("gpu", "kernels", "compiled ahead")
        return
    why = "torch's own operations do their work, in more steps."
    if kernels.can_compile:
        why = "Triton compiles them at the start, which takes seconds."
    yield Finding(
        "info" if kernels.can_compile else "warning",
        "gpu",
        "KERNELS_NOT_COMPILED",
        "There are no compiled kernels for this GPU.",
        kernels.reason,
        why,
        "Take the image, which has them, or run python -m f5serve.engine.kernel_build where "
        "Triton is installed.",
    )


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
        yield Finding(
            "warning",
            "gpu",
            "CUDNN_MISSING",
            "torch does not find cuDNN.",
            f"torch {run.version}",
            "Convolutions run several times slower, or not at all.",
            "Install the nvidia-cudnn package that this torch asks for.",
        )
    elif run is not None and run.cudnn:
        yield ok("gpu", "cuDNN", str(run.cudnn))
    kinds = sorted({p.name for p in facts.packages if p.name.startswith("nvidia-cudnn")})
    if len(kinds) > 1:
        yield Finding(
            "warning",
            "gpu",
            "CUDNN_TWICE",
            "cuDNN is installed for two versions of CUDA.",
            ", ".join(kinds),
            "Both write into one folder, so torch may load the wrong one.",
            "Uninstall both, then install the one that torch asks for.",
        )
    for folder in facts.variables.get("LD_LIBRARY_PATH", "").split(":"):
        if folder and facts.torch and facts.torch.cuda and _has_cudnn(folder):
            yield Finding(
                "warning",
                "gpu",
                "CUDNN_OVERRULED",
                "LD_LIBRARY_PATH leads to another cuDNN than torch's own.",
                folder,
                "It is loaded first, and of another version it fails at the first convolution.",
                "Remove that folder from LD_LIBRARY_PATH.",
            )


def _has_cudnn(folder: str) -> bool:
    try:
        return any(name.startswith("libcudnn") for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False
