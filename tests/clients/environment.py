"""Programs of other projects, which run in an environment of their own (`make clients`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-clients"
SCRIPTS = Path(__file__).parent / "scripts"
IS_REQUIRED = os.environ.get("F5_TEST_CLIENTS") == "1"
"""CI sets it: without the environment, tests fail there instead of being skipped."""

PATIENCE_S = 120.0
"""For a program that takes less than ten seconds on a quiet machine."""

needs_clients = pytest.mark.skipif(
    not IS_REQUIRED and not (HOME / "clients.done").exists(),
    reason="the environment of the clients is not there: make clients",
)


def command(language: str, script: Path | None = None) -> list[str]:
    """Runs a script, or the program that stdin has."""
    if language == "python":
        return [str(HOME / "bin" / "python"), str(script or "-")]
    return [str(HOME / "bin" / "node"), "--input-type=module"]


def variables(folder: Path) -> dict[str, str]:
    """The whole environment of a program; all that it keeps is in `folder`."""
    own = {"HOME": str(folder), "PYTHONWARNINGS": "error::ResourceWarning"}
    # LiteLLM fetches prices otherwise.
    return {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True", **own}


def run(language: str, program: str, folder: Path, **more: str) -> str:
    """What a program prints, which must end well; its files are in `folder`."""
    cwd = folder
    if language == "js":  # modules are looked up from the folder of the process
        cwd = HOME / "node"
        program = f"process.chdir({json.dumps(str(folder))});\n{program}"
    done = subprocess.run(
        command(language),
        input=program,
        cwd=cwd,
        env=variables(folder) | more,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Events:
    """What a script prints: a JSON object in each line."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def next(self) -> dict[str, Any]:
        """The next one, as soon as it is printed."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                event: dict[str, Any] = json.loads(line)
                return event
        raise AssertionError(self._log.read_text(errors="replace"))

    def until(self, *kinds: str) -> list[dict[str, Any]]:
        """All up to the first of these kinds, which is the last of them."""
        events = [self.next()]
        while events[-1]["event"] not in kinds:
            events.append(self.next())
        return events


@contextlib.contextmanager
def script(
    name: str, folder: Path, source: str, asks: Sequence[dict[str, Any]]
) -> Iterator[Events]:
    """A script of `scripts`, which works off `asks` with what a block of the guide makes."""
    log = folder / f"{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("python", SCRIPTS / f"{name}.py"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env=variables(folder),
        )
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin as stdin:
            json.dump({"source": source, "asks": list(asks)}, stdin)
        yield Events(process, log)
        process.stdout.read()
        assert process.wait(PATIENCE_S) == 0, log.read_text(errors="replace")
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
