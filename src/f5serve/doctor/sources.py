"""Where facts are read from: the environment, files below a root, and programs with a time limit.

Tests build machines as folders, programs and mappings.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from f5serve import build
from f5serve.doctor.facts import Python

_AFTER_KILL_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        code: exit code, negative for a signal; None when there is no such program.
        timed_out: it was killed.
    """

    code: int | None
    out: str = ""
    err: str = ""
    timed_out: bool = False

    @property
    def last_line(self) -> str:
        """The last line on stderr, where programs report what went wrong."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip()[:500] if lines else ""


class Commands:
    """Runs programs in an environment.

    Args:
        environ: theirs; its PATH is where they are looked for.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def run(self, argv: Sequence[str], timeout_s: float) -> Outcome:
        """Run a program to its end, or to the end of the time it has."""
        program = shutil.which(argv[0], path=self._environ.get("PATH", os.defpath))
        if program is None:
            return Outcome(None)
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(126, err=error.strerror or str(error))
        with process:
            return _collect(process, timeout_s)


def _collect(process: subprocess.Popen[bytes], timeout_s: float) -> Outcome:
    try:
        out, err = process.communicate(timeout=timeout_s)
        return Outcome(process.returncode, _text(out), _text(err))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    try:
        out, err = process.communicate(timeout=_AFTER_KILL_S)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL  # left behind, as a call of a driver can hang
        return Outcome(-signal.SIGKILL, timed_out=True)
    return Outcome(process.returncode, _text(out), _text(err), timed_out=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from.

    Attributes:
        variables: the environment.
        root: folder that stands for /, above proc, sys and dev.
        site: folders that packages are installed in.
        executable: python that runs what may hang or crash.
        commands, statvfs: run programs, and read the sizes of a file system.
        python, temp: the interpreter, and the folder for temporary files.
        package, kernels: folders of the copy of f5serve that is looked at, and of its kernels.
        trial_s, driver_s, hash_s: longest time for a process that imports torch, for nvidia-smi,
            and for hashing the weights, which may lie on a slow volume.
    """

    variables: Mapping[str, str]
    commands: Commands
    python: Python
    temp: Path
    package: Path = build.PACKAGE
    kernels: Path | None = None
    root: Path = Path("/")
    site: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    executable: str = sys.executable
    statvfs: Callable[[Path], Any] = os.statvfs
    trial_s: float = 60.0
    driver_s: float = 6.0
    hash_s: float = 300.0
