"""A store that hangs somewhere: whoever needs it waits, and nobody else does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from f5serve.doctor.report import Report, quick
from f5serve.service import ServiceOptions
from f5serve.service.health import HEALTH_S
from f5serve.store.bounded import BoundedStore, Limits
from f5serve.store.s3 import S3Store
from f5serve.store.s3_client import S3Limits
from tests.http.house import HELLO, House, house
from tests.store import servers
from tests.store.fault_proxy import Fault, FaultProxy
from tests.store.hanging import HangingStore
from tests.voices.material import WORDS, recording

CALLERS = 40
"""More than there ever were threads for all of them."""

SOON_S = 15.0
"""What speech may take beside them; alone it takes some hundredths, and a hang lasts a minute."""

SPEECH = "/v1/audio/speech"
EQUAL = HELLO | {"input": "A text that is asked for again and again."}
KINDS: dict[str, tuple[str, str, str, Mapping[str, Any] | None]] = {
    # First, as what it tells is remembered for some seconds.
    "health": ("_meta/health", "GET", "/health", None),
    "jobs": ("^list index/jobs/", "GET", "/v1/jobs", None),
    "voices": (" voices/", "GET", "/v1/audio/voices", None),
    "a job's records": ("jobs/slow/", "GET", "/v1/jobs/slow", None),
    "a job's sound": ("jobs/slow/", "GET", "/v1/jobs/slow/audio", None),
    "a voice's record": ("voices/_records/ana", "GET", "/v1/audio/voices/ana", None),
    "speech in a voice": ("voices/_records/ana", "POST", SPEECH, HELLO | {"voice": "ana"}),
    "speech in a voice of OpenAI's": (" voices/", "POST", SPEECH, HELLO | {"voice": "alloy"}),
    "an earlier result": ("the cache", "POST", SPEECH, EQUAL),
}


@pytest.fixture(scope="module")
def store() -> Iterator[HangingStore]:
    with HangingStore() as one:
        yield one


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, store: HangingStore) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("hanging"), BoundedStore(store)) as one:
        one.speak()  # the model is loaded, and something was written
        made = one.client.post(
            "/v1/audio/voices",
            files={"audio_sample": ("ana.wav", recording())},
            data={"name": "ana", "ref_text": WORDS},
        )
        assert made.status_code == 201, made.text
        yield one
        store.go_on()


def many(
    callers: ThreadPoolExecutor, home: House, method: str, path: str, body: Any
) -> list[Future[int]]:
    """The statuses of that many calls at once."""

    def call() -> int:
        return home.client.request(method, path, json=body, timeout=60).status_code

    return [callers.submit(call) for _ in range(CALLERS)]


def speech_takes(home: House, text: str) -> float:
    began = time.monotonic()
    answer = home.speak(input=text)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


@pytest.mark.parametrize("kind", KINDS)
def test_what_hangs_holds_up_nobody_else(home: House, store: HangingStore, kind: str) -> None:
    pattern, method, path, body = KINDS[kind]
    if pattern == "the cache":
        store.seen.clear()
        assert home.client.post(path, json=body).status_code == 200
        pattern = next(call for call in store.seen if call.startswith("get cache/"))
    with ThreadPoolExecutor(CALLERS) as callers:
        store.hang(pattern)
        asked = many(callers, home, method, path, body)
        assert store.reached.wait(60)
        time.sleep(0.2)  # all have come
        assert speech_takes(home, f"While there hang {kind}.") < SOON_S
        for other in ("/ping", "/metrics", "/health"):
            began = time.monotonic()
            assert home.client.get(other).status_code == 200
            assert time.monotonic() - began < HEALTH_S + SOON_S
        store.go_on()
        statuses = {one.result(60) for one in asked}
    assert statuses <= {200, 404, 503}
    assert speech_takes(home, f"After there hung {kind}.") < SOON_S


def test_a_store_that_was_deaf_for_a_while_is_as_before(home: House, store: HangingStore) -> None:
    with ThreadPoolExecutor(2 * CALLERS) as callers:
        store.hang(".")
        asked = many(callers, home, "GET", "/health", None)
        asked += many(callers, home, "GET", "/v1/jobs/other", None)
        assert store.reached.wait(60)
        time.sleep(1.5)
        assert home.client.get("/ping").status_code == 200
        assert home.client.get("/metrics").status_code == 200
        store.go_on()
        assert speech_takes(home, "It hears again.") < SOON_S
        assert {one.result(60) for one in asked} <= {200, 404, 503}


def test_whoever_asks_a_disk_that_hangs_is_told_so(tmp_path: Path, store: HangingStore) -> None:
    quick_disk = BoundedStore(store, inner_has_deadlines=False, limits=Limits(call_s=0.5))
    with house(tmp_path, quick_disk) as home, ThreadPoolExecutor(CALLERS) as callers:
        home.speak()
        store.hang("jobs/slow/")
        asked = many(callers, home, "GET", "/v1/jobs/slow", None)
        assert {one.result(30) for one in asked} == {503}
        home.refused(home.client.get("/v1/jobs/slow"), 503, "store_not_answering")
        assert "f5_store_calls_hung 8" in home.client.get("/metrics").text  # no thread more
        assert speech_takes(home, "While a record hangs on a disk.") < SOON_S
        store.go_on()
        assert home.client.get("/v1/jobs/slow").status_code == 404


def test_a_disk_that_tells_nothing_of_its_room_holds_up_no_health(tmp_path: Path) -> None:
    goes_on, looks = threading.Event(), list[int]()

    def look() -> Report:
        looks.append(1)
        goes_on.wait(60)
        return quick()

    options = ServiceOptions(examine=look)
    with house(tmp_path, options=options) as home, ThreadPoolExecutor(CALLERS) as callers:
        home.speak()
        began = time.monotonic()
        asked = many(callers, home, "GET", "/health", None)
        assert speech_takes(home, "While a disk hangs.") < SOON_S
        assert {one.result(60) for one in asked} == {200}
        assert time.monotonic() - began < HEALTH_S + SOON_S
        assert home.client.get("/health").json()["doctor"] is None
        assert len(looks) == 1
        goes_on.set()


@pytest.mark.slow
def test_a_bucket_that_was_deaf_for_a_while_is_as_before(tmp_path: Path) -> None:
    """Those who met it wait for their connections; whoever comes later does not."""
    limits = S3Limits(read_s=8, pause_s=0.1)
    with (
        servers.rclone(tmp_path / "rclone") as options,
        FaultProxy(options.endpoint_url) as proxy,
        ThreadPoolExecutor(2 * CALLERS) as callers,
    ):
        bucket = S3Store(replace(options, endpoint_url=proxy.url, limits=limits))
        with house(tmp_path, BoundedStore(bucket)) as home:
            home.speak()
            proxy.faults = [Fault("deaf")]
            asked = many(callers, home, "GET", "/health", None)
            asked += many(callers, home, "GET", "/v1/jobs/other", None)
            time.sleep(1.5)
            assert home.client.get("/ping").status_code == 200
            proxy.faults = []
            assert speech_takes(home, "It hears again.") < SOON_S
            assert not all(one.done() for one in asked)  # or nothing was shown
            assert {one.result(60) for one in asked} <= {200, 404, 503}
