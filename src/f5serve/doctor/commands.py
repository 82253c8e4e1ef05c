"""Programs of this machine, run so that none of them can hang whoever asks.

Arguments flow in, an `Outcome` flows out. A program that does not end in time is killed with all
that it has started, and left behind when even that does not end it, as a driver call can.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        """The last line of its complaints, which is where programs say what went wrong."""
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
        process.returncode = -signal.SIGKILL  # nobody waits for it any more
        return Outcome(-signal.SIGKILL, timed_out=True)
    return Outcome(process.returncode, _text(out), _text(err), timed_out=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
