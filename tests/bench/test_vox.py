"""What is compared with vox-tts, and that its page is the one its results give."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beside_vox
import vox_report

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "beside_vox.py"


class Side:
    """A worker that takes as long as it is told, and speaks for as long as it is told."""

    def __init__(self, seconds: float, samples: int | None) -> None:
        self.seconds, self.samples = seconds, samples
        self.frames: list[int] = []

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        if do == "facts":
            return {}
        self.frames.append(request["frames"])
        samples = self.samples or request["frames"] * 256
        np.save(request["out"], np.zeros(samples, np.float32))
        self.seconds += 1.0  # the next one takes longer
        timing = {"wall": self.seconds, "cpu": 2 * self.seconds}
        return {"timing": timing, "state": {"peak_mb": 7.0}}


def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: Side, ours: Side) -> Any:
    monkeypatch.setattr(beside_vox, "material", lambda *_: {})
    monkeypatch.setattr(beside_vox.Comparison, "_theirs", lambda *_: theirs)
    monkeypatch.setattr(beside_vox.Comparison, "_ours", lambda *_: ours)
    options = argparse.Namespace(ref_s=1.0, speech_s=1.5, nfe_step=7, rounds=2)
    return beside_vox.Comparison(options, tmp_path)._pair("fp32", "")


def test_ours_takes_the_length_that_theirs_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Side(0.0, None)
    row = compared(tmp_path, monkeypatch, Side(9.0, 100 * 256), ours)
    assert ours.frames[0] != 100
    assert ours.frames[1:] == [100, 100]
    assert row["samples"] == {"theirs": 25_600, "ours": 25_600}


def test_the_first_of_each_is_not_counted_and_medians_are_of_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = compared(tmp_path, monkeypatch, Side(9.0, 100 * 256), Side(0.0, None))
    assert row["wall"] == {"theirs": [11.0, 12.0], "ours": [2.0, 3.0]}
    assert row["ratio"] == pytest.approx((11 / 2 + 12 / 3) / 2)
    assert row["cpu"]["theirs"] == 23.0


def test_sides_that_speak_for_different_times_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="different times"):
        compared(tmp_path, monkeypatch, Side(9.0, 100 * 256), Side(0.0, 50 * 256))


def test_where_it_is_not_installed_a_sentence_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--vox-python", str(tmp_path / "none")]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert made.stdout == ""
    assert "not installed" in made.stderr


def test_the_published_page_is_fresh() -> None:
    results = vox_report.kept()
    assert results
    assert vox_report.PAGE.read_text() == vox_report.page(results), "run bench/vox_report.py"


@pytest.mark.slow
def test_a_small_run_ends_with_one_line_of_json() -> None:
    python = ROOT / ".venv-vox" / "bin" / "python"
    if not (ROOT / ".venv-vox" / "vox.done").exists():
        pytest.skip("vox-tts is not installed: make vox")
    command = [sys.executable, str(SCRIPT), "--vox-python", str(python), "--small"]
    command += ["--rounds", "1", "--threads", "1"]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    rows = json.loads(made.stdout)["rows"]
    assert [row["case"] for row in rows] == ["fp32", "int8"]
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
