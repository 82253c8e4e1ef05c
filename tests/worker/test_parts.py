"""The small parts of the worker, each by itself."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from f5serve.errors import F5Error, StorageFailed
from f5serve.logging import JOB_ID, JsonLines, TextLines, quotes
from f5serve.runpod.handler import ProgressReports
from f5serve.runpod.job_loop import LONGEST_PAUSE_S, PollBackoff
from f5serve.runpod.service import RunPodQueue
from f5serve.settings import Settings, on_runpod, secret_values, takes_jobs, worker_settings
from f5serve.startup.process import check_room, check_store, make_checks
from f5serve.store.memory import MemoryStore
from tests.worker.job_api import job_api


class TooMany(Exception):
    pass


def logged(message: str, *secrets: str) -> dict[str, Any]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets))
    record = logging.LogRecord("f5serve.x", logging.WARNING, "", 1, "%s", (message,), None)
    handler.emit(record)
    (line,) = stream.getvalue().splitlines()
    return dict(json.loads(line))


@given(st.text())
def test_any_message_is_one_line_of_json(message: str) -> None:
    assert logged(message)["message"] == message


@given(st.text())
def test_any_message_is_one_line_at_a_terminal_and_no_command_to_it(message: str) -> None:
    record = logging.LogRecord("f5serve.x", logging.INFO, "", 1, "%s", (message,), None)
    line = TextLines().format(record)
    assert line.isprintable()
    if message.isprintable():
        assert line[9:] == message  # behind the time


def test_a_line_at_a_terminal_says_how_bad_it_is_and_keeps_secrets() -> None:
    record = logging.LogRecord(
        "f5serve.x", logging.ERROR, "", 1, "no %s", ("hunter2hunter2",), None
    )
    record.job_id = "job-7"
    assert TextLines(("hunter2hunter2",)).format(record)[8:] == " ERROR [job-7] no ***"


def test_line_has_time_level_logger_and_job() -> None:
    assert "job_id" not in logged("x")
    token = JOB_ID.set("job-7")
    line = logged("x")
    JOB_ID.reset(token)
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"]) == ("WARN", "f5serve.x")
    assert (line["job_id"], line["requestId"]) == ("job-7", "job-7")


def test_secrets_and_signatures_are_taken_out() -> None:
    url = "https://b.example/o?X-Amz-Signature=abc123&x-amz-credential=AKIA%2Fx&Other=1"
    line = logged(f"{url} and hunter2hunter2", "hunter2hunter2")
    assert line["message"] == (
        "https://b.example/o?X-Amz-Signature=***&x-amz-credential=***&Other=1 and ***"
    )


def test_secret_values_are_those_of_names_that_say_so() -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": "s" * 40, "HF_TOKEN": "t" * 20, "F5_API_KEYS": "1"}
    assert secret_values({**environ, "HOME": "/home/somebody"}) == ("s" * 40, "t" * 20)


@pytest.mark.parametrize(
    ("message", "payload", "repeats"),
    [
        ("cannot say 'the quick brown fox'", {"text": "Well, the quick brown fox jumps."}, True),
        ("no voice ana.wav", {"local_voice": "ana.wav"}, True),
        ("CUDA error: device-side assert", {"text": "Hello there."}, False),
        ("nested a secret word", {"a": [{"b": "a secret word"}]}, True),
        ("up", {"text": "up"}, False),
        ("anything", None, False),
    ],
)
def test_quotes_finds_what_a_message_repeats(message: str, payload: Any, repeats: bool) -> None:
    assert quotes(message, payload) is repeats


def test_worker_logs_at_info_unless_told() -> None:
    assert worker_settings({}).log_level == "info"
    assert worker_settings({"F5_LOG_LEVEL": "error"}).log_level == "error"
    with_queue = {"RUNPOD_WEBHOOK_GET_JOB": "https://x"}
    assert on_runpod(with_queue)
    assert takes_jobs(with_queue)
    behind_balancer = {"RUNPOD_ENDPOINT_ID": "e1", "RUNPOD_POD_ID": "w1"}
    assert on_runpod(behind_balancer)
    assert not takes_jobs(behind_balancer)
    for elsewhere in ({}, {"RUNPOD_POD_ID": "p1"}, {"RUNPOD_ENDPOINT_ID": "e1"}):
        assert not on_runpod(elsewhere)


def test_back_off_doubles_its_pauses_and_logs_ever_less(caplog: pytest.LogCaptureFixture) -> None:
    backoff = PollBackoff("the queue", TooMany)
    pauses = [backoff.failure(OSError()) for _ in range(100)]
    assert pauses[:6] == [0.5, 1, 2, 4, 8, LONGEST_PAUSE_S]
    assert set(pauses[6:]) == {LONGEST_PAUSE_S}
    assert len(caplog.records) == 7
    assert backoff.failure(TooMany()) == 5
    assert backoff.success(True) == 0
    assert backoff.failure(OSError()) == 0.5


def test_back_off_waits_after_empty_answers_that_came_at_once() -> None:
    backoff = PollBackoff("the queue", TooMany)
    backoff.start()
    assert 0.4 < backoff.success(False) <= 0.5
    assert backoff.success(True) == 0
    time.sleep(0.5)
    assert backoff.success(False) == 0  # the poll was held


async def run_progress(reports: int, slow_s: float) -> tuple[list[dict[str, Any]], int]:
    sent: list[dict[str, Any]] = []

    async def send(body: dict[str, Any]) -> None:
        await asyncio.sleep(slow_s)
        sent.append(body)

    progress = ProgressReports(send, first_s=0.05)
    for number in range(reports):
        progress.report({"percent": number})
        await asyncio.sleep(0.01)
    await progress.close()
    at_close = len(sent)
    progress.report({"percent": 100})
    await asyncio.sleep(0.2)
    return sent, at_close


def test_progress_sends_the_latest_in_order_and_nothing_after_close() -> None:
    sent, at_close = asyncio.run(run_progress(40, 0.01))
    percents = [body["percent"] for body in sent]
    assert 2 <= len(percents) <= 8
    assert percents == sorted(set(percents))
    assert len(sent) == at_close


def test_progress_waits_for_the_post_that_is_on_its_way() -> None:
    sent, at_close = asyncio.run(run_progress(10, 0.3))
    assert at_close == len(sent) == 1


def test_progress_of_a_quick_job_sends_nothing() -> None:
    sent, _ = asyncio.run(run_progress(2, 0.0))
    assert sent == []


@pytest.mark.parametrize(("endpoint", "key"), [("", "k"), ("ep1", "")])
def test_queue_that_is_not_known_is_said_so(endpoint: str, key: str) -> None:
    with pytest.raises(F5Error) as failed:
        asyncio.run(RunPodQueue("http://127.0.0.1:1", endpoint, key)({"text": "Hi."}))
    assert failed.value.code == "NO_QUEUE"


def test_queue_returns_the_id_it_was_given() -> None:
    with job_api() as api:
        assert asyncio.run(RunPodQueue(f"{api.base}/v2", "ep1", "k")({"text": "Hi."})) == "job-1-u1"


def test_queue_that_does_not_answer_is_worth_another_try() -> None:
    with job_api() as api:
        base = api.base
    with pytest.raises(F5Error) as failed:
        asyncio.run(RunPodQueue(f"{base}/v2", "ep1", "k" * 20)({"text": "Hi."}))
    assert failed.value.code == "QUEUE_FAILED"
    assert failed.value.retryable
    assert base not in failed.value.message + failed.value.hint


def test_queue_that_refuses_the_key_is_not() -> None:
    with job_api() as api:
        api.run_status = 401
        with pytest.raises(F5Error) as failed:
            asyncio.run(RunPodQueue(f"{api.base}/v2", "ep1", "k" * 20)({"text": "Hi."}))
    assert failed.value.code == "QUEUE_FAILED"
    assert not failed.value.retryable


def test_checks_are_quick_and_leave_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    began = time.monotonic()
    for check in make_checks(Settings(engine="standin", data_dir=tmp_path / "new"), store):
        check()
    assert time.monotonic() - began < 15
    assert list(store.list()) == []


def test_disk_that_is_nearly_full_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed) as refused:
        check_room(tmp_path, 10**18)
    assert refused.value.code == "NO_SPACE"


def test_store_that_forgets_is_refused() -> None:
    class Forgetful(MemoryStore):
        def get(self, key: str, max_bytes: int | None = None) -> bytes:
            return b"something else"

    with pytest.raises(StorageFailed) as refused:
        check_store(Forgetful())
    assert refused.value.code == "STORE_FORGETS"
