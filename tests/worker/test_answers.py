"""What leaves through RunPod's door, and what is written into the log, when things go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import Worker, ready

CANARY = "canary-Zq7-in-the-request"
KEY = "canary-Kx4-in-the-environment"


@pytest.fixture(scope="module")
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


@pytest.fixture(scope="module")
def running(api: JobApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    environ = {"AWS_SECRET_ACCESS_KEY": KEY, "AWS_ACCESS_KEY_ID": "not-a-secret"}
    home = tmp_path_factory.mktemp("worker")
    with ready(api, home, environ=environ, module="tests.worker.faulty_worker") as running:
        yield running


def ask(api: JobApi, payload: object) -> tuple[str, dict[str, object]]:
    job = api.submit(payload)
    return job, api.wait_answer(job)


def test_refusal_carries_sentence_code_and_hint(api: JobApi, running: Worker) -> None:
    _, body = ask(api, {"fault": "refuse", "note": "ana"})
    assert body == {
        "error": "Voice ana is unknown.",
        "output": {"code": "REFUSED", "hint": "Do else."},
    }


def test_fault_tells_the_caller_a_trace_id_alone(api: JobApi, running: Worker) -> None:
    job, body = ask(api, {"fault": "raise", "note": CANARY})
    output = body["output"]
    assert isinstance(output, dict)
    assert output["code"] == "INTERNAL"
    told = json.dumps(body)
    assert not any(word in told for word in ("Traceback", "/srv", ".py", CANARY, "RuntimeError"))
    logged = running.wait_line(f"trace {output['trace']}")
    assert logged["level"] == "ERROR"
    assert logged["job_id"] == job
    assert "RuntimeError" in logged["message"]
    assert "faulty_worker.py" in logged["message"]


@pytest.mark.parametrize("fault", ["nan", "object"])
def test_answer_that_cannot_be_sent_is_an_error(api: JobApi, running: Worker, fault: str) -> None:
    _, body = ask(api, {"fault": fault})
    assert body["output"]["code"] == "INTERNAL"  # type: ignore[index]


def test_half_a_surrogate_pair_is_told_escaped(api: JobApi, running: Worker) -> None:
    _, body = ask(api, {"fault": "refuse", "note": "a\ud83d"})
    assert body["error"] == "Voice a\\ud83d is unknown."


@pytest.mark.parametrize("payload", ["text", [1], 7, None])
def test_input_of_another_type_is_refused(api: JobApi, running: Worker, payload: object) -> None:
    _, body = ask(api, payload)
    assert body["output"]["code"] == "BAD_INPUT"  # type: ignore[index]


def test_job_without_an_id_harms_nobody(api: JobApi, running: Worker) -> None:
    api.submit_raw({"input": {}})
    _, body = ask(api, {"fault": "none"})
    assert body == {"output": {"status": "success"}}


def test_log_is_json_without_secrets_or_texts(api: JobApi, running: Worker) -> None:
    job, _ = ask(api, {"fault": "none", "text": f"Say {CANARY}."})
    running.wait_line("Finished.", job_id=job)
    lines = [line for line in running.text().splitlines() if line]
    assert [line for line in lines if not line.startswith("{")] == [
        "--- Starting Serverless Worker |  Version 1.12.0 ---"
    ]
    assert not any(CANARY in line or KEY in line or '"success"' in line for line in lines)
    mine = [line for line in running.lines() if line.get("job_id") == job]
    assert [line["message"] for line in mine] == ["Started.", "Finished."]
    assert all(line["requestId"] == job for line in mine)


def test_a_worker_whose_device_broke_asks_to_be_replaced(tmp_path: Path) -> None:
    with job_api() as api, ready(api, tmp_path, module="tests.worker.faulty_worker") as broken:
        _, before = ask(api, {"fault": "none"})
        _, told = ask(api, {"fault": "break"})
        _, after = ask(api, {"fault": "none"})
        assert "stopPod" not in before
        assert (told["error"], told["stopPod"]) == ("The device is gone.", True)
        assert after["stopPod"]
        broken.wait_line("asks to be replaced")
