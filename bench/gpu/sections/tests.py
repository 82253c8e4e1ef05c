"""tests/gpu, a process for each file, and one more for what a crash left over.

A failed capture leaves torch's generator and allocator as they are for the rest of a process; a
crash ends it. Either is to cost as little as possible.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from gpu.common import ROOT, Run

MOST_CRASHES = 4
"""In one file; after so many the rest of it is left out."""


def measure(run: Run) -> None:
    """Every file; each test tells how it ended."""
    for path in run.few(sorted(ROOT.glob("tests/gpu/test_*.py"))):
        whole_file(run, str(path.relative_to(ROOT)))


def whole_file(run: Run, path: str) -> None:
    """Until every test of the file has been reported, or it crashed too often."""
    behind: list[str] = []
    for _ in range(MOST_CRASHES):
        told, status = process(run, path, behind)
        for test in told:
            if test["what"] == "test":
                run.tell(**test)
                behind.append(test["test"])
        begun = [test["test"] for test in told if test["what"] == "begun"]
        lost = [test for test in begun if test not in behind]
        for test in lost:
            run.tell("test", test=test, how="crashed", exit=status)
            behind.append(test)
        if not lost:
            return


def process(run: Run, path: str, behind: list[str]) -> tuple[list[dict[str, Any]], int]:
    """One process of pytest; its lines, and its exit status."""
    lines = run.work / "tests.jsonl"
    lines.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "gpu.pytest_lines", path]
    command += ["-p", "pytest_timeout", "-p", "no:cacheprovider", "-W", "default"]
    command += ["--timeout", "120"]
    command += [word for test in behind for word in ("--deselect", test)]
    environment = {"F5_BENCH_LINES": str(lines), "PYTHONPATH": str(ROOT / "bench")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take seconds, and are not needed
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, timeout=run.seconds)
    text = lines.read_text() if lines.exists() else ""
    return [json.loads(line) for line in text.splitlines()], done.returncode
