"""The bench of growth counts what it says, and no operation costs more in a fuller store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import growth
from f5serve.store.memory import MemoryStore

ROOT = Path(__file__).parents[2]


def test_requests_are_counted_by_kind_and_page() -> None:
    counting = growth.Counting(MemoryStore())
    for number in range(2_001):
        counting.put(f"a/{number}", b"x")
    counting.sent.clear()
    assert len(list(counting.list("a/"))) == 2_001
    assert list(counting.list("b/")) == []
    assert counting.get("a/1") == b"x"
    assert counting.exists("a/2")
    counting.delete("a/1")
    assert counting.sent == {"LIST": 4, "GET": 2, "DELETE": 1}


def test_a_row_that_grows_is_named() -> None:
    few = {"unknown": {"GET": 1, "s": 0.1}, "list first": {"GET": 1, "s": 0.1}}
    many = {"unknown": {"GET": 1, "LIST": 62, "s": 9.0}, "list first": {"GET": 99, "s": 1.0}}
    assert growth.compare({10: few, 1000: many}) == ["unknown"]


@pytest.mark.slow
def test_nothing_grows_but_a_full_listing() -> None:
    command = [sys.executable, "bench/growth.py", "--sizes", "5,150", "--what", "voices"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["growing"]) == (0, [])
    for server in ("folder", "rclone"):
        rows = line["results"][f"voices {server}"]["150"]
        assert rows["list first"]["GET"] >= 150
        assert growth.requests(rows["unknown"]) <= 3
        assert rows["unknown again"].keys() - {"s"} == {"GET"}


@pytest.mark.slow
def test_a_page_of_jobs_costs_the_same_in_a_fuller_store() -> None:
    command = [sys.executable, "bench/growth.py", "--sizes", "60,300", "--what", "jobs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["growing"]) == (0, [])
    for server in ("folder", "rclone"):
        rows = line["results"][f"jobs {server}"]
        assert rows["300"]["list first"] | {"s": 0} == {"LIST": 1, "GET": 50, "s": 0}
        assert rows["300"]["gc, all old"]["LIST"] <= 20
