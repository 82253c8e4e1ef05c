"""Workers that are killed at any point leave nothing that another one cannot go on from."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile

from tests.worker.job_api import JobApi, job_api, standing
from tests.worker.processes import ready

pytestmark = pytest.mark.slow
OPTIONS = ["--cost-s", "0.6", "--lease-s", "1.5"]
TEXT = {"text": "Hello there."}
ORDER = ["QUEUED", "PROCESSING", "COMPLETED"]


@pytest.fixture
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


def test_another_worker_goes_on_after_each_kill(api: JobApi, tmp_path: Path) -> None:
    chance = random.Random(5)
    jobs = []
    for round_ in range(4):
        with ready(api, tmp_path, OPTIONS, name=f"killed-{round_}") as running:
            job = api.submit(TEXT)
            jobs.append(job)
            api.wait_taken(job)
            time.sleep(chance.uniform(0, 0.9))
            running.signal(signal.SIGKILL)
            running.wait()
    with ready(api, tmp_path, OPTIONS, name="survivor"):
        for job in jobs:
            known = standing(api, job)
            before = len(api.answers[job])
            api.submit(TEXT, job)  # RunPod hands it out again
            said = api.wait_answer(job, count=before + 1)["output"]
            assert said["status"] == "COMPLETED"
            assert ORDER.index(known) <= ORDER.index(standing(api, job)) == 2
            again = api.wait_answer(api.submit({"endpoint": "result", "job_id": job}))["output"]
            audio = soundfile.info(Path(urlsplit(again["audio_url"]).path))
            assert audio.duration == pytest.approx(said["duration"], abs=0.01)
