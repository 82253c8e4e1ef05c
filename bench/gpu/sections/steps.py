"""One guided step: eager and replayed, at one time point and at many; its share of the floor."""

from __future__ import annotations

from statistics import median
from typing import Any

import arithmetic
import worker
from cases import step_flop
from f5serve.engine.cuda_graphs import CAPTURE_AFTER
from f5serve.engine.engine import F5Engine
from f5serve.engine.request import Sequence
from gpu.common import Run, record_all
from worker_ours import step_sequence

CASES = [
    *(([n], False) for n in (64, 300, 562, 800, 1200, 1500, 2400)),
    ([800] * 4, False),
    ([800, 820, 780, 810], False),
    ([800, 820, 780, 810], True),
    ([400, 500, 600, 450] * 2, True),
    ([800] * 16, False),
    ([800 + 7 * i for i in range(16)], True),
]
"""Frames of the rows of a step, and whether they are at time points of their own."""
REHEARSED = [([60], False), ([60, 70], True)]


class Steps:
    """Rows that never end: before each step they are put back to where they were."""

    def __init__(self, run: Run, engine: F5Engine, lengths: list[int], mixed: bool) -> None:
        self.run, self.engine, self.mixed = run, engine, mixed
        tokens = engine.runner.schedules.config.vocab_size - 1
        self.batch: list[Sequence] = [step_sequence(n, tokens, 32) for n in lengths]
        for seq in self.batch:
            engine.runner.start(seq)

    def one(self) -> None:
        """One step."""
        for i, seq in enumerate(self.batch):
            seq.step = i % 8 if self.mixed else 0
        self.engine.runner.step(self.batch)

    def host_ms(self) -> float:
        """What the host needs for a step when it waits for nobody."""
        runner = self.engine.runner
        limit, runner.run_ahead = runner.run_ahead, None
        try:
            self.run.sync()
            took = worker.timed(self.one, "cpu", self.run.often(8))["wall"] * 1e3
        finally:
            runner.run_ahead = limit
        self.run.sync()
        return took


def measure(run: Run) -> None:
    """Every case eager, and replayed where it is recorded."""
    engine = run.engine()
    run.tell("rate", tflops=run.rate / 1e12)
    for lengths, mixed in REHEARSED if run.small else CASES:
        floor_ms = _floor_ms(run, engine, lengths)
        for graphs in (False, True):
            found = measured(run, engine, lengths, mixed, graphs)
            if found:
                shape = {"rows": len(lengths), "frames": round(sum(lengths) / len(lengths))}
                share = floor_ms / found["ms"]
                run.tell("step", **shape, **found, floor_ms=floor_ms, share_of_floor=share)
    if run.on_gpu:
        run.tell("memory", peak_mb=worker.gpu_peak_mb(run.device), **engine.runner.counters())


def measured(
    run: Run, engine: F5Engine, lengths: list[int], mixed: bool, graphs: bool
) -> dict[str, Any]:
    """Numbers of one kind of step; none where it is not replayed though it was to be."""
    runner = engine.runner
    kept = runner.graphs
    if not graphs:
        runner.graphs = None
    try:
        steps = Steps(run, engine, lengths, mixed)
        for _ in range(CAPTURE_AFTER):
            steps.one()
        captured = record_all(engine)
        steps.one()
        before = engine.runner.counters().get("graph_steps", 0)
        steps.one()
        if graphs and engine.runner.counters().get("graph_steps", 0) == before:
            return {}
        arch = vars_of(engine)
        ideal_ms = sum(step_flop(arch, n) for n in lengths) / run.rate * 1e3
        clock = "cuda" if run.on_gpu else "wall"
        rounds = [
            worker.timed(steps.one, run.device, run.often(20))[clock] for _ in range(run.often(3))
        ]
        ms = median(rounds) * 1e3
        return {
            "mixed": mixed,
            "graphs": graphs,
            "recorded": captured,
            "ms": ms,
            "host_ms": steps.host_ms(),
            "ideal_ms": ideal_ms,
            "share_of_ideal": ideal_ms / ms,
        }
    finally:
        runner.clear_batch()
        runner.graphs = kept


def _floor_ms(run: Run, engine: F5Engine, lengths: list[int]) -> float:
    """Products, attention and convolutions alone, in the same shapes, launched one by one."""
    frames = round(sum(lengths) / len(lengths))
    where = {"device": run.device, "dtype": run.half}
    floor = arithmetic.of_step(vars_of(engine), frames, "mkl", len(lengths), **where)
    return run.ms(floor, 5, 3)


def vars_of(engine: F5Engine) -> dict[str, Any]:
    """The architecture as `cases.step_flop` and `arithmetic.of_step` take it."""
    arch = engine.runner.schedules.config
    names = ("dim", "depth", "ff_mult", "backbone")
    return {name: getattr(arch, name) for name in names}
