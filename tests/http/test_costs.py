"""What one request can cost the server: every route of the document, asked with too much of it.

A real server process is measured: the processor time of its event loop's thread, which nobody else
on this machine can lengthen, its memory, and how long /ping takes meanwhile. F5_FUZZ_SECONDS above
60 tries every field with every value; else a few fields of each route are.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from f5serve.http.app import assemble
from tests.http.house import HELLO
from tests.http.program import Program, server

LOOP_S = 0.15
"""Processor time of the loop's thread for one request; reading 2 MB and a look at it take 0.02."""

UPLOAD_LOOP_S = 1.0
"""For a body of 25 MB, which comes, and is counted, in small parts."""

PING_S = 10.0
"""Longest /ping meanwhile: hundredths, but on a busy machine the processes wait for one another."""

MEMORY_BYTES = 60_000_000
"""Growth of the highest memory for a body of 2 MB; an upload may take twice its size."""

IS_LONG = int(os.environ.get("F5_FUZZ_SECONDS", "60")) > 60
FIELDS_IN_SHORT = 1

BODY = 1_900_000
DOCUMENT: dict[str, Any] = assemble().openapi()
OPERATIONS = [
    (method, path, told)
    for path, item in DOCUMENT["paths"].items()
    for method, told in item.items()
]
IDS = [told["operationId"] for _, _, told in OPERATIONS]

