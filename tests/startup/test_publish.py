"""A worker that had to use the hub puts the model into the store, in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from f5serve.models.bucket import current_manifest
from f5serve.models.installed import install
from f5serve.models.resolve import ResolvedModel
from f5serve.settings import Settings
from f5serve.startup import weights
from f5serve.store.local import LocalStore
from tests.startup import small_model


@pytest.fixture
def obtained(tmp_path: Path) -> ResolvedModel:
    """The small model, converted, as a tier would hold it."""
    folder = tmp_path / "tier"
    made = small_model.write(tmp_path / "made")
    plan = small_model.release(made)
    return ResolvedModel(install(plan.about, plan.files, folder).files, "hub", folder, ())


def test_it_is_published_by_another_process_whose_lines_are_in_our_log(
    tmp_path: Path,
    obtained: ResolvedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("F5_STORE", f"file://{tmp_path}/store")
    with caplog.at_level(logging.INFO, logger="f5serve.startup.weights"):
        weights.publish_in_background(obtained).join(60)
    assert caplog.messages[-1] == "models push: ended with exit code 0", caplog.text
    assert caplog.messages[0].startswith("models push: process ")
    manifest = current_manifest(LocalStore(tmp_path / "store"), small_model.MODEL)
    assert manifest is not None
    assert manifest.about.arch == "F5TTS_v1_Base"


def test_what_goes_wrong_there_is_a_warning_here(
    tmp_path: Path,
    obtained: ResolvedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("F5_STORE", f"file://{tmp_path}/store")
    nothing = replace(obtained, folder=tmp_path / "nothing")
    with caplog.at_level(logging.INFO, logger="f5serve.startup.weights"):
        weights.publish_in_background(nothing).join(60)
    assert caplog.records[-1].levelno == logging.WARNING
    assert "ended with exit code 4" in caplog.messages[-1]
    assert "is not on this machine" in caplog.text


@pytest.mark.parametrize(
    ("asked", "source", "wanted"),
    [(True, "hub", True), (False, "hub", False), (True, "store", False), (True, "tier", False)],
)
def test_only_what_came_from_the_hub_is_published_and_only_when_asked(
    obtained: ResolvedModel, asked: bool, source: str, wanted: bool
) -> None:
    settings = Settings(publish_models=asked)
    assert weights.should_publish(settings, replace(obtained, source=source)) is wanted
    assert not weights.should_publish(settings, None)


PARENT = """\
import os, subprocess, sys, threading
def run():
    tie = [sys.executable, "-m", "f5serve.process", str(os.getpid())]
    child = [*tie, "-c", sys.argv[1]]
    subprocess.run(child)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
CHILD = "import os, time; print(os.getpid(), os.nice(0), flush=True); time.sleep(60)"


def test_a_tied_process_gives_way_and_dies_with_the_one_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child, nice = map(int, parent.stdout.readline().split())
        assert nice >= min(os.nice(0) + 10, 19)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        until = time.monotonic() + 20
        while Path(f"/proc/{child}").exists() and _state(child) != "Z":
            assert time.monotonic() < until, "it outlives its parent"
            time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_tied_process_whose_parent_is_gone_does_not_begin() -> None:
    command = [sys.executable, "-m", "f5serve.process", "1", "-c", "print('ran')"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
