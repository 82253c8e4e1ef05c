"""Clients without pause until the time is nearly up: memory, failures, and drift."""

from __future__ import annotations

import random
import resource
import time
from dataclasses import replace
from statistics import median
from typing import Any

import torch

import worker
from f5serve.startup.loader import warm_up
from gpu.common import Run
from gpu.sections.clients import traffic
from load_mix import MIXES, request
from worker_ours import Ours

SPARE_S = 15.0
"""For the start before, and for the last round."""
CLIENTS = 8
TURNS = 3
"""At least so many rounds: the first warms caches up, the others are compared."""


def measure(run: Run) -> None:
    """Rounds of requests of random lengths; the second beside the last."""
    ends = time.monotonic() + (0 if run.small else run.seconds - SPARE_S)
    ours = Ours()
    ours.engine, ours.device = run.engine(), run.device
    warm_up(ours.engine)
    rounds: list[dict[str, Any]] = []
    while len(rounds) < TURNS or time.monotonic() < ends:
        rounds.append(turn(run, ours, len(rounds)))
    early, late = rounds[1], rounds[-1]
    run.tell("growth", rounds=len(rounds), **{k: late[k] - early[k] for k in early})
    run.tell("last round", **late, broken=ours.engine.broken, **ours.engine.runner.counters())


def turn(run: Run, ours: Ours, number: int) -> dict[str, float]:
    """Some requests of every client; what the process holds after them."""
    drawn = random.Random(number)
    usual = MIXES["small" if run.small else "full"]
    mix = replace(usual, long_parts=1, nfe_step=7)
    clients = [
        [
            request(replace(mix, short_s=drawn.uniform(1, 2 if run.small else 12)), "short", seed=i)
            for i in range(run.often(4))
        ]
        for _ in range(2 if run.small else CLIENTS)
    ]
    told = traffic(ours, clients)
    took = median(r["done"] - r["arrived"] for r in told["requests"])
    held = {"rss_mb": _rss_mb(), "peak_rss_mb": _peak_rss_mb(), "p50_s": took}
    if run.on_gpu:
        held["allocated_mb"] = torch.cuda.memory_allocated() / 2**20
        held["reserved_mb"] = torch.cuda.memory_reserved() / 2**20
        held["peak_mb"] = worker.gpu_peak_mb(run.device)
    return held


def _peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rss_mb() -> float:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - as worker.memory reads its files
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20
