"""Checks of what is installed: Python, packages, torch, and whether f5serve is as it was built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import Finding, finding, ok

OLDEST_PYTHON = (3, 11)
OLDEST = {"torch": (2, 10), "boto3": (1, 40)}
"""As pyproject.toml requires."""
TESTED_RUNPOD = (1, 12)


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
