"""Every operation through RunPod's SDK, as both older generations of clients call it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import soundfile

from tests.worker.job_api import JobApi, job_api, standing
from tests.worker.processes import Worker, ready

VOICE = resources.files("f5serve.voices") / "data"


@pytest.fixture(scope="module")
def api() -> Iterator[JobApi]:
    with job_api() as api:
        yield api


@pytest.fixture(scope="module", autouse=True)
def running(api: JobApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    home = tmp_path_factory.mktemp("worker")
    with ready(api, home, ["--cost-s", "0.1"]) as running:
        yield running


def ask(api: JobApi, **payload: Any) -> dict[str, Any]:
    body = api.wait_answer(api.submit(payload))
    assert "error" not in body, body
    return dict(body["output"])


def refused(api: JobApi, **payload: Any) -> str:
    body = api.wait_answer(api.submit(payload))
    assert body["output"]["code"], body
    return str(body["error"])


def upload(api: JobApi, name: str) -> dict[str, Any]:
    wave = base64.b64encode((VOICE / "default.wav").read_bytes()).decode()
    text = base64.b64encode((VOICE / "default.txt").read_bytes()).decode()
    return ask(api, endpoint="upload", voice_name=name, voice_file=wave, text_file=text)


def wait_standing(api: JobApi, job: str, wanted: str) -> None:
    until = time.monotonic() + 20
    while (found := standing(api, job)) != wanted:
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_first_generation(api: JobApi) -> None:
    said = upload(api, "ana.wav")
    assert said["status"] == "Voice 'ana.wav' and reference text uploaded successfully."

    listed = ask(api, endpoint="list_voices")
    assert (listed["count"], listed["status"]) == (1, "success")
    voice = listed["voices"][0]
    assert (voice["voice_file"], voice["text_file"]) == ("ana.wav", "ana.txt")
    assert voice["size"] > 0
    assert voice["last_modified"]

    queued = ask(
        api,
        text="Hi there.",
        speed=1.0,
        return_word_timings=True,
        local_voice="ana.wav",
        mode="async",
    )
    job = queued["job_id"]
    assert queued == {"job_id": job, "status": "QUEUED"}
    wait_standing(api, job, "COMPLETED")
    result = ask(api, endpoint="result", job_id=job)
    assert {"audio_url", "word_timings", "duration"} <= result.keys()
    assert seconds(result["audio_url"]) == pytest.approx(result["duration"], abs=0.01)


def test_later_generation(api: JobApi) -> None:
    upload(api, "eva")
    said = ask(
        api,
        text="Hi there.",
        speed=0.9,
        seed=7,
        local_voice="eva.wav",
        return_word_timings=True,
        timing_format="srt",
        timing_method="whisperx",
    )
    assert said["status"].lower() == "completed"
    assert (said["seed"], said["text"]) == (7, "Hi there.")
    assert {"word_count", "timing_files", "timing_format", "job_id"} <= said.keys()
    assert seconds(said["audio_url"]) == pytest.approx(said["duration"], abs=0.01)
    down = ask(api, endpoint="download", job_id=said["job_id"])
    assert (down["status"], down["content_type"]) == ("ready", "audio/wav")
    assert seconds(down["audio_url"]) == pytest.approx(said["duration"], abs=0.01)
    names = [voice["name"] for voice in ask(api, endpoint="list_voices")["voices"]]
    assert "eva.wav" in names
    ask(api, endpoint="delete_voice", voice_name="eva.wav")
    names = [voice["name"] for voice in ask(api, endpoint="list_voices")["voices"]]
    assert "eva.wav" not in names


def test_audio_in_the_answer(api: JobApi) -> None:
    said = ask(api, text="Hi there.", response_format="flac", return_audio="base64")
    heard = soundfile.read(io.BytesIO(base64.b64decode(said["audio_base64"])))[0]
    assert len(heard) / 24000 == pytest.approx(said["duration"], abs=0.01)


def test_health_and_cancel(api: JobApi) -> None:
    health = ask(api, endpoint="health")
    assert (health["status"], health["store"], health["model"]["state"]) == ("ok", "ok", "ready")
    job = api.submit({"text": "A sentence of some length, said again and again. " * 60})
    wait_standing(api, job, "PROCESSING")
    time.sleep(0.2)
    assert ask(api, endpoint="cancel", job_id=job) == {"job_id": job, "status": "CANCELLED"}
    assert api.wait_answer(job)["output"]["code"] == "JOB_CANCELLED"
    assert ask(api, endpoint="status", job_id=job)["status"] == "CANCELLED"


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({}, "Text input is required."),
        ({"endpoint": "status", "job_id": "no-such-job"}, "Invalid job_id."),
        ({"endpoint": "result"}, "No job_id provided"),
        ({"endpoint": "result", "job_id": "no-such-job"}, "Invalid job_id: no-such-job"),
        ({"endpoint": "download", "job_id": "no-such-job"}, "Invalid job_id: no-such-job"),
        ({"endpoint": "upload"}, "voice_name is required for upload."),
        (
            {"endpoint": "upload", "voice_name": "x.wav"},
            "Either voice_file or voice_file_url is required for upload.",
        ),
        ({"endpoint": "tss", "text": "Hi."}, "The endpoint 'tss' is not known."),
    ],
)
def test_old_sentences(api: JobApi, payload: dict[str, Any], sentence: str) -> None:
    assert refused(api, **payload) == sentence


def test_failed_job_is_no_failed_request(api: JobApi) -> None:
    job = api.submit({"text": "Hi.", "local_voice": "nobody.wav"})
    assert api.wait_answer(job)["error"]
    told = ask(api, endpoint="status", job_id=job)
    assert told["status"] == "ERROR"
    assert told["failure"]["code"] == "VOICE_NOT_FOUND"


def seconds(url: str) -> float:
    return float(soundfile.info(Path(urlsplit(url).path)).duration)


def test_subtitles_are_spoken_at_their_times(api: JobApi) -> None:
    cues = "1\n00:00:00,500 --> 00:00:02,000\nHi there.\n\n2\n00:00:02,500 --> 00:00:03,000\nBye.\n"
    said = ask(api, endpoint="dub", subtitles=cues)
    assert seconds(said["audio_url"]) == pytest.approx(3.0, abs=0.01)
    assert [part["start_time"] for part in said["parts"]] == pytest.approx([0.5, 2.5], abs=0.02)
    assert "cue 2 in line 6" in refused(api, endpoint="dub", subtitles=cues.replace("02,5", "0x,5"))
