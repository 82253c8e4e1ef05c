"""How a worker starts: what it says, when, and what it does while its model is on the way."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from f5serve.models.publish import publish
from f5serve.store.local import LocalStore
from f5serve.store.s3 import S3Store
from tests.startup import small_model
from tests.store.servers import rclone
from tests.store.slow_link import SlowLink
from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import worker

PROGRAM = "f5serve.runpod.worker"


@pytest.fixture
def api() -> Iterator[JobApi]:
    with job_api() as one:
        yield one


def environ(api: JobApi, home: Path, **more: str) -> dict[str, str]:
    return {
        **api.environ(),
        "F5_ENGINE": "f5",
        "F5_DEVICE": "cpu",
        "F5_MODELS_DIR": str(home / "image"),
        "F5_CACHE_DIR": str(home / "cache"),
        "F5_STORE": f"file://{home}/store",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "TMPDIR": str(home),
        **more,
    }


def seconds_of(line: str, step: str) -> float:
    found = re.search(rf"\b{step} (\d+\.\d)", line)
    assert found, line
    return float(found[1])


def test_a_worker_gets_its_model_from_the_store_and_says_where_the_time_went(
    tmp_path: Path, api: JobApi
) -> None:
    publish(LocalStore(tmp_path / "store"), small_model.release(small_model.write(tmp_path / "m")))
    began = time.time()
    job = api.submit({"text": "Hello.", "return_audio": "base64"})
    with worker(tmp_path, environ=environ(api, tmp_path), module=PROGRAM) as running:
        answer = api.wait_answer(job, 120)
        assert answer["output"].get("status") == "COMPLETED", f"{answer} {running.text()}"
        lines = running.lines()
        ready = running.wait_line("; ready in ")["message"]
    assert re.match(r"f5serve worker: version \S+, commit ", lines[0]["message"])
    first_s = _clock(lines[0]["time"]) - began
    assert first_s < 20, f"the first line came after {first_s:.2f} s"  # 0.1 s on a quiet machine
    for step in ("interpreter", "settings, doctor", "weights", "torch", "load", "warm-up"):
        seconds_of(ready, step)
    assert re.search(r"weights \d+\.\d \(store, .* at .*/s into .*\)", ready)
    total = float(re.search(r"ready in (\d+\.\d) s", ready)[1])  # type: ignore[index]
    other = seconds_of(ready, "other") if "other" in ready else 0.0
    assert other < 0.5 * total + 1, ready


def _clock(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_while_weights_come_slowly_the_rest_is_answered_and_a_stop_is_obeyed(
    tmp_path: Path, api: JobApi
) -> None:
    with rclone(tmp_path / "s3") as options, SlowLink(options.endpoint_url, 10_000) as link:
        publish(S3Store(options), small_model.release(small_model.write(tmp_path / "m")))
        bucket = {
            "F5_STORE": f"s3://{options.bucket}",
            "AWS_ENDPOINT_URL": link.url,
            "AWS_ACCESS_KEY_ID": options.access_key,
            "AWS_SECRET_ACCESS_KEY": options.secret_key,
        }
        with worker(tmp_path, environ=environ(api, tmp_path, **bucket), module=PROGRAM) as running:
            wait_for_bytes(link, 20_000)
            voices = api.wait_answer(api.submit({"endpoint": "list_voices"}))["output"]
            assert voices["voices"] == []
            health = api.wait_answer(api.submit({"endpoint": "health"}))["output"]
            assert health["model"]["state"] == "loading"
            running.signal(signal.SIGTERM)
            assert running.wait(45) == 0, running.text()  # the rest would take a minute
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def wait_for_bytes(link: SlowLink, size: int) -> None:
    until = time.monotonic() + 60
    while link.passed < size:
        assert time.monotonic() < until, "the store was not asked for weights"
        time.sleep(0.05)


def test_a_model_that_nobody_has_fails_requests_and_not_the_worker(
    tmp_path: Path, api: JobApi
) -> None:
    with worker(tmp_path, environ=environ(api, tmp_path), module=PROGRAM) as running:
        job = api.submit({"text": "Hello."})
        answer = api.wait_answer(job, 60)
        assert answer["output"]["code"] == "MODEL_MISSING", running.text()
        assert "HUB_UNREACHABLE" in answer["error"]
        assert api.wait_answer(api.submit({"endpoint": "list_voices"}))["output"]["voices"] == []
