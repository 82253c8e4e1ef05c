"""Number formats that the transformer may compute in, and which processors have them.

The doctor asks before anything is loaded, the engine before it reads weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FORMATS = ("auto", "fp32", "fp16", "bf16", "int8", "fp8")
CPUINFO = Path("/proc/cpuinfo")
CPU_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
"""Instruction sets that multiply bf16, as Linux names them; one is enough."""
OLDEST_GPU = {"bf16": (8, 0), "fp8": (8, 9)}
"""Least compute capability whose tensor cores multiply these."""

_SERIES = {"bf16": "Ampere, e.g. A100", "fp8": "Ada or Hopper, e.g. L4, RTX 4090, H100"}


class Lack(NamedTuple):
    """Why a processor cannot compute in a format, as two sentences."""

    message: str
    hint: str


FP8_FAILS = Lack(
    "The product of fp8 matrices fails on this GPU, or is wrong.",
    "Use fp16 or bf16, or install a torch that was built for this GPU.",
)


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Instruction sets of the first core; none where there is no such file."""
    return frozenset(_first_core(cpuinfo, "flags").split())


def cpu_vendor(cpuinfo: Path = CPUINFO) -> str:
    """Who made the first core: GenuineIntel, AuthenticAMD; empty where there is no such file."""
    return _first_core(cpuinfo, "vendor_id").strip()


def _first_core(cpuinfo: Path, wanted: str) -> str:
    try:
        with cpuinfo.open() as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == wanted:
                    return value
    except OSError:
        pass
    return ""


def lack_of_cpu(dtype: str, flags: frozenset[str]) -> Lack | None:
    """Why a CPU with these instruction sets cannot compute in `dtype`; None if it can."""
    if dtype == "fp8":
        return Lack("fp8 is for GPUs only.", "Use fp32, int8 or bf16 on a CPU.")
    if dtype == "bf16" and not flags & CPU_BF16:
        return Lack(
            "This CPU has no instructions for bf16.",
            "Use fp32 or int8; bf16 needs AVX512_BF16 or AMX_BF16 among the CPU's flags.",
        )
    return None


def lack_of_gpu(dtype: str, capability: tuple[int, int]) -> Lack | None:
    """Why a GPU of this compute capability cannot compute in `dtype`; None if it can."""
    if dtype == "int8":
        return Lack("int8 is for CPUs only.", "Use fp16 on a GPU.")
    oldest = OLDEST_GPU.get(dtype)
    if oldest is None or capability >= oldest:
        return None
    has, needs = (f"{major}.{minor}" for major, minor in (capability, oldest))
    return Lack(
        f"This GPU has compute capability {has}, and {dtype} needs {needs}.",
        f"Use fp16, or take a GPU that has {dtype} ({_SERIES[dtype]}).",
    )
