"""Programs that hang, crash or are not there cannot hold the doctor up."""

from __future__ import annotations

import os
import time
from pathlib import Path

from f5serve.doctor.sources import Commands
from tests.doctor.machines import Machine


def test_what_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    machine.program("stuck", f"sleep 50 & echo $! > {tmp_path}/child\ntrap '' TERM\nsleep 50")
    began = time.monotonic()
    outcome = Commands(machine.variables).run(["stuck"], 0.5)
    assert outcome.timed_out
    assert time.monotonic() - began < 30
    child = int((tmp_path / "child").read_text())
    for _ in range(1_000):
        if not _runs(child):
            return
        time.sleep(0.02)
    raise AssertionError("its child runs on")


def test_a_pipe_kept_open_by_another_session_is_given_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    machine.program("forks", f"setsid sh -c 'echo $$ > {tmp_path}/far; exec sleep 60' & sleep 50")
    began = time.monotonic()
    outcome = Commands(machine.variables).run(["forks"], 0.5)
    assert outcome.timed_out
    assert time.monotonic() - began < 30
    os.kill(int((tmp_path / "far").read_text()), 9)


def test_how_programs_end(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "m")
    commands = Commands(machine.variables)
    machine.program("fails", "echo one >&2; echo two >&2; exit 3")
    machine.program("crashes", "kill -SEGV $$")
    machine.program("speaks", 'echo "$1 $HOME"; printf "\\377"')
    assert commands.run(["no-such-program"], 5).code is None
    assert (commands.run(["fails"], 20).code, commands.run(["fails"], 20).last_line) == (3, "two")
    assert commands.run(["crashes"], 20).code == -11
    spoken = commands.run(["speaks", "hello"], 20)
    assert spoken.out == f"hello {machine.variables['HOME']}\n\N{REPLACEMENT CHARACTER}"
    (machine.bin / "text").write_text("no program")
    (machine.bin / "text").chmod(0o755)
    assert commands.run(["text"], 5).code in (126, 127)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
