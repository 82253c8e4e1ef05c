"""Speech leaves as it is made, ends with its job, and stops when nobody listens."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.errors import EngineFailed
from f5serve.fallback.tone import STEPS
from f5serve.types import OnDone, Utterance, Wave
from tests.http.house import HELLO, House, house
from tests.http.sound import FORMATS, LONG, events, heard_s, joined
from tests.service.house import CountingTone

HELD = "The first of these sentences can be heard. " + LONG[: len(LONG) // 3]


class Sentences(CountingTone):
    """Makes the beginning of a text, then waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.has_begun = threading.Event()

    def generate(
        self,
        utterances: Sequence[Utterance],
        on_done: OnDone | None = None,
        check: Callable[[], None] | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Wave]:
        self.calls += 1
        if self.calls % 2 == 0:  # a quick start is a call of its own
            self.hold()
            self.has_begun.set()
        return super().generate(utterances, on_done, check, deadline=deadline)

    def go_on(self) -> int:
        """Make the rest; returns the steps that were taken before."""
        assert self.has_begun.wait(10)
        self.has_begun.clear()
        steps = self.steps
        self.release()
        return steps


class Breaking(CountingTone):
    """Makes the beginning of a text, then fails."""

    error: Exception = EngineFailed("The device is gone.", code="STEP_FAILED", hint="Try again.")

    def generate(self, utterances: Sequence[Utterance], *args: Any, **named: Any) -> list[Wave]:
        if self.spoken:
            raise self.error
        return super().generate(utterances, *args, **named)


@pytest.fixture(scope="module")
def halting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), tone=Sentences()) as made:
        yield made


@contextlib.contextmanager
def speaking(home: House, timeout: float = 60, **fields: Any) -> Iterator[httpx.Response]:
    """An answer of which only the head has been read."""
    body, headers = HELLO | fields, {}
    if "key" in body:
        headers["Idempotency-Key"] = body.pop("key")
    with home.client.stream(
        "POST", "/v1/audio/speech", json=body, headers=headers, timeout=timeout
    ) as answer:
        yield answer


def until(what: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def told(home: House) -> list[str]:
    """The statuses of all jobs."""
    return [job["status"] for job in home.client.get("/v1/jobs").json()["jobs"]]


def status(home: House, job_id: str) -> str:
    return str(home.client.get(f"/v1/jobs/{job_id}").json()["status"])


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "flac"])  # comes whole
def test_the_first_sentence_is_heard_before_the_second_is_made(halting: House, format: str) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    steps = tone.steps
    with speaking(halting, input=HELD, response_format=format) as answer:
        parts, data = answer.iter_raw(), b""
        while heard_s(data, format) < 1.0:
            data += next(parts)
        first_s = heard_s(data, format)
        assert tone.go_on() == steps + STEPS  # of the first, and none of any other
        data += b"".join(parts)
    assert heard_s(data, format) > 2 * first_s


def test_events_are_sent_as_they_happen(halting: House) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    steps = tone.steps
    with speaking(
        halting, input=HELD + "So.", response_format="pcm", stream_format="sse"
    ) as answer:
        lines = answer.iter_lines()
        text = ""
        while len(text) < 48_000:  # a second
            text += next(lines) + "\n"
        assert tone.go_on() == steps + STEPS
        text += "".join(f"{line}\n" for line in lines)
    told = events(text)
    assert told[-1]["usage"]["output_tokens"] == round(len(joined(told)) / 2 / 256)


def test_an_answer_ends_when_its_job_has(halting: House) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    with speaking(halting, input=HELD + "Or so.", response_format="wav") as answer:
        parts = answer.iter_raw()
        next(parts)
        job_id = answer.headers["x-f5-job-id"]
        assert status(halting, job_id) == "PROCESSING"
        tone.go_on()
        assert b"".join(parts)
        assert status(halting, job_id) == "COMPLETED"


@pytest.mark.parametrize("how", ["audio", "sse"])
def test_an_error_in_the_middle_cannot_be_overlooked(tmp_path: Path, how: str) -> None:
    with house(tmp_path, tone=Breaking()) as home:
        with speaking(home, input=HELD, response_format="pcm", stream_format=how) as answer:
            assert answer.status_code == 200
            if how == "audio":
                with pytest.raises(httpx.RemoteProtocolError):
                    answer.read()
            else:
                told = events(answer.read().decode())
                assert joined(told)
                assert told[-1]["type"] == "error"
                assert told[-1]["error"] == {
                    "message": "The device is gone. Try again.",
                    "type": "server_error",
                    "param": None,
                    "code": "step_failed",
                }
        assert status(home, answer.headers["x-f5-job-id"]) == "ERROR"


