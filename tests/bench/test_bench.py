"""The benchmark's arithmetic, and that its page is the one its results give."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

import formats
import report
from cases import checks, speech_text, step_flop
from compare import usual_formats
from f5serve.engine.config import PRESETS
from stats import Measure, row
from tests.parity.cases import small


def speed(key: str, theirs: list[float], ours: list[float]) -> dict[str, Any]:
    return row(Measure(key, "a step", "s", "speed"), theirs, ours)


def test_the_published_page_is_fresh() -> None:
    assert report.PAGE.read_text() == report.page(report.kept_results()), "run bench/report.py"


def test_a_row_compares_neighbours() -> None:
    # A machine that slows down to a tenth half-way changes both sides of a pair alike.
    made = speed("C2.fp32.300", [2.0, 20.0, 2.0, 20.0], [1.0, 10.0, 1.0, 10.0])
    assert made["ratio"] == 2.0
    assert made["quartiles"] == [2.0, 2.0]
    assert not made["noisy"]


def test_cost_and_speed_point_in_opposite_directions() -> None:
    assert speed("k", [4.0], [1.0])["ratio"] == 4.0
    assert row(Measure("k", "memory", "MB"), [4.0], [1.0])["ratio"] == 0.25


def test_best_is_best_against_best() -> None:
    assert speed("k", [4.0, 3.0], [1.0, 2.0])["best"] == 3.0


@pytest.mark.parametrize(("ours", "noisy"), [([1.0, 1.0, 1.05, 1.0], False), ([1, 2, 1, 2], True)])
def test_wide_quartiles_are_noisy(ours: list[float], noisy: bool) -> None:
    assert speed("k", [1.0] * 4, ours)["noisy"] is noisy


def test_targets_find_their_rows_and_can_fail() -> None:
    slow = speed("C2.fp32.300", [1.0], [1.0])
    found = {c["target"]: c["passed"] for c in checks([slow], "cpu", "usual")}
    assert found == {"step, fp32, 300 frames and more": False, "no fp32 ratio below 1": True}
    assert checks([slow], "cpu", "small") == []


def test_speeds_below_one_fail_by_their_best() -> None:
    slower = speed("C3.fp32.3+3.16", [1.0, 0.9], [1.1, 1.0])
    assert not all(c["passed"] for c in checks([slower], "cpu", "full"))


def test_formats_are_measured_where_they_are_fast() -> None:
    assert usual_formats("cpu", ["avx2"]) == ["fp32", "int8"]
    assert usual_formats("cpu", ["avx2", "amx_bf16"]) == ["fp32", "int8", "bf16"]
    assert usual_formats("cuda", ["avx2", "amx_bf16"]) == ["fp16"]


def test_errors_of_formats_are_measured_and_shown() -> None:
    found = formats.measure(replace(small("F5TTS_v1_Base"), depth=1), steps=2)
    assert [one["format"] for one in found] == ["fp32", "fp16", "bf16", "int8", "fp8"]
    errors = {one["format"]: one["error"] for one in found}
    assert 0 == errors["fp32"] < errors["fp16"] < errors["bf16"] < errors["fp8"] < 0.1
    assert all(one["beside"] <= 2 * max(one["error"], 1e-6) for one in found)
    page = report._formats(found)
    assert f"| fp8 | {errors['fp8']:.1e} |" in page
    assert "after 2 steps" in page


@pytest.mark.parametrize(
    ("name", "mflop_per_frame"),
    [
        ("F5TTS_v1_Base", 369.1 + 0.0901 * 1500 + 8.1 + 0.4),
        ("E2TTS_Base", 654.3 + 147.5 + 8.1 + 0.4),
    ],
)
def test_flop_of_a_step(name: str, mflop_per_frame: float) -> None:
    flop = step_flop(asdict(PRESETS[name]), 1500)
    assert flop == pytest.approx(2 * 1500 * mflop_per_frame * 1e6, rel=1e-3)


@pytest.mark.parametrize("seconds", [0.1, 3, 10])
def test_longer_speech_has_longer_text(seconds: float) -> None:
    assert len(speech_text(seconds)) == pytest.approx(max(10, 15 * seconds), abs=1)
