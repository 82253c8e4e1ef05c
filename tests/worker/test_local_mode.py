"""The SDK's local modes, and what a worker tells when it cannot start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.worker.job_api import job_api
from tests.worker.processes import worker


def run_local(tmp_path: Path, job: object) -> tuple[int, str]:
    with worker(tmp_path, ["--test_input", json.dumps(job)]) as local:
        return local.wait(), local.text()


def test_test_input_prints_the_result(tmp_path: Path) -> None:
    exit_code, text = run_local(tmp_path, {"input": {"text": "Hello."}})
    assert exit_code == 0, text
    assert "'status': 'COMPLETED'" in text
    assert "completed successfully" in text


def test_the_module_is_a_program_as_runpod_documents_it(tmp_path: Path) -> None:
    job = json.dumps({"input": {"endpoint": "list_voices"}})
    program = "f5serve.runpod.worker"
    with worker(tmp_path, ["--test_input", job], module=program) as local:
        assert local.wait() == 0, local.text()
        assert "'voices': []" in local.text()


def test_second_test_input_is_another_job(tmp_path: Path) -> None:
    for text in ("One.", "Two."):
        exit_code, told = run_local(tmp_path, {"input": {"text": text}})
        assert exit_code == 0, told


def test_test_input_that_is_refused_exits_with_one(tmp_path: Path) -> None:
    exit_code, text = run_local(tmp_path, {"input": {"endpoint": "tts"}})
    assert exit_code == 1
    assert "failed with error: Text input is required." in text
    assert "Traceback" not in text


@pytest.mark.parametrize("payload", ["text", [1], 7])
def test_input_that_is_no_object_is_refused(tmp_path: Path, payload: object) -> None:
    exit_code, text = run_local(tmp_path, {"input": payload})
    assert exit_code == 1
    assert "The input of a job is an object" in text


def test_failing_check_ends_the_worker_before_any_job(tmp_path: Path) -> None:
    with job_api() as api:
        job = api.submit({"text": "Hello."})
        settings = {"F5_STORE": "file:///proc/store"}  # found out only by writing there
        with worker(tmp_path, [], {**api.environ(), **settings}) as unfit:
            assert unfit.wait() == 1
            assert re.search(r"check failed: store_keeps_and_returns", unfit.text())
        assert not api.takes
        assert api.pings[0][1]["status"] == ["unhealthy"]
        assert not api.answers[job]
