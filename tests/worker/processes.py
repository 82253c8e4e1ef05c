"""Worker processes that a test starts and ends, by their ids."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.worker.job_api import JobApi

ROOT = Path(__file__).parents[2]
PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "OMP_WAIT_POLICY")


class Worker:
    """One worker process and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def text(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, parsed."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def wait_line(self, piece: str, timeout_s: float = 60.0, job_id: str = "") -> dict[str, Any]:
        """The first log line, of that job if one is given, whose message holds `piece`."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in self.lines():
                if piece in line["message"] and job_id in ("", line.get("job_id")):
                    return line
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)
        raise AssertionError(f"{piece!r} was not logged:\n{self.text()}")

    def cpu_s(self) -> float:
        """CPU seconds it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def worker(
    home: Path,
    arguments: Sequence[str] = (),
    environ: dict[str, str] | None = None,
    module: str = "tests.worker.tone_worker",
) -> Iterator[Worker]:
    """A worker that is gone at the end of the block, with its store in `home`/store."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / f"log-{time.monotonic_ns()}.txt"
    settings = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "HOME": str(home),
        "F5_DATA_DIR": str(home),
        "F5_ENGINE": "standin",
        **(environ or {}),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=settings,
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )
    try:
        yield Worker(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@contextmanager
def ready(
    api: JobApi,
    home: Path,
    arguments: Sequence[str] = (),
    environ: dict[str, str] | None = None,
    name: str = "w1",
    module: str = "tests.worker.tone_worker",
) -> Iterator[Worker]:
    """A worker that takes jobs from `api` and has asked for its first one."""
    with worker(home, arguments, {**api.environ(name), **(environ or {})}, module) as started:
        began = time.monotonic()
        while not any(at > began for at in api.takes):
            assert started.process.poll() is None, started.text()
            assert time.monotonic() < began + 90, started.text()
            time.sleep(0.02)
        yield started
