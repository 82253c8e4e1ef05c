"""Half an hour on a GPU, rehearsed on a CPU: every section tells something, none harms another."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gpu import environment, pack, plan, report, run, targets
from gpu.common import Run
from gpu.sections import tests as tests_section

BENCH = Path(__file__).parents[2] / "bench"
Lines = list[dict[str, Any]]


def options(folder: Path, *more: str) -> argparse.Namespace:
    where = ["--out", str(folder / "out"), "--work", str(folder / "work")]
    return run.parse([*where, "--device", "cpu", "--small", *more])


def lines_of(folder: Path) -> Lines:
    text = folder.joinpath("out", "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


# How sections are run.


def scripts(**named: str) -> Callable[..., list[str]]:
    """Processes that run a piece of Python instead of a section."""

    def command(name: str, limit_s: float, given: argparse.Namespace) -> list[str]:
        return [sys.executable, "-c", named[name]]

    return command


def test_a_section_that_crashes_costs_itself_alone(tmp_path: Path) -> None:
    command = scripts(info="import os; print('so far', flush=True); os.abort()", steps="print(1)")
    assert not run.run(options(tmp_path), ["info", "steps"], command)
    first, second = lines_of(tmp_path)
    assert (first["how"], first["exit"]) == ("failed", -6)
    assert first["last"][0] == "so far"
    assert second["how"] == "ok"


def test_a_section_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    go_on, mark = tmp_path / "go-on", tmp_path / "late"
    wait = f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)"
    child = f"import time, pathlib\n{wait}\npathlib.Path({str(mark)!r}).touch()"
    slow = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = scripts(info=slow, steps="print(1)")
    assert not run.run(options(tmp_path, "--limit", "5"), ["info", "steps"], command)
    assert [line["how"] for line in lines_of(tmp_path)] == ["out of time", "ok"]
    go_on.touch()
    time.sleep(1)
    assert not mark.exists()


def test_sections_for_which_there_is_no_time_are_told(tmp_path: Path) -> None:
    asked = options(tmp_path, "--seconds", "1")
    assert not run.run(asked, ["info", "steps"], scripts())
    assert [line["how"] for line in lines_of(tmp_path)] == ["not begun: no time left"] * 2


def test_both_calls_hold_every_section_in_their_time() -> None:
    assert {name for call in plan.CALLS.values() for name in call} == set(plan.SECTIONS)
    for call in plan.CALLS.values():
        assert sum(plan.SECTIONS[name].expected_s for name in call) <= 0.9 * plan.CALL_S
    assert all(s.expected_s < s.limit_s for s in plan.SECTIONS.values())
    assert plan.named(["second", "steps", "soak"]) == [*plan.CALLS["second"], "steps"]
    with pytest.raises(ValueError, match="no section 'nothing'"):
        plan.named(["nothing"])


def test_the_script_lists_the_plan() -> None:
    command = ["bash", str(BENCH / "gpu" / "run.sh"), "--list"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert told.stdout.strip() == plan.listing()


def test_a_test_that_crashes_is_told_and_the_others_run(tmp_path: Path) -> None:
    path = tmp_path / "test_crash.py"
    path.write_text(
        "import os, pytest\n"
        "def test_one(): pass\n"
        "def test_two(): os.abort()\n"
        "def test_three(): assert 1 == 2\n"
        "def test_four(): pytest.skip('no need')\n"
    )
    (tmp_path / "out").mkdir()
    section = Run("tests", "cpu", True, tmp_path / "out", tmp_path, 60)
    tests_section.whole_file(section, str(path))
    told = {line["test"].split("::")[1]: line["how"] for line in lines_of(tmp_path)}
    outcomes = {"test_one": "passed", "test_two": "crashed", "test_three": "failed"}
    assert told == outcomes | {"test_four": "skipped"}


# What is carried, and what it becomes.


def test_an_environment_of_wheels_lies_on_top_of_the_interpreter(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "answer = 42")
        wheel.writestr(
            "carried-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1"
        )
        wheel.writestr("carried-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true")
        wheel.writestr("carried-1.dist-info/RECORD", "")
    command = [sys.executable, str(BENCH / "gpu" / "environment.py"), str(wheels)]
    command += [str(tmp_path / "made"), str(BENCH.parent / "src")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    code = (
        "import carried, f5serve, importlib.util as u; from transformers import pipeline; "
        "from librosa.filters import mel; pipeline(1, a=2); "
        "print(carried.answer, f5serve.__file__, u.find_spec('torch') is not None)"
    )
    asked = [told.stdout.strip(), "-c", code]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=True)
    assert answer.stdout.split() == ["42", str(BENCH.parent / "src/f5serve/__init__.py"), "True"]


def test_what_is_there_is_not_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ABSENT", {"torch": [], "nobody_has_this": ["inner"]})
    assert environment.stand_in(tmp_path) == ["nobody_has_this"]
    assert (tmp_path / "nobody_has_this" / "inner.py").exists()


def test_the_kit_holds_what_the_script_looks_for(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "some.whl").write_bytes(b"wheel")
    names = pack.sources()
    pack.pack(tmp_path / "kit.tar", wheels, names)
    with tarfile.open(tmp_path / "kit.tar") as tar:
        held = set(tar.getnames())
        told = tar.extractfile("f5serve/build/gpu-kit/commit.txt")
        assert told is not None
        assert len(told.read().decode().removesuffix("-dirty")) == 40
    wanted = ["bench/gpu/run.sh", "src/f5serve/engine/engine.py", "tests/gpu/test_cuda.py"]
    assert {f"f5serve/{name}" for name in wanted} <= held
    assert "f5serve/build/gpu-kit/wheels/some.whl" in held


# What is read off the results.


def test_the_published_page_is_fresh() -> None:
    fresh = report.page(report.kept())
    assert report.PAGE.read_text() == fresh, "in bench/, run python -m gpu.report"


def test_a_page_without_results_says_so() -> None:
    page = report.page([])
    assert "has not run on a GPU" in page
    assert all(target.says in page for target in targets.TARGETS)


def request_line(ms: float) -> dict[str, Any]:
    told = {"section": "requests", "what": "request", "case": "6+10", "nfe": 32, "graphs": True}
    return told | {"p50_ms": ms, "share_of_ideal": 0.5}


def test_targets_find_their_numbers_and_can_fail() -> None:
    def passed(ms: float, card: str) -> dict[str, Any]:
        return {c["says"]: c["passed"] for c in targets.checks([request_line(ms)], card)}

    says = "request 6+10 s, 32 steps, ms"
    assert passed(139.0, "NVIDIA H100")[says] is True
    assert passed(141.0, "NVIDIA H100")[says] is False
    assert passed(141.0, "NVIDIA L4")[says] is None  # milliseconds are those of an H100
    assert passed(1, "NVIDIA L4")["request 6+10 s, 32 steps, share of the card's own rate"] is True
    assert passed(1, "NVIDIA H100")["8 clients, 16 steps, p95 over p50"] is None


def test_ratios_and_counts_of_targets() -> None:
    lines = [
        {"section": "crowd", "what": "contender", "clients": 8, "contender": name, "audio_per_s": a}
        for name, a in (("step", 80.0), ("f5-tts serial", 20.0))
    ]
    lines += [
        {"section": "tests", "what": "test", "test": "a", "how": how}
        for how in ("passed", "crashed", "skipped")
    ]
    found = {c["says"]: c["value"] for c in targets.checks(lines, "NVIDIA H100")}
    assert found["8 clients, times the audio of f5-tts one by one"] == 4.0
    assert found["tests/gpu that do not pass"] == 1.0


def written(path: Path, lines: Lines) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


CARD = {"section": "material", "what": "machine", "gpu": "NVIDIA H100 80GB", "torch": "2.13.0"}
CARD |= {"commit": "0" * 40, "version": "0.1.0", "python": "3.12.1", "cores": 16}


def ended(section: str, how: str) -> dict[str, Any]:
    return {"section": section, "what": "ended", "how": how, "s": 1.0}


def test_the_last_run_of_a_section_counts(tmp_path: Path) -> None:
    first = [CARD, request_line(200.0), ended("requests", "failed")]
    again = [request_line(100.0), ended("requests", "ok")]
    late = [ended("requests", "not begun: no time left")]
    paths = [written(tmp_path / "1", first), written(tmp_path / "2", again + late)]
    lines = report.read(paths)["lines"]
    assert [line["p50_ms"] for line in lines if line["what"] == "request"] == [100.0]
    assert [line["how"] for line in lines if line["what"] == "ended"] == ["ok"]


def test_a_card_is_kept_under_its_name_and_shown_with_verdicts(tmp_path: Path) -> None:
    lines = [CARD, request_line(150.0), ended("requests", "out of time")]
    result = report.read([written(tmp_path / "1", lines)])
    assert report.keep(result, tmp_path / "kept").name == "nvidia-h100-80gb.json"
    page = report.page([result])
    assert "| request 6+10 s, 32 steps, ms | <= 140 | 150 | FAIL | requests |" in page
    assert "did not end well (out of time)" in page
    assert "has not run on a GPU" not in page


def test_results_without_a_machine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No line tells"):
        report.read([written(tmp_path / "1", [request_line(1.0)])])


# All of it, on a reduced model.


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both calls beside each other; the folder of each."""
    folders = {call: tmp_path_factory.mktemp(call) for call in plan.CALLS}
    with ExitStack() as stack:
        processes = []
        for call, folder in folders.items():
            command = [sys.executable, "-m", "gpu.run", call, "--device", "cpu", "--small"]
            command += ["--out", str(folder / "out"), "--work", str(folder / "work")]
            log = stack.enter_context(folder.joinpath("log").open("w"))
            process = subprocess.Popen(command, cwd=BENCH, stdout=log, stderr=log)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            process.wait(560)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("call", plan.CALLS)
def test_every_section_tells_something(rehearsed: dict[str, Path], call: str) -> None:
    log = (rehearsed[call] / "log").read_text()
    lines = lines_of(rehearsed[call])
    for name in plan.CALLS[call]:
        here = [line for line in lines if line["section"] == name]
        assert here[-1]["how"] == "ok", log
        assert len(here) > 1, name


@pytest.mark.slow
def test_a_rehearsal_fills_the_page_and_is_not_kept(rehearsed: dict[str, Path]) -> None:
    result = report.read([folder / "out" / "results.jsonl" for folder in rehearsed.values()])
    page = report.page([result])
    for name, section in plan.SECTIONS.items():
        assert f"### {name}: {section.says}" in page
    assert "did not end well" not in page
    with pytest.raises(ValueError, match="rehearsal"):
        report.keep(result, rehearsed["first"])
    replayed = [line for line in result["lines"] if line.get("graphs") is True]
    assert {line["section"] for line in replayed} >= {"steps", "requests", "clients", "dtypes"}
