"""How near a step comes to its arithmetic: what is compared with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import arithmetic
import floor

ARCH = {"dim": 128, "depth": 2, "ff_mult": 2}


class Side:
    """A worker whose steps take as long as it is told."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.asked: list[str] = []

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append(do)
        return {"cpu": self.seconds.get(arguments.get("library", do), 0.0)}


@pytest.mark.parametrize("library", floor.FLOORS)
def test_the_arithmetic_of_a_step_runs(library: str) -> None:
    try:
        arithmetic.of_step(ARCH, 20, library)()
    except (AttributeError, RuntimeError):
        assert library == "onednn"  # a torch without it


def test_ratios_are_to_the_floor_of_the_faster_library(tmp_path: Path) -> None:
    ours, theirs = Side({"mkl": 2.0, "onednn": 1.0, "step": 1.5}), Side({"step": 3.0})
    workers: Any = {"ours": ours, "f5-tts": theirs}
    row = floor.compare(workers, ARCH, 300, rounds=3, work=tmp_path)
    assert row["ours"]["over_floor"] == 1.5
    assert row["f5-tts"]["over_floor"] == 3.0
    assert (row["mkl"]["over_floor"], row["onednn"]["over_floor"]) == (2.0, 1.0)
    assert ours.asked.count("floor") == 6
