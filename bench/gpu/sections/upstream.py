"""The f5-tts package beside us, on the same weights, taking turns: bench/compare.py as it is."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cases import SIZES, Size
from compare import Comparison
from gpu.common import Run
from processes import Worker

FRAMES = (64, 300, 600, 1200, 1500)
ROUNDS = 3
SCRIPTS = {"ours": "worker_ours.py", "theirs": "worker_upstream.py"}


def has_package(run: Run) -> bool:
    """Whether f5-tts is installed; where it is not, that is told."""
    found = find_spec("f5_tts") is not None
    if not found:
        run.skip("The package f5-tts is not installed, so nothing is compared with it.")
    return found


def measure(run: Run) -> None:
    """Steps and requests as paired ratios; then both errors against fp32; then memory."""
    if not has_package(run):
        return
    run.files()
    comparison = Comparison(_options(run), run.work)
    comparison.size = _size(run)
    result = comparison.run()
    for row in result["rows"]:
        run.tell("compared", **row)
    for sentence in result["skipped"]:
        run.skip(sentence)
    errors(run)


def _size(run: Run) -> Size:
    if run.small:
        return replace(SIZES["small"], frames=(64,), e2_frames=(), rounds=1)
    return replace(SIZES["full"], frames=FRAMES, e2_frames=(), rounds=ROUNDS)


def _options(run: Run) -> argparse.Namespace:
    return argparse.Namespace(
        engine_python=sys.executable,
        upstream_python=sys.executable,
        arch="F5TTS_v1_Base",
        ckpt=None,
        vocab=run.work / "vocab.txt",
        vocoder=None,
        small=run.small,
        full=not run.small,
        rounds=None,
        frames=None,
        budget_s=60.0,
        device=run.device,
        threads=1 if run.small else 4,
        only=("C2", "C3"),
    )


def errors(run: Run) -> None:
    """One step of each side in its usual precision, against ours in fp32 on the CPU."""
    load = run.load_request(run.files())
    frames = 64 if run.small else 800
    exact, _ = one_step(run, "ours", load | {"device": "cpu", "dtype": "fp32"}, frames)
    for side in SCRIPTS:
        mel, state = one_step(run, side, load, frames)
        off = float(np.linalg.norm(mel - exact) / np.linalg.norm(exact))
        run.tell("error", side=side, frames=frames, error=off, gpu_mb=state["gpu_mb"])


def one_step(run: Run, side: str, load: dict[str, Any], frames: int) -> tuple[Any, Any]:
    """Its mel, and the memory of a process that has made a request as well."""
    out, log = run.work / f"{side}-step.npy", run.work / f"{side}.log"
    tokens = load["arch"]["vocab_size"] - 1
    with ExitStack() as stack:
        worker = stack.enter_context(Worker(sys.executable, SCRIPTS[side], load["threads"], log))
        worker.ask("load", **load)
        worker.ask("prepare", frames=frames, tokens=tokens, out=str(out))
        return np.load(Path(out)), worker.ask("memory")
