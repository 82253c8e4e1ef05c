"""Every second of a start has a name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from f5serve.startup.timeline import Step, Timeline, process_age_s


def with_steps(*steps: Step, seconds: float) -> Timeline:
    """A timeline that is ready after so many seconds."""
    while True:
        timeline = Timeline(time.monotonic() - seconds)
        timeline.ready()
        if timeline.ready_s < seconds + 0.005:  # nobody took the processor in between
            break
    for step in steps:
        timeline.add(step)
    return timeline


def test_the_line_names_steps_notes_and_what_is_left() -> None:
    timeline = with_steps(
        Step("weights", 0.3, 3.2, "store, 420 MB at 131 MB/s"),
        Step("interpreter", 0.0, 0.2),
        Step("torch", 0.3, 2.1, concurrent=True),
        Step("load", 3.6, 0.5),
        seconds=5.0,
    )
    assert str(timeline) == (
        "ready in 5.0 s: interpreter 0.2, weights 3.2 (store, 420 MB at 131 MB/s), "
        "torch 2.1 (beside), load 0.5, other 1.1"
    )


def test_as_dict_is_json() -> None:
    timeline = with_steps(Step("torch", 0.25, 2.0, concurrent=True), seconds=3.0)
    told = json.loads(json.dumps(timeline.as_dict()))
    assert told["ready_s"] == pytest.approx(3.0, abs=0.01)
    assert told["steps"] == [{"name": "torch", "start_s": 0.25, "seconds": 2.0, "beside": True}]


def test_steps_that_overlap_are_counted_once() -> None:
    timeline = with_steps(Step("a", 0, 3), Step("b", 1, 1), Step("c", 2, 2), seconds=5.0)
    assert timeline.unaccounted_s == pytest.approx(1.0, abs=0.01)


def test_a_step_that_fails_is_there_too() -> None:
    timeline = Timeline()

    def fail() -> None:
        with timeline.step("weights") as step:
            step.note = "gone"
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert [(s.name, s.note) for s in timeline.steps] == [("weights", "gone")]


def test_time_between_steps_can_be_named_afterwards() -> None:
    began = time.monotonic() - 2
    timeline = Timeline(began)
    timeline.mark("interpreter", began + 1)
    timeline.mark("settings")
    first, second = timeline.steps
    assert (first.start_s, first.seconds) == (0.0, pytest.approx(1.0))
    assert 2 <= second.start_s + second.seconds <= timeline.now_s
    assert timeline.unaccounted_s <= timeline.now_s - (second.start_s + second.seconds) + 1e-6


def test_the_clock_stops_when_it_is_ready() -> None:
    timeline = Timeline()
    timeline.ready()
    before = timeline.ready_s
    time.sleep(0.02)
    assert timeline.ready_s == before


def test_the_age_of_a_process_counts_from_its_start() -> None:
    code = "import time; time.sleep(0.5)\nfrom f5serve.startup.timeline import process_age_s\n"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(process_age_s())"], capture_output=True, check=True
    )
    assert 0.5 <= float(done.stdout) <= time.monotonic() - began + 0.02


def test_where_the_system_does_not_tell_the_age_is_nothing(tmp_path: Path) -> None:
    assert process_age_s(tmp_path) == 0.0
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text("1 (f5) S 1")
    assert process_age_s(tmp_path) == 0.0


def test_a_name_with_brackets_does_not_confuse_it(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 3) * os.sysconf("SC_CLK_TCK"))
    fields = " ".join(["S", *["0"] * 18, str(ticks)])
    (tmp_path / "self" / "stat").write_text(f"1 (a) b (c)) {fields} 0")
    assert process_age_s(tmp_path) == pytest.approx(3.0, abs=0.1)
