"""What an engine has met before its first caller."""

from __future__ import annotations

from typing import Any

import pytest

from f5serve.engine.engine import F5Engine
from f5serve.engine.model_runner import ModelRunner, PendingWaves
from f5serve.engine.request import Sequence
from f5serve.startup.loader import warm_up
from tests.engine.test_engine import speaker


class Watched(ModelRunner):
    """A runner that notes what it is asked for; it says that it vocodes as a GPU does."""

    def __init__(self, runner: ModelRunner) -> None:
        super().__init__(runner.backbone, runner.schedules, runner.attend, runner.vocoder)
        self.steps: list[tuple[int, int, int]] = []  # rows, lengths, time points
        self.vocoded: list[int] = []

    @property
    def vocodes_in_batches(self) -> bool:
        return True

    def step(self, sequences: list[Sequence]) -> None:
        lengths = {len(seq.x) for seq in sequences}
        points = {(seq.schedule, seq.step) for seq in sequences}
        self.steps.append((len(sequences), len(lengths), len(points)))
        super().step(sequences)

    def vocode(self, sequences: list[Sequence]) -> PendingWaves:
        self.vocoded.append(len(sequences))
        return super().vocode(sequences)


class Elsewhere:
    """An engine that says where it runs."""

    def __init__(self, engine: F5Engine, where: str) -> None:
        self.description = where
        self.generate, self.unspeakable = engine.generate, engine.unspeakable


def met(where: str) -> Watched:
    engine = speaker()
    runner = Watched(engine.runner)
    engine.runner = runner
    engine.scheduler.resize(4096)
    pretending: Any = Elsewhere(engine, where)
    warm_up(pretending)
    return runner


def test_a_gpu_meets_what_callers_bring() -> None:
    runner = met("cuda, float16")
    assert (3, 3, 2) in runner.steps  # lengths that need gaps, at two time points
    assert (1, 1, 1) in runner.steps
    assert runner.vocoded == [2, 1]


@pytest.mark.parametrize("where", ["cpu, float32", "onnx"])
def test_a_cpu_only_reads_its_weights(where: str) -> None:
    runner = met(where)
    assert runner.steps == [(1, 1, 1)] * 7
