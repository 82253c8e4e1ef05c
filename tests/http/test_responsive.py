"""The server answers everybody at once, whatever one caller has it do.

Each heavy operation runs in a real server while /ping is asked for all the time. F5_TEST_FULL=1
takes every operation to its documented limit, which needs many minutes.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
import numpy as np
import pytest

from f5serve.audio.decode import decode
from f5serve.audio.encode import encode
from f5serve.types import Wave
from tests.http.busy_server import MAX_CHARS
from tests.http.house import HELLO
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

_log = logging.getLogger(__name__)

IS_FULL = os.environ.get("F5_TEST_FULL") == "1"
MOST_S = 0.05 if IS_FULL else 0.25
"""99 of 100 pings are answered within it; 0.01 on a quiet machine, which a full run needs."""

LEAST_PINGS = 100
ROUNDS = 3
"""Each says something else, as what was said before is known. What holds everybody up does so in
all of them; another test that takes both cores for a moment does not."""

PAUSE_S = 0.01

OPENINGS = ("First.", "Second.", "Third.")

Operation = Callable[[httpx.Client, int], int]
"""Has the server do something heavy; returns the status of its answer."""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.http.busy_server", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        made = process.stdout.readline().strip()
        with httpx.Client(base_url=made, timeout=60) as client:
            while client.get("/ping").status_code != 200:
                time.sleep(0.05)
            align(client, recording(), WORDS)  # what is imported by a first request is there
        yield made
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("busy")) as made:
        yield made


@pytest.fixture(scope="module")
def idle_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another server, that nobody has do anything: it tells how busy the machine is."""
    with server(tmp_path_factory.mktemp("idle")) as made:
        yield made


class Pings:
    """Asks for /ping over one connection, as often as it can."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=60)
        self.seconds: list[float] = []

    def ask(self) -> None:
        began = time.perf_counter()
        self._connection.request("GET", "/ping")
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status in (200, 204)
        self.seconds.append(time.perf_counter() - began)
        time.sleep(PAUSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def __str__(self) -> str:
        return f"p99 {1000 * self.p99_s:.0f} ms, longest {1000 * max(self.seconds):.0f} ms"

    @property
    def p99_s(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98]


def align(client: httpx.Client, sound: bytes, text: str) -> int:
    files = {"file": ("a.flac", sound)}
    return client.post("/v1/audio/alignments", data={"text": text}, files=files).status_code


def alignment(client: httpx.Client, round_: int) -> int:
    times = 215 if IS_FULL else 8  # of 8.3 s
    waves = [decode(recording()).samples, decode(other_recording()).samples]
    sound = encode(Wave(np.concatenate(waves * times)), "mp3" if IS_FULL else "flac")
    text = " ".join([WORDS, OTHER_WORDS] * times)
    return align(client, sound, text)


def decoding(client: httpx.Client, round_: int) -> int:
    seconds = 1_790 if IS_FULL else 200
    tone = np.sin(np.arange(24_000 * seconds, dtype=np.float32) / 30) * 0.001
    files = {"file": ("a.mp3", encode(Wave(tone.astype(np.float32)), "mp3"))}
    data = {"text": "Hello.", "language": "de"}  # which nobody here aligns
    return client.post("/v1/audio/alignments", data=data, files=files).status_code


def transcription(client: httpx.Client, round_: int) -> int:
    for number in range(6 if IS_FULL else 2):
        answer = client.post(
            "/v1/audio/voices",
            data={"name": f"somebody-{number}", "consent": "yes"},
            files={"audio_sample": ("a.wav", recording())},
        )
    return answer.status_code


def words(client: httpx.Client, round_: int) -> int:
    text = "This is a sentence whose words are looked for. " * (400 if IS_FULL else 12)
    text = f"{OPENINGS[round_]} {text}"
    body = HELLO | {"input": text, "return_word_timings": True}
    return client.post("/v1/audio/speech", json=body).status_code


def verification(client: httpx.Client, round_: int) -> int:
    text = f"{OPENINGS[round_]} " + "This is a sentence that is heard. " * (20 if IS_FULL else 2)
    body = HELLO | {"input": text, "verify": True}
    return client.post("/v1/audio/speech", json=body).status_code


def encoding(format: str) -> Operation:
    def ask(client: httpx.Client, round_: int) -> int:
        text = (
            f"{OPENINGS[round_]} " + "This sentence is one of many in a text that goes on. " * 3_700
        )
        size = MAX_CHARS if IS_FULL else MAX_CHARS // (10 if format in ("wav", "flac") else 100)
        body = HELLO | {"input": text[:size].rstrip(), "response_format": format}
        return client.post("/v1/audio/speech", json=body).status_code

    return ask


def splitting(client: httpx.Client, round_: int) -> int:
    for text in ("x" + "!" * 4_000 + "x ", "word " * 800, "_" * 3_999 + "a", "世界" * 2_000):
        size = 50_000 if IS_FULL else 5_000
        spoken = (text * (size // len(text) + 1))[:size]
        body = HELLO | {"input": f"{OPENINGS[round_]} {spoken}."[:size], "response_format": "pcm"}
        assert client.post("/v1/audio/speech", json=body).status_code in (200, 400)
    return 200


OPERATIONS: dict[str, Operation] = {
    "alignment": alignment,
    "decoding": decoding,
    "transcription": transcription,
    "words": words,
    "verification": verification,
    "encoding-mp3": encoding("mp3"),
    "encoding-opus": encoding("opus"),
    "encoding-flac": encoding("flac"),
    "encoding-wav": encoding("wav"),
    "splitting": splitting,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_everybody_else_is_answered_at_once(url: str, idle_url: str, name: str) -> None:
    told = []
    for round_ in range(ROUNDS):
        pings, idle = _round(url, idle_url, OPERATIONS[name], round_)
        told.append(f"{pings}; the idle server beside it: {idle}")
        _log.info("%s: %s", name, told[-1])
        if pings.p99_s < max(MOST_S, 3 * idle.p99_s):
            return
    raise AssertionError(told)


def _round(url: str, idle_url: str, operation: Operation, round_: int) -> tuple[Pings, Pings]:
    statuses: list[int] = []

    def work() -> None:
        with httpx.Client(base_url=url, timeout=600) as client:
            statuses.append(operation(client, round_))

    begun = threading.Thread(target=work)
    begun.start()
    with Pings(url) as pings, Pings(idle_url) as idle:
        while begun.is_alive() or len(pings.seconds) < LEAST_PINGS:
            pings.ask()
            idle.ask()
    begun.join()
    assert statuses[0] in (200, 201, 400), statuses
    return pings, idle
