"""Judges the interpreter, what is installed and what torch says of itself.

Facts flow in, findings flow out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from f5serve.doctor.facts import Facts
from f5serve.doctor.findings import MODEL, Finding, ok

OLDEST_PYTHON = (3, 11)
OLDEST = {"torch": (2, 10), "boto3": (1, 40)}
"""As pyproject.toml requires."""
TESTED_RUNPOD = (1, 12)


def check_python(facts: Facts) -> Iterator[Finding]:
    """The interpreter, and packages that are too old or there twice."""
    python = facts.python
    shown = ".".join(map(str, python.version))
    if python.version[:2] < OLDEST_PYTHON:
        yield Finding(
            "fatal",
            "python",
            "PYTHON_TOO_OLD",
            "This Python is too old.",
            shown,
            "f5serve uses what came with Python 3.11.",
            "Build the image on python:3.11-slim or newer.",
            MODEL,
        )
    else:
        yield ok("python", "Python", f"{shown}, {python.implementation}, {python.platform}")
    yield from _old_packages(facts)
    names = [package.name for package in facts.packages if package.name != "flash-attn"]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found = [p for p in facts.packages if p.name == name]
        yield Finding(
            "warning",
            "python",
            "PACKAGE_TWICE",
            f"{name} is installed more than once.",
            "; ".join(f"{p.version} in {p.folder}" for p in found),
            "The first folder on the path wins, whatever was installed last; the other fills disk.",
            f"Uninstall {name} until pip no longer finds it, then install it once.",
        )


def _old_packages(facts: Facts) -> Iterator[Finding]:
    for name, oldest in OLDEST.items():
        package = facts.package(name)
        if package and version_of(package.version) < oldest:
            least = ".".join(map(str, oldest))
            yield Finding(
                "warning",
                "torch" if name == "torch" else "python",
                f"{name.upper()}_TOO_OLD",
                f"{name} is older than {least}.",
                package.version,
                "f5serve is tested with newer ones; settings that it relies on are missing.",
                f"Install {name}>={least}.",
            )
    runpod = facts.package("runpod")
    if runpod and version_of(runpod.version) != TESTED_RUNPOD:
        yield Finding(
            "warning",
            "python",
            "RUNPOD_UNTESTED",
            "This version of runpod is not the one that the worker was tested with.",
            runpod.version,
            "The worker replaces the SDK's loop, whose inside may change with any minor version.",
            "Install 'f5serve[runpod]', which pins it.",
        )


def check_torch(facts: Facts) -> Iterator[Finding]:
    """Whether the engine's libraries are here and load."""
    if facts.models is not None and not facts.models.engine_installed:
        extra = "engine" if facts.needs_torch else "local"
        yield Finding(
            "fatal",
            "torch" if facts.needs_torch else "python",
            "ENGINE_NOT_INSTALLED",
            "The packages of the engine are not installed.",
            "no torch" if facts.needs_torch else "no onnxruntime",
            "Nothing can speak without them.",
            f"Run: pip install 'f5serve[{extra}]'",
            MODEL,
        )
        return
    run = facts.torch_run
    if run is not None and run.error:
        yield _broken(facts, run.timed_out, run.error)
    elif facts.torch is not None:
        abi = run.cxx11_abi if run else None
        known = "" if abi is None else f", C++ ABI {str(abi).upper()}"
        cuda = f"CUDA {facts.torch.cuda}" if facts.torch.cuda else "CPU build"
        yield ok("torch", "torch", f"{facts.torch.version}, {cuda}{known}")
    if facts.torch and not (facts.torch.has_bytecode or facts.torch.can_compile):
        yield Finding(
            "warning",
            "torch",
            "BYTECODE_MISSING",
            "torch is installed without bytecode, and none can be written here.",
            "no __pycache__",
            "Every start compiles it anew, which more than doubles the import.",
            "Build the image with python -m compileall, or uv pip install --compile-bytecode.",
        )


def _broken(facts: Facts, hangs: bool, error: str) -> Finding:
    return Finding(
        "fatal" if facts.needs_torch else "warning",
        "torch",
        "TORCH_HANGS" if hangs else "TORCH_BROKEN",
        "torch does not come to an end of its import."
        if hangs
        else "torch is installed and cannot be imported.",
        error,
        "F5-TTS computes with torch.",
        "Look at the GPU driver; a machine on which it hangs needs a restart."
        if hangs
        else "Install torch anew, in one piece: its libraries do not fit together.",
        MODEL if facts.needs_torch else 0,
    )


def version_of(text: str) -> tuple[int, int]:
    """First two numbers of a version; 0 for what is no number."""
    found = re.match(r"(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
