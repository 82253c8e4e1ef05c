"""What a scraper reads, and what is counted, timed and logged of each request."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from f5serve.build import stamp
from f5serve.http.middleware.access_log import AccessLogMiddleware
from f5serve.metrics import MEDIA_TYPE, Registry
from tests.http.house import HELLO, SERVER_THREAD, House, house

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), log_level="info") as home:
        yield home


def scrape(home: House) -> Samples:
    answer = home.client.get("/metrics")
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def count(samples: Samples, name: str, **labels: str) -> float:
    """Sum over all samples of a name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (n, found), value in samples.items() if n == name and wanted <= found)


def until(home: House, name: str, least: float = 1, **labels: str) -> Samples:
    """The first reading in which it was counted so often; within five seconds."""
    for _ in range(100):
        samples = scrape(home)
        if count(samples, name, **labels) >= least:
            return samples
        time.sleep(0.05)
    raise AssertionError(f"{name} {labels}: {count(samples, name, **labels)}")


def test_a_scraper_reads_what_this_is_and_uses(home: House) -> None:
    home.speak()
    samples = scrape(home)
    built = stamp()
    assert count(samples, "f5_build_info", version=built.version, commit=built.commit) == 1
    assert 10e6 < count(samples, "process_resident_memory_bytes") < 10e9
    assert 3 < count(samples, "process_open_fds") <= count(samples, "process_max_fds")
    assert count(samples, "process_threads") >= 2
    assert 0 <= time.time() - count(samples, "process_start_time_seconds") < 3600
    free, size = (count(samples, f"f5_disk_{name}_bytes") for name in ("free", "size"))
    assert 0 < free <= size
    assert count(samples, "f5_model_ready") == 1
    assert count(samples, "f5_model_failed") == 0
    assert count(samples, "f5_requests_total", operation="tts", outcome="ok") >= 1


def test_requests_are_counted_by_template_method_and_status(home: House) -> None:
    before = scrape(home)
    answers = [
        home.client.get("/v1/jobs/no-such-job"),
        home.client.get("/v1/jobs/another?secret=1"),
        home.client.get("/nothing/here"),
        home.client.request("PROPFIND", "/v1/jobs/tea"),
    ]
    after = scrape(home)
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    name = "f5_http_requests_total"
    route = "/v1/jobs/{job_id}"
    status = str(answers[0].status_code)
    assert count(grown, name, method="GET", route=route, status=status) == 2
    assert count(grown, name, method="GET", route="none", status="404") == 1
    assert count(grown, name, method="OTHER") == 1
    told = {value for _, labels in after for _, value in labels}
    assert not {v for v in told if "secret" in v or "another" in v or "PROPFIND" in v}
    assert count(grown, "f5_http_request_seconds_count", route=route) >= 2
    sent = sum(len(answer.content) for answer in answers[:2])
    assert count(grown, "f5_http_response_bytes_total", route=route) >= sent


def test_seconds_are_those_of_the_caller(home: House) -> None:
    before = scrape(home)
    began = time.perf_counter()
    with home.client.stream("POST", "/v1/audio/speech", json=HELLO) as answer:
        size = len(answer.read())
    took = time.perf_counter() - began
    earlier = count(before, "f5_http_request_seconds_count", route="/v1/audio/speech")
    after = until(home, "f5_http_request_seconds_count", earlier + 1, route="/v1/audio/speech")
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    route = "/v1/audio/speech"
    whole, first = (
        count(grown, f"f5_http_{name}_seconds_sum", route=route)
        for name in ("request", "first_byte")
    )
    assert 0 < first <= whole <= took + 5  # its end is noted after the caller has all of it
    assert count(grown, "f5_http_response_bytes_total", route=route) == size


def test_a_caller_who_leaves_is_a_499(home: House) -> None:
    home.tone.hold()
    try:
        host, port = home.url.removeprefix("http://").split(":")
        body = b'{"model":"tts-1","voice":"default","input":"Nobody will hear this."}'
        head = "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"{head}Content-Length: {len(body)}\r\n\r\n".replace("x\r", f"{host}\r").encode()
                + body
            )
            assert home.tone.at_work.wait(60)
            assert count(scrape(home), "f5_http_requests_in_flight") == 2  # and the scrape itself
    finally:
        home.tone.release()
    until(home, "f5_http_requests_total", route="/v1/audio/speech", status="499")
    assert count(scrape(home), "f5_http_requests_in_flight") == 1


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("abc-1.2_X", True), ("a" * 100, True), ("a" * 101, False), ("-x", False), ("a b", False)],
)
def test_the_id_of_a_request_is_kept_if_it_is_one(home: House, given: str, is_kept: bool) -> None:
    told = home.client.get("/metrics", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert (told == given) is is_kept
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", told)


def test_every_request_has_an_id_of_its_own(home: House) -> None:
    ids = {home.client.get("/metrics").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_request_is_one_line_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "f5serve"), house(tmp_path) as home:
        answer = home.speak(input="Words that nobody else reads.")
        until(home, "f5_http_requests_total", route="/v1/audio/speech", status="200")
        home.client.get("/v1/jobs/some-job?key=secret")
    lines = [record for record in caplog.records if record.name.endswith("access_log")]
    spoken, looked = lines
    request_id = answer.headers["X-Request-Id"]
    assert re.fullmatch(
        rf"POST /v1/audio/speech: 200 in \d+\.\d{{3}} s, {len(answer.content)} bytes, "
        rf"key -, request {request_id}",
        spoken.getMessage(),
    )
    assert spoken.__dict__["job_id"] == answer.headers["X-F5-Job-Id"]
    assert looked.getMessage().startswith("GET /v1/jobs/{job_id}: ")
    assert looked.__dict__["job_id"] == "some-job"
    assert not any("secret" in r.getMessage() or "Words" in r.getMessage() for r in caplog.records)


def test_the_caller_is_named_and_metrics_ask_for_a_key(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    key = "k" * 40
    kept = f"watcher:{hashlib.sha256(key.encode()).hexdigest()}"
    with (
        caplog.at_level(logging.DEBUG, "f5serve"),  # lines come after answers
        house(tmp_path_factory.mktemp("keys"), api_keys=kept) as home,
    ):
        assert home.client.get("/metrics").status_code == 401
        answer = home.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert 'route="none",status="401"' in answer.text
    refused, line = (r for r in caplog.records if r.name.endswith("access_log"))
    assert "none: 401 in" in refused.getMessage()
    assert line.levelno == logging.DEBUG  # it comes every few seconds
    assert "key watcher, request" in line.getMessage()
    assert key not in line.getMessage()


def test_metrics_are_documented(home: House) -> None:
    document = httpx.get(f"{home.url}/openapi.json").json()
    (kind,) = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert kind == MEDIA_TYPE


@pytest.mark.parametrize("begins", [False, True])
def test_an_answer_that_breaks_off_is_a_500(begins: bool) -> None:
    registry = Registry()

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("broken")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(_run(AccessLogMiddleware(broken, registry)(scope, receive, send)))
    assert 'method="GET",route="none",status="500"} 1' in registry.render()
    assert "f5_http_requests_in_flight 0" in registry.render()
    assert len(sent) == 2 * begins


async def _run(call: Awaitable[None]) -> None:
    await call


def test_what_the_loop_changes_is_read_in_the_loop(home: House) -> None:
    threads = set[str]()

    def source() -> float:
        threads.add(threading.current_thread().name)
        return 1.0

    home.service.operations.metrics.gauge("f5_read_where", "A thread.", source=source)
    assert "f5_read_where 1" in home.client.get("/metrics").text
    assert threads == {SERVER_THREAD}
