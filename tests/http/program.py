"""Server processes that a test starts as a person would, and ends by their ids."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import httpx

from tests.worker.processes import PASSED_ON, ROOT

START_S = 60.0
"""For a busy machine; alone, a server listens after one second."""


class Program:
    """One server process and all that it has written."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    def said(self) -> str:
        """What it has printed."""
        return self._out.read_text(errors="replace")

    def logged(self) -> str:
        """What it has logged."""
        return self._err.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, every line of which must be JSON."""
        return [json.loads(line) for line in self.logged().splitlines()]

    def url(self) -> str:
        """Where it says that it listens, once it does."""
        return self.wait_for(r"listens on (http://[^\s,;\"]+)")

    def wait_for(self, pattern: str) -> str:
        """The first group of what it prints or logs."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if found := re.search(pattern, self.said() + self.logged()):
                return found[1]
            assert self.process.poll() is None, self.said() + self.logged()
            time.sleep(0.02)
        raise AssertionError(f"{pattern}: {self.said()}{self.logged()}")

    def pings(self, url: str) -> list[int]:
        """Statuses of /ping until it is ready or has failed, each named once."""
        seen: list[int] = []
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            status = httpx.get(f"{url}/ping", timeout=30).status_code
            if status not in seen:
                seen.append(status)
            if status != 204:
                return seen
            time.sleep(0.02)
        raise AssertionError(self.logged())


@contextlib.contextmanager
def server(
    home: Path,
    arguments: Sequence[str] = ("serve", "--port", "0"),
    *,
    stderr: IO[bytes] | int | None = None,
    max_files: int | None = None,
    **environ: str,
) -> Iterator[Program]:
    """A server with the stand-in speaker, gone at the end of the block; `home` is all it has.

    Args:
        max_files: how many it may have open.
    """
    limit = None
    if max_files is not None:
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))  # noqa: E731
    home.mkdir(parents=True, exist_ok=True)
    out, err = home / "out.txt", home / "err.txt"
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables |= {"HOME": str(home), "F5_DATA_DIR": str(home / "data"), "F5_ENGINE": "standin"}
    with out.open("wb") as printed, err.open("wb") as logged:
        process = subprocess.Popen(
            [sys.executable, "-m", "f5serve", *arguments],
            env=variables | environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=logged if stderr is None else stderr,
            preexec_fn=limit,
        )
    try:
        yield Program(process, out, err)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def free_port() -> int:
    """A port that nothing listens on; nothing will for a while: they are handed out in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
