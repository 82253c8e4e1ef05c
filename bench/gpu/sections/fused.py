"""Steps by kernels of our own, compiled here or ahead, beside the same by torch's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from f5serve.engine.engine import F5Engine
from f5serve.engine.fused import ahead
from f5serve.engine.kernels import Kernel, Launch
from gpu.common import Run, error
from gpu.sections.parity import mel
from gpu.sections.steps import measured

CASES = [
    ([800], False),
    ([800, 820, 780, 810], False),
    ([800, 820, 780, 810], True),
    ([800 + 7 * i for i in range(16)], True),
]
BUILD_LIMIT_S = 60


def measure(run: Run) -> None:
    """All ways on the same rows; ours first tells whether its trial let it be used."""
    engines = {"torch": run.engine(fused_kernels=False), "ours": run.engine(fused_kernels=True)}
    if run.on_gpu:
        made = compiled_ahead(run)
        engines |= {"ours, ahead": made} if made is not None else {}
    else:
        run.skip("Kernels of our own are for GPUs: on a CPU both ways are torch's.")
    frames = 60 if run.small else 300
    plain = mel(engines["torch"], frames)
    for name, engine in engines.items():
        off = error(mel(engine, frames), plain)
        used = engine.counters()["fused_kernels"]
        run.tell("mel", kernels=name, engine=engine.description, used=used, difference=off)
    for lengths, mixed in [([60, 70], True)] if run.small else CASES:
        for graphs in (False, True):
            for name, engine in engines.items():
                found = measured(run, engine, lengths, mixed, graphs)
                if found:
                    run.tell("step", kernels=name, rows=len(lengths), **found)


def compiled_ahead(run: Run) -> F5Engine | None:
    """An engine with kernels that were compiled for this card before, as the image has them."""
    folder = run.work / "kernels"
    major, minor = torch.cuda.get_device_capability()
    command = [sys.executable, "-m", "f5serve.engine.kernel_build", str(folder)]
    command += ["--arch", f"{major}{minor}", "--precision", "fp16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        run.skip(f"Kernels cannot be compiled ahead: {said[-1] if said else done.returncode}")
        return None
    run.tell("compiled ahead", said=done.stdout.strip().splitlines()[-1])
    engine = run.engine(fused_kernels=False)
    engine.use_kernels(lambda kernels, device: _loaded(run, kernels, device, folder))
    return engine


def _loaded(run: Run, kernels: Iterable[Kernel], device: torch.device, folder: Path) -> Launch:
    found: list[Launch] = []
    ms = run.once_ms(lambda: found.append(ahead(kernels, device, folder)))
    run.tell("loaded", ms=ms)
    return found[0]
