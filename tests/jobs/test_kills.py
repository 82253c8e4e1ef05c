"""Workers that are killed with work in hand, over each kind of shared store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IS_FULL
from tests.store.servers import clean_environment

BENCH = Path(__file__).parents[2] / "bench"


def measure(script: str, *options: str) -> dict[str, Any]:
    """The line that a bench prints; it exits with 0 only when its bounds are kept."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *options],
        capture_output=True,
        text=True,
        timeout=560,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    line: dict[str, Any] = json.loads(done.stdout)
    return line


def test_no_job_is_lost_by_killed_workers() -> None:
    found = measure("jobs.py", "--jobs", "16", "--kills", "5", "--workers", "2")
    assert found["ours"]["kills_at_work"] >= 3
    assert found["control"]["lost"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rclone", "juicefs"])
def test_no_job_is_lost_by_killed_workers_over_s3(server: str) -> None:
    jobs, kills, workers = (60, 20, 3) if IS_FULL else (8, 3, 2)
    amount = ("--jobs", str(jobs), "--kills", str(kills), "--workers", str(workers), "--dup", "0.5")
    found = measure("jobs.py", "--server", server, "--no-control", *amount)
    assert (found["ours"]["kills"], found["ours"]["lost"]) == (kills, 0)
    assert found["ours"]["duplicates"] > 0


@pytest.mark.slow
def test_operations_ask_little_of_a_bucket() -> None:
    assert not measure("s3_requests.py")["listing"]