JSON = {"Content_Type": "application/json"}
VALUES: dict[str, str] = {
    "numbers": "[" + "1," * (BODY // 2) + "1]",
    "texts": "[" + '"a",' * (BODY // 4) + '"a"]',
    "objects": "[" + "{}," * (BODY // 3) + "{}]",
    "lists_within_lists": "[" * (BODY // 2) + "]" * (BODY // 2),
    "lists_that_do_not_end": "[" * BODY,
    "objects_within_objects": '{"a":' * (BODY // 6) + "1" + "}" * (BODY // 6),
    "fields": "{" + ",".join(f'"f{n}":1' for n in range(150_000)) + "}",
    "same_fields": "{" + '"a":1,' * (BODY // 6) + '"a":1}',
    "long_text": '"' + "a" * BODY + '"',
    "commas": '"' + "[,{:" * (BODY // 4) + '"',
    "quotes": '"' + r"\"" * (BODY // 2) + '"',
    "backslashes": '"' + "\\\\" * (BODY // 2) + '"',
    "halves": '"' + r"\ud800" * (BODY // 6) + '"',
    "marks": '"' + "!x" * (BODY // 2) + '"',
    "digits": "1" * BODY,
    "fraction": "0." + "1" * BODY,
    "exponent": "1e400",
    "not_a_number": "NaN",
    "blanks": " " * BODY + "1",
}


@dataclass
class Measured:
    """The server process, and what it did use."""

    program: Program
    host: str
    port: int
    _pid: int = 0
    _slowest_ping_s: float = 0.0
    _pings: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._pid = self.program.process.pid

    def watch(self) -> None:
        """Ask for /ping again and again, until told to stop."""
        link = http.client.HTTPConnection(self.host, self.port, timeout=60)
        while not self._stopped.wait(0.01):
            began = time.monotonic()
            link.request("GET", "/ping")
            link.getresponse().read()
            self._slowest_ping_s = max(self._slowest_ping_s, time.monotonic() - began)
            self._pings += 1
        link.close()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def cost(self, call: Callable[[], int]) -> tuple[int, float, int, float]:
        """Status, loop's processor seconds, bytes of memory at most, slowest ping."""
        self._slowest_ping_s = 0.0
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # its highest memory is now
        before_s, before = self._loop_s(), self._highest()
        status = call()
        pings, until = self._pings, time.monotonic() + 60
        while self._pings == pings and time.monotonic() < until:  # the one that waits now
            time.sleep(0.001)
        return status, self._loop_s() - before_s, self._highest() - before, self._slowest_ping_s

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """The status of the answer, which is read to its end; 0 where there is none."""
        link = http.client.HTTPConnection(self.host, self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            link.request(method, path, body or None, named)
            answer = link.getresponse()
            answer.read()
            return answer.status
        except (BrokenPipeError, ConnectionResetError):
            return 0
        finally:
            link.close()

    def _loop_s(self) -> float:
        """Of the main thread, in which the loop runs."""
        told = Path(f"/proc/{self._pid}/task/{self._pid}/stat").read_text()
        fields = told.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _highest(self) -> int:
        told = Path(f"/proc/{self._pid}/status").read_text()
        return int(told.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory and processor time are read from /proc")
    with server(tmp_path_factory.mktemp("costs")) as program:
        url = program.url()
        assert program.pings(url)[-1] == 200
        host, _, port = url.removeprefix("http://").partition(":")
        found = Measured(program, host, int(port))
        spoken = found.send("POST", "/v1/audio/speech", json.dumps(HELLO).encode(), **JSON)
        assert spoken == 200  # the first loads what all others share
        asking = threading.Thread(target=found.watch)
        asking.start()
        yield found
        found.stop()
        asking.join(60)


def filled(path: str, value: str = "x") -> str:
    for name in ("voice_id", "model_id", "job_id"):
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{format}", "srt")


def schema_of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    """Of an operation's body."""
    schema: dict[str, Any] = told["requestBody"]["content"][kind]["schema"]
    return DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)


def json_bodies(told: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """A name and a body for each value in the place of the whole and of a few fields."""
    plain = {"text": "Hello.", "input": "Hello.", "model": "tts-1", "voice": "nobody"}
    fields = list(schema_of(told, "application/json")["properties"])
    odd = ["timing_format", "unknown"]
    chosen = [*fields, "unknown"] if IS_LONG else [*fields[:FIELDS_IN_SHORT], *odd]
    for kind, value in VALUES.items():
        yield f"the whole is {kind}", value.encode()
        for name in chosen:
            rest = json.dumps({n: v for n, v in plain.items() if n in fields and n != name})
            yield f"{name} is {kind}", f'{{"{name}":{value},{rest[1:]}'.encode()


def form_bodies(told: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """A name and a multipart body with the boundary x."""
    part = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    fields = list(schema_of(told, "multipart/form-data")["properties"])
    for name in fields:
        yield f"{name} is long", part % (name.encode(), b"", b"a" * 900_000) + b"--x--\r\n"
    first = fields[0].encode()
    file = b'; filename="a.wav"'
    yield "parts", (part % (first, b"", b"a")) * 40_000 + b"--x--\r\n"
    yield "files", (part % (first, file, b"a")) * 30_000 + b"--x--\r\n"
    yield "headers", b"--x\r\n" + b"a: b\r\n" * 300_000 + b"\r\na\r\n--x--\r\n"
    yield "one header", b"--x\r\na: " + b"b" * BODY + b"\r\n\r\na\r\n--x--\r\n"
    yield "a file name", part % (first, b'; filename="%b"' % (b"a" * BODY), b"a") + b"--x--\r\n"
    yield "nearly boundaries", part % (first, file, b"\r\n--" * (BODY // 4)) + b"--x--\r\n"
    yield "line ends", part % (first, file, b"\r" * BODY) + b"--x--\r\n"
    yield "an upload", part % (first, file, b"a" * 25_000_000) + b"--x--\r\n"


def heads(path: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """A name, a path and headers."""
    long = "a" * 60_000
    yield "a query", f"{filled(path)}?limit={long}", {}
    yield "a whole number", f"{filled(path)}?limit={'1' * 8_000}", {}
    yield "parameters", f"{filled(path)}?{'a&' * 30_000}", {}
    yield "a name", filled(path, long), {}
    yield "a shorter name", filled(path, "a" * 8_000), {}
    yield "odd characters", filled(path, "%00%ff%ed%a0%80" * 500), {}
    names = {f"h{n}": "a" for n in range(4_000)}
    yield "headers", filled(path), names
    for name in ("Idempotency-Key", "If-None-Match", "If-Range", "X-API-Key", "X-Request-Id"):
        yield name, filled(path), {name: "a," * 25_000}
    yield "ranges", filled(path), {"Range": f"bytes={'1-2,' * 12_000}"}
    yield "a content type", filled(path), {"Content-Type": f"multipart/form-data{';a=b' * 12_000}"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "path", "told"), OPERATIONS, ids=IDS)
def test_no_request_takes_the_server_from_others(
    measured: Measured, method: str, path: str, told: dict[str, Any]
) -> None:
    dear = []

    def ask(name: str, at: str, body: bytes = b"", **headers: str) -> None:
        spent = measured.cost(lambda: measured.send(method.upper(), at, body, **headers))
        status, loop_s, memory, ping_s = spent
        is_upload = len(body) > 20_000_000
        assert status < 500 or status == 501, (name, status)
        if (
            loop_s > (UPLOAD_LOOP_S if is_upload else LOOP_S)
            or memory > (2 * len(body) if is_upload else MEMORY_BYTES)
            or ping_s > PING_S
        ):
            dear.append((name, status, round(loop_s, 3), f"{memory:,}", round(ping_s, 3)))

    for name, at, headers in heads(path):
        ask(name, at, **headers)
    kinds = told.get("requestBody", {}).get("content", {})
    if "application/json" in kinds:
        for name, body in json_bodies(told):
            ask(name, path, body, **JSON)
    if "multipart/form-data" in kinds:
        for name, body in form_bodies(told):
            ask(name, path, body, Content_Type="multipart/form-data; boundary=x")
        fields = b"a&" * (BODY // 2)
        ask("a form", path, fields, Content_Type="application/x-www-form-urlencoded")
    assert not dear, "\n".join(map(str, dear))
