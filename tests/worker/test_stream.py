"""A worker whose answers come in pieces, through the SDK's own generator path."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from f5serve.runpod.handler import MAX_ITEM_S
from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import Worker, ready

COST_S = 0.15
TEXT = "The river runs past the old mill, and nobody has worked there for years, they say. " * 8


@pytest.fixture(scope="module")
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worker")


@pytest.fixture(scope="module")
def running(api: JobApi, home: Path) -> Iterator[Worker]:
    arguments = ["--cost-s", str(COST_S)]
    with ready(api, home, arguments, {"F5_STREAM": "1"}) as running:
        yield running


def ask(api: JobApi, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    job = api.submit(payload)
    return job, api.wait_answer(job)


def pieces(api: JobApi, job: str) -> list[dict[str, Any]]:
    return [item for _, _, item in api.streamed[job][:-1]]


def test_pieces_come_while_speech_is_made_and_are_the_result(
    api: JobApi, running: Worker, home: Path
) -> None:
    ask(api, {"text": "Hello there."})  # the model is loaded
    job, body = ask(api, {"text": TEXT, "response_format": "pcm"})
    answered = api.streamed[job][-1][2]
    assert answered["status"] == "COMPLETED"
    assert answered["job_id"] == job
    kept = next((home / "store" / "output" / job).glob("*.pcm")).read_bytes()
    heard = pieces(api, job)
    assert b"".join(base64.b64decode(item["audio"]) for item in heard) == kept
    begin_s = 0.0
    for item in heard:
        assert (item["format"], item["sample_rate"]) == ("pcm", 24_000)
        assert item["start_s"] == pytest.approx(begin_s, abs=1e-3)
        begin_s += item["seconds"]
    assert begin_s == pytest.approx(answered["duration"], abs=1e-2)
    assert heard[-1]["index"] >= 4  # the last two may go together
    spread_s = api.streamed[job][-1][0] - api.streamed[job][0][0]
    assert spread_s > 3 * COST_S  # the first came long before the last was made
    assert max(size for _, size, _ in api.streamed[job]) < 1_000_000
    # /run has all of it but the sound, which would not fit.
    assert body["output"] == [
        *({k: v for k, v in item.items() if k != "audio"} for item in heard),
        answered,
    ]


def test_what_was_made_before_is_heard_in_items_that_fit(api: JobApi, running: Worker) -> None:
    asked = {"text": TEXT[:160] * 4, "response_format": "flac", "speed": 0.6, "seed": 5}
    first, _ = ask(api, asked)
    again, _ = ask(api, asked)
    assert api.streamed[again][-1][2]["cached"]
    heard = [b"".join(base64.b64decode(i["audio"]) for i in pieces(api, j)) for j in (first, again)]
    assert heard[0] == heard[1]
    assert max(item["seconds"] for item in pieces(api, again)) == MAX_ITEM_S


def test_other_operations_have_one_item(api: JobApi, running: Worker) -> None:
    job, body = ask(api, {"endpoint": "list_voices"})
    assert [item for _, _, item in api.streamed[job]] == body["output"]
    assert body["output"][0]["status"] == "success"


@pytest.mark.parametrize("payload", [{"text": ""}, {"text": "Hi", "speed": 99}, 7])
def test_a_refusal_fails_the_job(api: JobApi, running: Worker, payload: Any) -> None:
    job, body = ask(api, payload)
    assert body["error"]
    assert "output" not in body
    assert api.streamed[job][0][2]["code"]


def test_a_stop_ends_a_stream(api: JobApi, running: Worker) -> None:
    job = api.submit({"text": TEXT * 6})
    api.wait_streamed(job)
    api.stop_job(job)
    running.wait_line("nothing is answered", job_id=job)
    count = len(api.streamed[job])
    time.sleep(3 * COST_S)
    assert len(api.streamed[job]) == count
    assert not api.answers[job]
    ask(api, {"text": "Hello there."})
