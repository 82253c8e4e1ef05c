"""Aligns English in a process of its own: PocketSphinx holds the interpreter's lock.

Started by sphinx_process.py as `python -I sphinx_child.py SOCKET PATHS`: a file descriptor and the
module search path, as JSON. It answers one request after the other until the other end is closed,
and ends soon after its parent has ended, even if another process holds that end open.

    requests   {"text", "language", "sample_rate", "samples"} and a line end, then the samples,
               float32 in the byte order of the machine
    answers    {"ready": true} or {"failed": why} at the start; then for each request
               {"words": [[word, start_s, end_s, confidence] ...], "confidence"}; each is a line
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from typing import Any, BinaryIO

MEMORY_BYTES = 3_000_000_000
"""Address space: half an hour of sound takes 0.7 GB, libraries that are only mapped the rest."""

LEAST_CPU_S, CPU_PER_S = 30, 1.0
"""Processor time for a request, and for each second of its sound; 0.02 is usual."""

LOOK_S = 5.0
"""How often, between requests, it checks that the parent still lives."""

NICER = 5
"""Priority below that of the synthesis, which goes on meanwhile."""


def main(arguments: list[str]) -> None:
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends this
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(NICER)
    sys.path[:] = json.loads(arguments[1])
    with socket.socket(fileno=int(arguments[0])) as connection:
        sphinx = _load(connection)
        if sphinx is not None:
            _serve(connection, sphinx, parent)


def _load(connection: socket.socket) -> Any:
    try:
        from f5serve.alignment.sphinx import Sphinx

        sphinx = Sphinx()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent logs it
        _send(connection, {"failed": f"{type(error).__name__}: {error}"})
        return None
    _send(connection, {"ready": True})
    return sphinx


def _serve(connection: socket.socket, sphinx: Any, parent: int) -> None:
    from f5serve.types import Alignment

    def check() -> None:
        if os.getppid() != parent:
            raise SystemExit

    with connection.makefile("rb") as requests:
        while _has_request(connection, check) and (line := requests.readline()):
            request = json.loads(line)
            wave = _read_wave(requests, request)
            _allow_cpu(wave.duration_s)
            try:
                found = sphinx.align(wave, request["text"], request["language"], check)
            except MemoryError:
                found = Alignment()
            words = [[w.word, w.start_s, w.end_s, w.confidence] for w in found.words]
            _send(connection, {"words": words, "confidence": found.confidence})
            del wave, found, words, request, line


def _has_request(connection: socket.socket, check: Any) -> bool:
    """Wait for a request, or for the end."""
    connection.settimeout(LOOK_S)
    while True:
        check()
        try:
            there = connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        connection.settimeout(None)
        return bool(there)


def _read_wave(requests: BinaryIO, request: dict[str, Any]) -> Any:
    import numpy as np

    from f5serve.types import Wave

    samples = np.empty(request["samples"], np.float32)
    left = samples.data.cast("B") if len(samples) else memoryview(b"")
    while left:
        got = requests.readinto(left)  # type: ignore[attr-defined]
        if not got:
            raise SystemExit
        left = left[got:]
    return Wave(samples, request["sample_rate"])


def _allow_cpu(sound_s: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    _limit(resource.RLIMIT_CPU, int(spent + LEAST_CPU_S + CPU_PER_S * sound_s), keep_hard=True)


def _limit(what: int, value: int, keep_hard: bool = False) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard < 0 else min(value, hard)
    resource.setrlimit(what, (value, hard if keep_hard else value))


def _send(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
