"""Worker processes as the driver sees them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
ANSWER_LIMIT_S = 3600


class WorkerFailed(RuntimeError):
    """A worker ended or did not answer; the message holds the end of what it wrote."""


class Worker:
    """One side of the comparison in a process of its own; a context manager.

    Args:
        python: interpreter of the environment that has the side's packages.
        script: worker_ours.py, worker_upstream.py, or one of those of cold_start.py.
        threads: of OpenMP and MKL.
        log: file that takes what the worker prints.
        more: environment beyond what both sides have.
    """

    def __init__(
        self,
        python: str,
        script: str,
        threads: int,
        log: Path,
        more: dict[str, str] | None = None,
    ) -> None:
        self._log = log
        self._script = script
        self.started = time.monotonic()
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [python, str(HERE / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=_environment(threads) | (more or {}),
                cwd=log.parent,
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Run one command and wait for its answer.

        Raises:
            WorkerFailed: the worker ended, or took longer than `ANSWER_LIMIT_S`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its log says why
        answered, _, _ = select.select([self._process.stdout], [], [], ANSWER_LIMIT_S)
        line = self._process.stdout.readline() if answered else ""
        if not line:
            end = self._log.read_text(errors="replace")[-2000:]
            raise WorkerFailed(f"{do} got no answer from {self._script}:\n{end}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process: it leaves when its input does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment(threads: int) -> dict[str, str]:
    """The environment of both sides: equal threads, bytecode kept between starts, no hub."""
    environ = dict(os.environ)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ.pop("PYTHONPATH", None)
    count = str(threads)
    return environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "HF_HUB_OFFLINE": "1"}
