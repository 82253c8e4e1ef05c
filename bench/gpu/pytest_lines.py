"""A plugin of pytest that writes a line when a test begins and one when it has ended.

Lines are there even when the process dies in the next test. The file is F5_BENCH_LINES.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def _write(**line: Any) -> None:
    with Path(os.environ["F5_BENCH_LINES"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """The test begins."""
    _write(what="begun", test=nodeid)


_failed: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The test has ended with its teardown; how the first of its parts did not pass counts."""
    if report.outcome != "passed":
        _failed.setdefault(report.nodeid, _said(report))
    if report.when == "teardown":
        how, _, why = _failed.get(report.nodeid, "passed").partition(": ")
        _write(what="test", test=report.nodeid, how=how, why=why, s=round(report.duration, 2))


def _said(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test
        return f"skipped: {report.longrepr[2]}"
    lines = str(report.longrepr).strip().splitlines()
    return f"{report.outcome}: {' | '.join(line[:200] for line in lines[-3:])}"
