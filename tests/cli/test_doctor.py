"""`f5serve doctor` as people and scripts meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from f5serve.cli.doctor import lines
from f5serve.cli.main import run
from f5serve.doctor.findings import Finding, ok
from f5serve.doctor.flash_attn import guess_abi


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("F5_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("F5_MODELS_DIR", str(tmp_path / "models"))


def test_all_of_it_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    sections = {finding["section"] for finding in told["findings"]}
    assert {"python", "torch", "gpu", "flash-attn", "disk", "store", "voices", "build"} <= sections
    assert told["exit_code"] == 0
    assert told["counts"]["fatal"] == 0
    assert sum(told["counts"].values()) == len(told["findings"])
    keys = {"level", "section", "code", "what", "value", "why", "fix"}
    assert all(keys <= finding.keys() for finding in told["findings"])


def test_every_bad_setting_is_named_and_the_rest_still_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F5_DEVICE", "gpu")
    monkeypatch.setenv("F5_CONCURRENCY", "0")
    monkeypatch.setenv("F5_VOICE", "x")
    assert run(["doctor", "--quick"]) == 3
    printed = capsys.readouterr()
    assert printed.err == ""
    told = printed.out.splitlines()
    assert sum(line.startswith("fatal   BAD_SETTING: F5_") for line in told) == 2
    assert any(line.startswith("warning UNKNOWN_SETTING: F5_VOICE") for line in told)
    assert "        hint: It takes one of auto, cpu, cuda." in told
    assert any(line.startswith("ok      data: ") for line in told)
    assert told[-1].endswith("2 fatal, 1 warning, 1 info.")


def test_the_wheel_for_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--flash-attn"]) == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["machine"].startswith("Python 3.")
    assert told["wheel"]
    assert told["note"].startswith("f5serve does not need it")


def test_lines_for_people() -> None:
    bad = Finding("warning", "disk", "NO_SPACE", "It is full.", "1 byte", "It matters.", "Mend it.")
    plain = lines([ok("disk", "temp", "/tmp"), bad])
    assert plain == [
        "ok      temp: /tmp",
        "warning NO_SPACE: It is full. (1 byte)",
        "        It matters.",
        "        hint: Mend it.",
        "",
        "2 things looked at: 1 warning.",
    ]
    assert lines([bad], colour=True)[0].startswith("\x1b[33mwarning ")
    assert (
        lines([ok("disk", "temp", "/tmp")])[-1] == "All 1 things looked at are as they should be."
    )


@pytest.mark.parametrize(
    ("torch", "abi"),
    [
        ("2.4.0+cu124", False),
        ("2.6.0+cu124", False),
        ("2.6.0+cu126", True),
        ("2.7.1", True),
        ("2.13.0+cpu", True),
    ],
)
def test_the_abi_of_published_builds(torch: str, abi: bool) -> None:
    assert guess_abi(torch) is abi
