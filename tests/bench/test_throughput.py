"""The arithmetic of the load test, and that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import load_report
import policies
from f5serve.engine.request import ReferencePrompt, Sequence, SequenceStatus
from f5serve.types import SamplingOptions
from load_mix import MIXES, equal_shares, figures, percentile, plan, request

MIX = MIXES["usual"]
ALONE = {"short": 1.0, "long": 10.0}
SCRIPT = Path(__file__).parents[2] / "bench" / "throughput.py"


def answered(kind: str, arrived: float, done: float) -> dict[str, Any]:
    return {"kind": kind, "arrived": arrived, "first": done, "done": done, "samples": 24_000}


def test_clients_get_the_same_requests_whoever_serves_them() -> None:
    first, again = (plan(MIX, 8, 2, ALONE, seed=1) for _ in range(2))
    assert first == again != plan(MIX, 8, 2, ALONE, seed=2)
    kinds = [asked["kind"] for client in first for asked in client]
    assert (kinds.count("short"), kinds.count("long")) == (12, 4)
    assert [len(client) for client in first] == [2] * 8


def test_requests_have_the_frames_that_the_package_gives_them() -> None:
    for mix in MIXES.values():
        for part in request(mix, "long", seed=3)["parts"]:
            generated_s = part["frames"] / 93.75 - mix.ref_s
            assert generated_s == pytest.approx(mix.long_s, rel=0.1)
    assert len(request(MIX, "long", 0)["parts"]) == MIX.long_parts


def test_equal_shares_of_one_device() -> None:
    together = [answered("short", 0, 9), answered("long", 0, 9)]
    assert equal_shares(together, ALONE) == pytest.approx([2.0, 11.0])
    apart = [answered("short", 0, 9), answered("short", 5, 9)]
    assert equal_shares(apart, ALONE) == pytest.approx([1.0, 1.0])
    late = [answered("long", 0, 9), answered("short", 4, 9)]
    assert equal_shares(late, ALONE) == pytest.approx([11.0, 2.0])


def test_figures_of_a_run() -> None:
    records = [answered("short", 0, 2), answered("long", 0, 11)]
    made = figures(records, ALONE)
    assert made["audio_per_s"] == pytest.approx(2 / 11)
    assert (made["p50"], made["p95"], made["short_p95"]) == (2, 11, 2)
    assert made["beyond_fair_share"] == pytest.approx(1.0)
    assert figures([answered("short", 0, 3)], ALONE)["beyond_fair_share"] == pytest.approx(3.0)


def test_percentiles_are_values_that_were_met() -> None:
    values = [float(i) for i in range(1, 21)]
    assert [percentile(values, p) for p in (50, 95, 99, 100)] == [10, 19, 20, 20]
    assert percentile([7.0], 50) == 7.0


def run(contender: str, turn: int, audio_per_s: float, short_p95: float) -> dict[str, Any]:
    numbers = {"p50": 1.0, "p95": 2.0, "beyond_fair_share": 1.0}
    named = {"contender": contender, "clients": 8, "round": turn}
    return named | numbers | {"audio_per_s": audio_per_s, "short_p95": short_p95}


def test_rows_compare_with_the_better_of_both_ways_of_the_package() -> None:
    runs = [
        *(run("step", turn, 3.0, 1.0) for turn in range(2)),
        *(run("serial", turn, 2.5, 4.0) for turn in range(2)),
        run("f5-tts threads", 0, 2.0, 9.0),
        run("f5-tts threads", 1, 1.0, 9.0),
        run("f5-tts serial", 0, 1.0, 9.0),
        run("f5-tts serial", 1, 1.5, 9.0),
    ]
    rows = {row["contender"]: row for row in load_report.rows(runs)}
    assert rows["step"]["speed"]["median"] == pytest.approx((3 / 2 + 3 / 1.5) / 2)
    assert rows["step"]["short_wait"]["median"] == 0.25
    assert "speed" not in rows["f5-tts serial"]
    found = {c["target"]: c for c in load_report.checks(list(rows.values()), "cpu", "usual")}
    assert [c["passed"] for c in found.values()] == [True, True, True]
    assert load_report.checks(list(rows.values()), "cpu", "small") == []
    slow = load_report.rows([run("step", 0, 1.0, 3.0), run("serial", 0, 1.0, 4.0)])
    (wait,) = (c for c in load_report.checks(slow, "cpu", "usual") if "short" in c["target"])
    assert not wait["passed"]


def test_policies_that_are_compared_with() -> None:
    prompt, options = ReferencePrompt(1, 1), SamplingOptions()
    sequences = [
        Sequence(prompt, [1], frames, 0, options, number=i)
        for i, frames in enumerate((300, 300, 900, 50))
    ]
    assert policies.first_come(sequences[::-1], 1000, 0.0) == sequences[:1]
    assert policies.between_requests(sequences, 1000, 0.0) == sequences[:2]
    for seq in sequences[:2]:
        seq.status = SequenceStatus.RUNNING
    assert policies.between_requests(sequences, 9000, 0.0) == sequences[:2]


def test_the_published_page_is_fresh() -> None:
    results = load_report.kept()
    if results:
        assert load_report.PAGE.read_text() == load_report.page(results), "run bench/load_report.py"


@pytest.mark.slow
def test_a_small_run_ends_with_one_line_of_json() -> None:
    command = [sys.executable, str(SCRIPT), "--small", "--only", "step"]
    command += ["--clients", "2", "--requests", "4", "--threads", "1"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=560, check=True)
    result = json.loads(made.stdout)
    (row,) = result["rows"]
    assert row["contender"] == "step"
    assert row["audio_per_s"] > 0
    assert row["rows_per_step"] >= 1
    assert result["versions"]["ours"]["f5serve"]
