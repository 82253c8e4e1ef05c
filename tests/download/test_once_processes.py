"""Many processes on one cold file, killed makers, and children that outlive them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from f5serve.download.once import Once
from tests.download.test_once import CONTENT, NAME, Source

ROOT = Path(__file__).parents[2]
HOLDER = """
    import os, sys, time
    from pathlib import Path
    from f5serve.download.once import Once

    def make(path):
        path.write_bytes(b"half")
        {inside}
        print("holding", flush=True)
        time.sleep(60)

    Once(Path(sys.argv[1])).get(sys.argv[2], make, lambda path: True, 5.0)
"""
FORKING = "child = os.fork() or (time.sleep(60), os._exit(0)); print(child, flush=True)"


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """One run of the benchmark; with this seed 3 of the makers die."""
    command = [sys.executable, str(ROOT / "bench" / "single_flight.py"), "--procs", "50"]
    options = ["--rounds", "3", "--control-rounds", "1", "--kill-holder", "0.3", "--seed", "12"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, result
    return result


def test_fifty_processes_one_make(measured: dict[str, Any]) -> None:
    ours = measured["ours"]
    assert ours["makes_per_round"] == 1.0
    assert (ours["got"], ours["lost"], ours["broken"], ours["overlaps"]) == (150, 0, 0, 0)


def test_killed_makers_cost_nobody_else(measured: dict[str, Any]) -> None:
    ours = measured["ours_killed"]
    assert ours["killed"] >= 2
    assert ours["makes_per_round"] == 1.0
    assert (ours["got"], ours["lost"], ours["broken"]) == (150 - ours["killed"], 0, 0)
    assert ours["recovery_ms"]["p99"] < 1000  # tens of milliseconds on an idle machine


def test_the_control_loses_jobs(measured: dict[str, Any]) -> None:
    assert measured["control"]["lost"] > 0
    assert measured["control_killed"]["lost"] > 0


def hold(tmp_path: Path, inside: str = "") -> tuple[subprocess.Popen[str], list[str]]:
    """A process in the middle of making the file, and the lines that it printed."""
    script = textwrap.dedent(HOLDER).replace("{inside}", inside or "pass")
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), NAME], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    lines = []
    for line in holder.stdout:
        lines.append(line.strip())
        if lines[-1] == "holding":
            return holder, lines
    raise AssertionError(lines)


def kill(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert holder.stdout is not None
    holder.stdout.close()


def test_a_killed_maker_frees_the_lock_at_once_and_its_draft_can_be_swept(tmp_path: Path) -> None:
    source, once = Source(), Once(tmp_path)
    holder, _ = hold(tmp_path)
    assert once.sweep() == 0
    kill(holder)
    start = time.monotonic()
    assert once.get(NAME, source.make, source.check, 30.0).read_bytes() == CONTENT
    assert time.monotonic() - start < 5.0
    assert once.sweep() == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_forked_child_that_outlives_the_maker_keeps_no_lock(tmp_path: Path) -> None:
    source, once = Source(), Once(tmp_path)
    holder, lines = hold(tmp_path, FORKING)
    child = int(lines[0])
    try:
        kill(holder)
        os.kill(child, 0)  # it lives
        start = time.monotonic()
        assert once.get(NAME, source.make, source.check, 30.0).read_bytes() == CONTENT
        assert time.monotonic() - start < 5.0
        assert once.sweep() == 1
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_program_that_outlives_the_maker_keeps_no_lock(tmp_path: Path) -> None:
    """Started by exec, with every descriptor inherited that may be."""
    source, once = Source(), Once(tmp_path)
    inside = (
        "import subprocess; p = subprocess.Popen(['sleep', '60'], close_fds=False,"
        " stdout=subprocess.DEVNULL); print(p.pid, flush=True)"
    )
    holder, lines = hold(tmp_path, inside)
    try:
        kill(holder)
        start = time.monotonic()
        once.get(NAME, source.make, source.check, 30.0)
        assert time.monotonic() - start < 5.0
    finally:
        os.kill(int(lines[0]), signal.SIGKILL)


def test_a_forked_child_can_use_the_same_once(tmp_path: Path) -> None:
    """The flight of the parent's thread is not the child's, nor are its locks."""
    script = """
        import os, sys, threading, time
        from pathlib import Path
        from f5serve.download.once import Once

        once, begun, release = Once(Path(sys.argv[1])), threading.Event(), threading.Event()

        def slow(path):
            begun.set()
            release.wait(30)
            path.write_bytes(b"whole")

        def check(path):
            return path.read_bytes() == b"whole"

        thread = threading.Thread(target=once.get, args=(sys.argv[2], slow, check, 30.0))
        thread.start()
        begun.wait(30)
        child = os.fork()
        if child == 0:
            other = once.get("0" * 64, lambda p: p.write_bytes(b"whole"), check, 0.2)
            while not os.path.exists(os.path.join(sys.argv[1], "blobs", sys.argv[2])):
                time.sleep(0.01)
            start = time.monotonic()
            path = once.get(sys.argv[2], lambda p: None, check, 30.0)
            os._exit(0 if check(path) and check(other) and time.monotonic() - start < 5 else 1)
        time.sleep(0.2)
        assert once.sweep() == 0  # the child gave up its copies, not the parent's locks
        release.set()
        thread.join()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), NAME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
