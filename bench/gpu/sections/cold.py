"""Starts of a worker process: to ready, and to its first wave, with the artifact on the disk."""

from __future__ import annotations

import sys
from statistics import median
from typing import Any

from cases import FIRST_REQUEST
from gpu.common import Run
from processes import Worker

KINDS = [("artifact-float16", "boot"), ("artifact-float16", "engine"), ("published", "engine")]
"""Weights, and what loads them: the service's own boot, warm-up included, or the engine alone."""
STARTS = 4


def measure(run: Run) -> None:
    """Medians over starts; the first of each kind fills caches and does not count."""
    files = run.files(artifacts=True)
    for weights, through in run.few(KINDS):
        load = run.load_request(files) | {"weights": files[weights], "through": through}
        starts = [start(run, load) for _ in range(run.often(STARTS))]
        counted = starts[1:] or starts
        seconds = {key: median(one[key] for one in counted) for key in counted[0]}
        run.tell("start", weights=weights, through=through, starts=len(counted), **seconds)


def start(run: Run, load: dict[str, Any]) -> dict[str, float]:
    """Wall seconds of each stage, CPU seconds of all, memory."""
    log = run.work / "start.log"
    with Worker(sys.executable, "worker_ours.py", load["threads"], log) as worker:
        stages = worker.ask("load", **load)["stages"]
        out = str(run.work / "first.npy")
        wave = worker.ask("request", **FIRST_REQUEST, out=out)["state"]
    imported, ready = stages["import"], stages["model"]
    return {
        "imports_s": imported["at"] - worker.started,
        "engine_s": ready["at"] - imported["at"],
        "ready_s": ready["at"] - worker.started,
        "wave_s": wave["at"] - worker.started,
        "ready_cpu_s": ready["cpu"],
        "peak_mb": wave["peak_mb"],
        "gpu_mb": wave["gpu_mb"],
    }