def test_a_fault_in_the_middle_tells_a_trace_id_alone(tmp_path: Path) -> None:
    tone = Breaking()
    tone.error = ValueError("/a/secret")
    with (
        house(tmp_path, tone=tone) as home,
        speaking(home, input=HELD, stream_format="sse") as answer,
    ):
        text = answer.read().decode()
    assert events(text)[-1]["error"]["code"] == "internal"
    assert "secret" not in text


def test_an_error_at_the_beginning_is_a_status(tmp_path: Path) -> None:
    tone = Breaking()
    tone.spoken.append("before")
    with house(tmp_path, tone=tone) as home:
        for how in ("audio", "sse"):
            answer = home.speak(stream_format=how)
            home.refused(answer, 500, "step_failed")
        tone.error = ValueError("/a/secret")
        assert "trace id" in home.refused(home.speak(input="Another."), 500, "internal")


def test_leaving_stops_the_work_and_frees_the_device(tmp_path: Path) -> None:
    tone = CountingTone(cost_s=0.2)  # a minute of work, were nobody to stop it
    with house(tmp_path, tone=tone, openai_max_chars=90_000, max_text_chars=90_000) as home:
        with speaking(home, input=LONG * 100, key="mine") as answer:
            next(answer.iter_raw())
            job_id = answer.headers["x-f5-job-id"]
        until(lambda: status(home, job_id) == "CANCELLED")
        steps = tone.steps
        assert home.speak().status_code == 200  # nobody is before it
        assert tone.steps == steps + STEPS
        # The same key begins the same job again.
        with speaking(home, input=LONG * 100, key="mine") as answer:
            next(answer.iter_raw())
            assert answer.headers["x-f5-job-id"] == job_id


def test_leaving_before_the_first_byte_stops_the_work(tmp_path: Path) -> None:
    tone = CountingTone(cost_s=16.0)
    with house(tmp_path, tone=tone) as home:
        with asked(home, "Nobody will hear this."):
            assert tone.at_work.wait(60)
        until(lambda: told(home) == ["CANCELLED"])
        assert tone.steps < STEPS


def test_leaving_while_the_device_is_busy_leaves_the_line(tmp_path: Path) -> None:
    tone = CountingTone()
    with house(tmp_path, tone=tone) as home:
        tone.hold()
        with asked(home, "It holds the device."):
            assert tone.at_work.wait(60)
            with asked(home, "Never."):
                until(lambda: told(home) == ["PROCESSING"] * 2)
            until(lambda: "CANCELLED" in told(home))  # though the device is still held
            tone.release()
        assert home.speak(input="At last.").status_code == 200
        assert "Never." not in tone.spoken


def test_one_of_two_callers_may_leave(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        whole = home.speak(input=HELD, response_format="pcm", seed=4)
    with house(tmp_path, tone=(tone := Sentences()), result_cache=False) as home:
        fields = {"input": HELD, "response_format": "pcm", "seed": 4}
        with speaking(home, key="both", **fields) as first:
            parts = first.iter_raw()
            data = next(parts)
            with speaking(home, key="both", **fields) as second:
                next(second.iter_raw())
            time.sleep(0.3)
            tone.go_on()
            data += b"".join(parts)
    assert data == whole.content


def test_a_slow_reader_holds_nobody_up(tmp_path: Path) -> None:
    text = LONG * 7
    with house(tmp_path / "patient") as home, asked(home, text) as reader:
        job_id = read_head(reader).split("x-f5-job-id: ")[1].split("\r\n")[0]
        until(lambda: status(home, job_id) == "COMPLETED")
        assert home.speak().status_code == 200
        assert read_all(reader).endswith(b"\r\n0\r\n\r\n")
    with house(tmp_path, request_timeout_s=2.0) as home, asked(home, text) as reader:
        read_head(reader)
        time.sleep(2.8)  # takes nothing for longer than anything may last
        assert not read_all(reader).endswith(b"\r\n0\r\n\r\n")


@contextlib.contextmanager
def asked(home: House, text: str) -> Iterator[socket.socket]:
    """A caller with little room who has sent a request and read nothing."""
    request = httpx.Request(
        "POST",
        f"{home.url}/v1/audio/speech",
        json=HELLO | {"input": text, "response_format": "wav"},
        headers={"Connection": "close"},
    )
    head = f"POST {request.url.path} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(60)
        reader.connect((request.url.host, request.url.port or 80))
        reader.sendall(head.encode() + b"\r\n" + request.content)
        yield reader


def read_head(reader: socket.socket) -> str:
    """The head of an answer, and maybe a little more."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += reader.recv(1024)
    return data.decode("latin-1")


def read_all(reader: socket.socket) -> bytes:
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while part := reader.recv(1 << 20):
            data += part
    return bytes(data)
