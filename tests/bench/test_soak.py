"""The soak works, and a worker keeps its threads and files; of memory a longer one tells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPARE_FILES = 3
"""A connection that the server has not closed yet; a leak leaves one for each of 100 requests."""


@pytest.mark.slow
def test_a_worker_stays_as_it_was() -> None:
    command = [sys.executable, "bench/soak.py", "--seconds", "9", "--clients", "3"]
    done = subprocess.run(
        [*command, "--max-growth", "0.5"], cwd=ROOT, capture_output=True, text=True, timeout=560
    )
    line = json.loads(done.stdout)
    assert line["wrong"] == {}
    assert line["threads"][-1] <= line["threads"][0]
    assert line["files"][-1] <= line["files"][0] + SPARE_FILES
    assert line["rss_growth"] < 0.5
    assert len(line["kinds"]) >= 4
    assert done.returncode == (0 if line["passed"] else 1)
