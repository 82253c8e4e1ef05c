"""Kernels for GPUs: the table that they are compiled from, and what they compute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from f5serve.engine.config import PRESETS
from f5serve.engine.kernels import Kernel, Kernels

triton_kernels = pytest.importorskip(
    "f5serve.engine.triton_kernels", reason="Triton is for Linux on x86 alone", exc_type=ImportError
)
DTYPES = [torch.float16, torch.float32]


def kernels() -> dict[str, Kernel]:
    """All that any published model needs, by name."""
    sets = [Kernels.of(arch, dtype) for arch in PRESETS.values() for dtype in DTYPES]
    return {kernel.name: kernel for found in sets for kernel in found}


def test_kernels_are_few_and_have_names_of_their_own() -> None:
    assert len(set(kernels().values())) == len(kernels()) <= 60
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in kernels()), kernels()


@pytest.mark.parametrize("kernel", kernels().values(), ids=list(kernels()))
def test_the_table_fits_the_code(kernel: Kernel) -> None:
    names = getattr(triton_kernels, kernel.function).arg_names
    assert names[len(kernel.arguments) :] == [key for key, _ in kernel.constants]
    for name, kind in zip(names, kernel.arguments, strict=False):
        assert name.endswith("_ptr") == kind.startswith("*")


BOUNDS = {"fp32": 1e-6, "fp16": 1e-3, "bf16": 16e-3}
"""Relative differences: plain operations round more often, after each of them."""


@pytest.fixture(scope="module")
def interpreted() -> dict[str, float]:
    """What tests/engine/interpreted.py prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.interpreted"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=560,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_kernels_compute_what_plain_operations_do(interpreted: dict[str, float]) -> None:
    assert len(interpreted) == 16
    for case, difference in interpreted.items():
        bounds = [bound for precision, bound in BOUNDS.items() if precision in case.split()]
        assert difference <= (bounds or [0.0])[0], case
