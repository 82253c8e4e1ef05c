"""What an engine has met before its first caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from f5serve.engine.device import F5Device, Finished
from f5serve.engine.engine import F5Engine
from f5serve.engine.stepping import Begun
from f5serve.startup.loader import warm_up
from tests.engine.test_engine import speaker


class Watched(F5Device):
    """A device that notes what it is asked for; it says that it finishes as a GPU does."""

    def __init__(self, device: F5Device) -> None:
        super().__init__(device.stepper, device.vocoder)
        self.steps: list[tuple[int, int, int]] = []  # rows, lengths, time points
        self.finished: list[int] = []

    @property
    def finishes_together(self) -> bool:
        return True

    def step(self, rows: Sequence[Begun]) -> None:
        lengths = {len(row.x) for row in rows}
        points = {(row.schedule, row.step) for row in rows}
        self.steps.append((len(rows), len(lengths), len(points)))
        super().step(rows)

    def finish(self, rows: Sequence[Begun]) -> Finished:
        self.finished.append(len(rows))
        return super().finish(rows)


class Elsewhere:
    """An engine that says where it runs."""

    def __init__(self, engine: F5Engine, where: str) -> None:
        self.description = where
        self.generate, self.unspeakable = engine.generate, engine.unspeakable


def met(where: str) -> Watched:
    engine = speaker()
    device = Watched(engine.device)
    engine.batcher.device = device
    engine.batcher.resize(4096)
    pretending: Any = Elsewhere(engine, where)
    warm_up(pretending)
    return device


def test_a_gpu_meets_what_callers_bring() -> None:
    device = met("cuda, float16")
    assert (3, 3, 2) in device.steps  # lengths that need gaps, at two time points
    assert (1, 1, 1) in device.steps
    assert device.finished == [2, 1]


@pytest.mark.parametrize("where", ["cpu, float32", "onnx"])
def test_a_cpu_only_reads_its_weights(where: str) -> None:
    device = met(where)
    assert device.steps == [(1, 1, 1)] * 7
