"""The load test of the HTTP server runs, and its arithmetic; how fast it is, quiet machines say."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

import pytest

import http_report
from http_client import Answer
from http_load import Load, judge, rises_at, steadiness
from http_report import KEPT, PAGE

ROOT = Path(__file__).parents[2]


def test_overhead_is_what_an_answer_took_beyond_the_engine() -> None:
    answers = [Answer(200, 2.0, 2.0 + n / 1000, 1) for n in range(1, 101)]
    told = Load(200, answers, Counter({"503": 2}), span_s=10.0, cpu_s=0.5).figures(2.0)
    assert told["overhead_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert (told["per_s"], told["offered_per_s"]) == (10.0, 90.9)
    assert (told["cpu_ms_per_request"], told["cores"]) == (5.0, 0.05)
    assert told["errors"] == {"503": 2}


def test_the_load_from_which_on_it_is_late() -> None:
    runs = [{"offered_per_s": n, "overhead_ms": {"p99": n}} for n in (200.0, 50.0, 100.0)]
    assert [rises_at(runs, target) for target in (40, 60, 500)] == [50.0, 100.0, None]


def test_memory_that_grows_is_seen() -> None:
    assert steadiness([100.0] * 9)["growth"] == 0
    assert steadiness([100, 100, 110, 110, 130, 130])["growth"] == pytest.approx(0.3)
    assert steadiness([50.0])["end_mb"] == 50


@pytest.mark.slow
def test_a_short_run_ends_with_one_line_of_json() -> None:
    command = [sys.executable, "bench/http_load.py", "--clients", "6", "--seconds", "2"]
    command += ["--cost-s", "0.1", "--loads"]
    done = subprocess.run(
        [*command, "--target-ms", "10000", "--max-growth", "0.5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert result["main"]["errors"] == {}
    assert result["main"]["requests"] > 6
    assert set(result["formats"]) == {"mp3", "opus", "aac", "flac", "wav", "pcm"}
    early = {
        name for name, f in result["formats"].items() if f["first_byte_s"] < f["last_sentence_s"]
    }
    assert early >= {"mp3", "opus", "aac", "wav", "pcm"}  # flac too, where encoding takes long
    late = {**result, "main": {**result["main"], "overhead_ms": {"p99": 10_001}}}
    options = Namespace(target_ms=10_000, max_growth=0.5)
    assert [check["passed"] for check in judge(late, options)] == [True, False, True, True]
    page = http_report.page(result)
    assert f"| 6 | {result['main']['offered_per_s']}" in page


def test_the_published_page_is_fresh() -> None:
    if KEPT.exists():
        fresh = http_report.page(json.loads(KEPT.read_text()))
        assert PAGE.read_text() == fresh, "run bench/http_report.py"
