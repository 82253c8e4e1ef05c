"""The loop on the real SDK, in its own process, against a job API on loopback."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.job_api import JobApi, job_api
from tests.worker.processes import ready

pytestmark = pytest.mark.slow
TEXT = {"text": "Hello there."}


@pytest.fixture
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


def status(api: JobApi, job_id: str) -> dict[str, Any]:
    """What the worker itself tells about a job."""
    output = api.wait_answer(api.submit({"endpoint": "status", "job_id": job_id}))["output"]
    assert isinstance(output, dict)
    return output


def test_a_job_is_answered_and_the_heartbeat_names_it(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "1.5"]) as running:
        job = api.submit(TEXT)
        assert api.wait_answer(job)["output"]["status"] == "COMPLETED"
        assert any(query.get("job_id") == [job] for _, query in api.pings)
        first = running.lines()[0]
    assert "f5serve worker: version" in first["message"]
    assert "commit" in first["message"]
    assert {"time", "level", "logger"} <= first.keys()


def test_idle_worker_ends_within_seconds(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path) as running:
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert time.monotonic() - began < 15  # the poll is held for 20 s


def test_job_handed_out_after_sigterm_is_run(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path) as running:
        running.signal(signal.SIGTERM)
        time.sleep(0.5)
        job = api.submit(TEXT)
        assert running.wait() == 0
        assert api.answers[job][0]["output"]["status"] == "COMPLETED", running.text()


def test_running_jobs_finish_after_sigterm(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "1.5"]) as running:
        jobs = [api.submit(TEXT), api.submit(TEXT)]
        for job in jobs:
            api.wait_taken(job)
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        for job in jobs:
            assert api.answers[job][0]["output"]["status"] == "COMPLETED"


def test_job_that_takes_too_long_is_released(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "14"], {"F5_SHUTDOWN_S": "8"}) as running:
        job = api.submit(TEXT)
        api.wait_taken(job)
        time.sleep(0.3)
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.text()
        assert 4 < time.monotonic() - began < 30
        assert "job stopped, nothing is answered" in running.text()
        assert not api.answers[job]
    with ready(api, tmp_path, name="w2"):
        assert status(api, job)["status"] not in ("ERROR", "CANCELLED", "COMPLETED")
        api.submit(TEXT, job)  # RunPod hands it out again
        assert api.wait_answer(job)["output"]["status"] == "COMPLETED"


def test_long_step_does_not_hold_up_the_end(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "960"], {"F5_SHUTDOWN_S": "2"}) as running:
        job = api.submit(TEXT)
        api.wait_taken(job)
        time.sleep(0.3)
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        running.wait()  # one step of this engine takes a minute
        assert time.monotonic() - began < 25
        assert not api.answers[job], running.text()


def test_stop_signal_ends_the_work_within_a_step(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "32"]) as running:
        job = api.submit(TEXT)
        api.wait_taken(job)
        time.sleep(0.5)
        api.stop_job(job)
        began = time.monotonic()
        running.wait_line("job stopped, nothing is answered", job_id=job)
        assert time.monotonic() - began < 16  # a step of this engine takes two seconds
        assert status(api, job)["status"] == "CANCELLED"
        assert not api.answers[job]
        quick = api.submit({"endpoint": "list_voices"})
        api.wait_answer(quick)


def test_operations_without_model_answer_while_it_loads(api: JobApi, tmp_path: Path) -> None:
    may_load = tmp_path / "may-load"
    with ready(api, tmp_path, ["--load-after", str(may_load)]):
        speech = api.submit(TEXT)
        look = api.submit({"endpoint": "status", "job_id": "job-0-u1"})
        assert api.wait_answer(look)["error"] == "Invalid job_id."
        assert not api.answers[speech]
        may_load.touch()
        assert api.wait_answer(speech)["output"]["status"] == "COMPLETED"


def test_short_jobs_are_not_one_a_second(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, environ={"F5_CONCURRENCY": "1"}):
        began = time.monotonic()
        for job in [api.submit(TEXT) for _ in range(20)]:
            api.wait_answer(job)
        assert time.monotonic() - began < 18  # 20 s and more with the SDK's own loop


def test_one_id_handed_out_twice_is_answered_twice(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path, ["--cost-s", "0.5"]):
        job = api.submit(TEXT, "twice")
        api.submit(TEXT, "twice")
        api.wait_answer(job, count=2)
        first, second = (body["output"] for body in api.answers[job])
        assert first["audio_url"] == second["audio_url"]
        assert first["seed"] == second["seed"]


def test_failing_api_is_neither_hammered_nor_logged_to_death(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path) as running:
        api.take_status = 500
        api.submit(TEXT)  # the held poll still brings this one, and then polls fail
        time.sleep(1)
        cpu_s, polls, length = running.cpu_s(), len(api.takes), len(running.text())
        began = time.monotonic()
        time.sleep(3)
        assert running.cpu_s() - cpu_s < 0.5
        assert len(api.takes) - polls <= 2 + (time.monotonic() - began)
        assert len(running.text()) - length < 2000
        api.take_status = 0
        job = api.submit(TEXT)
        assert api.wait_answer(job, 20)["output"]["status"] == "COMPLETED"
        running.wait_line("answers again")


def test_api_that_holds_no_poll_is_asked_at_a_bounded_pace(tmp_path: Path) -> None:
    with job_api(hold_s=0) as api, ready(api, tmp_path) as running:
        polls, cpu_s = len(api.takes), running.cpu_s()
        began = time.monotonic()
        time.sleep(3)
        assert len(api.takes) - polls <= 2 + 2 * (time.monotonic() - began)
        assert running.cpu_s() - cpu_s < 0.5


def test_result_that_cannot_be_posted_is_in_the_store(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path) as running:
        api.done_status = 500
        job = api.submit(TEXT)
        failed = running.wait_line("Failed to return job results", 30)
        assert failed["level"] == "ERROR"
        assert failed["job_id"] == job
        assert len(api.done_tries) == 3
        api.done_status = 0
        assert status(api, job)["status"] == "COMPLETED"


def test_progress_is_throttled_and_never_after_the_answer(api: JobApi, tmp_path: Path) -> None:
    sentence = "This is a sentence of some length, which is followed by another one. "
    with ready(api, tmp_path, ["--cost-s", "0.3"]):
        job = api.submit({"text": sentence * 20})
        quick = [api.submit(TEXT) for _ in range(5)]
        api.wait_answer(job, 60)
        for other in quick:
            api.wait_answer(other)
        time.sleep(1)
    told = [(at, under_way) for at, posted, under_way in api.posts if posted == job]
    assert sum(under_way for _, under_way in told) >= 2
    assert [under_way for _, under_way in told].index(False) == len(told) - 1
    span_s = told[-1][0] - told[0][0]
    assert len(told) <= 3 + span_s  # of twenty sentences in six seconds
    percents = [body["output"]["percent"] for body in api.progress[job]]
    assert percents == sorted(percents)
    assert percents[-1] > 0


def test_heartbeat_dies_with_a_killed_worker(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path) as running:
        api.wait_answer(api.submit(TEXT))
        assert api.pings
        running.signal(signal.SIGKILL)
        running.wait()
        time.sleep(0.3)
        pings = len(api.pings)
        time.sleep(2.5)  # two intervals
        assert len(api.pings) == pings


def test_job_of_mode_async_is_queued_and_taken(api: JobApi, tmp_path: Path) -> None:
    with ready(api, tmp_path):
        job = api.submit({**TEXT, "mode": "async"}, "asked-for-u1")
        answer = api.wait_answer(job)["output"]
        assert answer == {"job_id": job, "status": "QUEUED"}
        later = api.wait_answer("job-1-u1")["output"]  # by the endpoint's own queue
        assert (later["job_id"], later["status"]) == (job, "COMPLETED")
        assert status(api, job)["status"] == "COMPLETED"
        assert "Bearer worker-key-of-the-tests" in api.keys
