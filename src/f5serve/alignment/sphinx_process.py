"""Runs PocketSphinx in child processes, so that no thread waits for the interpreter's lock.

The interface of `sphinx.Sphinx`; sphinx_child.py does the work. A process is started at first use,
kept, ended when its answer is no longer wanted, and replaced when it has died.
Why: docs/decisions/0025-english-alignment-in-a-child-process.md.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from f5serve.errors import ModelUnavailable
from f5serve.process import CHECK_S, Check, never_cancelled
from f5serve.types import Alignment, Wave, WordTiming

_log = logging.getLogger(__name__)

_CHILD = Path(__file__).with_name("sphinx_child.py")

START_S = 60.0
"""Longest time for the start of a process; half a second is usual."""

LEAST_S, PER_S = 60.0, 4.0
"""Longest wait for an answer, and for each second of sound; 0.02 is usual."""

_TRIES = 2
"""A process may have been ended while it slept, as for want of memory."""


class ProcessDied(Exception):
    """The process has ended without an answer; with the reason, where that is known."""


class SphinxProcesses:
    """`sphinx.Sphinx` in child processes; may be used by many threads.

    Args:
        processes: most that run at once; a call more waits for one of them.
    """

    method = "pocketsphinx"

    def __init__(self, processes: int = 1) -> None:
        self._max_processes = processes
        self._idle: list[_Child] = []
        self._running: set[_Child] = set()
        self._changed = threading.Condition()
        weakref.finalize(self, _end_all, self._idle, self._running)

    def load(self) -> None:
        """Start the first process.

        Raises:
            ModelUnavailable: ALIGNER_FAILED.
        """
        try:
            self._put_back(self._take(never_cancelled))
        except ProcessDied as died:
            raise _failed(died) from died

    def supports(self, language: str) -> bool:
        """English alone."""
        return language == "en"

    def align(
        self,
        wave: Wave,
        text: str,
        language: str,
        check: Check | None = None,
    ) -> Alignment:
        """See `types.Aligner`.

        Args:
            check: called ten times a second; what it raises ends the work and is raised.
        """
        check = check or never_cancelled
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = self._request(wave, text, language, check)
            except ProcessDied as died:
                _log.warning("a process that aligns has ended: %s", died)
                if not tries_left:
                    raise _failed(died) from died
            else:
                words = tuple(WordTiming(*word) for word in answer["words"])
                return Alignment(words, self.method, answer["confidence"]) if words else Alignment()
        raise AssertionError("the last try returns or raises")

    def _request(self, wave: Wave, text: str, language: str, check: Check) -> dict[str, Any]:
        child = self._take(check)
        with ExitStack() as unless_answered:
            # Else the next caller would get the answer that is still to come.
            unless_answered.callback(self._drop, child)
            answer = child.request(wave, text, language, check)
            unless_answered.pop_all()
        self._put_back(child)
        return answer

    def _take(self, check: Check) -> _Child:
        with self._changed:
            while not self._idle and len(self._running) >= self._max_processes:
                self._changed.wait(CHECK_S)
                check()
            child = self._idle.pop() if self._idle else _Child()
            if child.has_died():  # those that slept may all have been ended at once
                child.end()
                child = _Child()
            self._running.add(child)
        with ExitStack() as unless_started:
            unless_started.callback(self._drop, child)
            child.start(check)
            unless_started.pop_all()
        return child

    def _put_back(self, child: _Child) -> None:
        with self._changed:
            self._running.discard(child)
            self._idle.append(child)
            self._changed.notify()

    def _drop(self, child: _Child) -> None:
        child.end()
        with self._changed:
            self._running.discard(child)
            self._changed.notify()


class _Child:
    """One process; for one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def start(self, check: Check) -> None:
        """Start it, unless it runs already.

        Raises:
            ProcessDied: it cannot align.
        """
        if self._process is not None:
            return
        try:
            self._open()
        except OSError as error:  # no memory, or no file descriptors
            raise ProcessDied(error.strerror) from error
        answer = self._answer(check, START_S)
        if "failed" in answer:
            raise ProcessDied(answer["failed"])

    def has_died(self) -> bool:
        """Whether it was started and has ended since."""
        return self._process is not None and self._process.poll() is not None

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        self._connection = ours
        command = [sys.executable, "-IB", str(_CHILD), str(theirs.fileno()), json.dumps(sys.path)]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def request(self, wave: Wave, text: str, language: str, check: Check) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            ProcessDied: there is none; end it.
        """
        samples = np.ascontiguousarray(wave.samples, np.float32)
        fields = {"text": text, "language": language, "sample_rate": wave.sample_rate}
        head = json.dumps({**fields, "samples": len(samples)}).encode() + b"\n"
        try:
            self._send(memoryview(head), check)
            if len(samples):
                self._send(samples.data.cast("B"), check)
        except OSError as error:
            raise ProcessDied(self._exit_status()) from error
        return self._answer(check, LEAST_S + PER_S * wave.duration_s)

    def end(self) -> None:
        """End it at once."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _send(self, left: memoryview, check: Check) -> None:
        assert self._connection is not None
        self._connection.settimeout(CHECK_S)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except TimeoutError:
                check()

    def _answer(self, check: Check, within_s: float) -> dict[str, Any]:
        assert self._connection is not None
        self._connection.settimeout(CHECK_S)
        deadline = time.monotonic() + within_s
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\n"):
            try:
                part = self._connection.recv(1 << 20)
            except TimeoutError:
                check()
                if time.monotonic() < deadline:
                    continue
                part = b""
            except OSError as error:
                raise ProcessDied(self._exit_status()) from error
            if not part:
                raise ProcessDied(self._exit_status())
            parts.append(part)
        answer: dict[str, Any] = json.loads(b"".join(parts))
        return answer

    def _exit_status(self) -> str:
        """Its exit status, for the log; it ends at the latest now."""
        self.end()
        return f"exit status {self._process.returncode if self._process else None}"


def _end_all(*groups: Sequence[_Child] | set[_Child]) -> None:
    for group in groups:
        for child in list(group):
            with suppress(OSError):
                child.end()


def _failed(died: ProcessDied) -> ModelUnavailable:
    return ModelUnavailable(
        f"The words could not be aligned: {died}.",
        code="ALIGNER_FAILED",
        hint="Send it again; if it fails again, check free memory and open files.",
        retryable=True,
    )
