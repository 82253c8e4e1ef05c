"""POST /v1/dubs: subtitles in, a job that is like all others out."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from f5serve.http.schemas import JobAccepted, JobResult
from tests.http.house import House, house
from tests.http.test_jobs import until
from tests.service.test_dubs import CUES, FIRST


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("dubs")) as made:
        yield made


def test_subtitles_become_a_job_with_its_sound(home: House) -> None:
    fields = {"subtitles": CUES, "response_format": "flac", "endpoint": "tts", "mode": "sync"}
    answer = home.client.post("/v1/dubs", json=fields)
    assert answer.status_code == 202, answer.text
    told = JobAccepted.model_validate(answer.json())
    assert answer.headers["Location"] == told.links.self
    until(home, told.links.self, "COMPLETED")
    result = home.client.get(told.links.result).json()
    JobResult.model_validate(result)
    assert [part["start_time"] for part in result["parts"]] == pytest.approx(
        [0.5, 2.5, 4.0, 7.25], abs=0.02
    )
    samples, rate = soundfile.read(io.BytesIO(home.client.get(told.links.audio).content))
    assert len(samples) == 9 * rate
    assert np.flatnonzero(np.abs(samples) > 0.02)[0] == pytest.approx(0.5 * rate, abs=0.02 * rate)
    listed = home.client.get("/v1/jobs").json()["jobs"][0]
    assert (listed["job_id"], listed["text"][:12]) == (told.job_id, "Hello there.")


def test_the_same_key_is_the_same_job(home: House) -> None:
    headers = {"Idempotency-Key": "dub-once"}
    first, again = (
        home.client.post("/v1/dubs", json={"subtitles": FIRST}, headers=headers) for _ in range(2)
    )
    assert first.json()["job_id"] == again.json()["job_id"]
    other = home.client.post("/v1/dubs", json={"subtitles": CUES}, headers=headers)
    home.refused(other, 409, "job_id_conflict")


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({}, "bad_subtitles", "No subtitles are sent."),
        ({"subtitles": "Hello."}, "bad_subtitles", "The text has no subtitles"),
        ({"subtitles": FIRST.replace("02,", "99,")}, "bad_subtitles", "cue 1 in line 2"),
        ({"subtitles": FIRST.replace("02,", "00,")}, "bad_subtitles", "before it starts"),
        ({"subtitles": FIRST, "max_speed": 5}, "bad_option", "max_speed is 5."),
        ({"subtitles": FIRST, "text": "Hi."}, "bad_option", "text is 'Hi.'."),
        ({"subtitles_url": "http://127.0.0.1/a.srt"}, "url_not_allowed", "subtitles"),
        ({"subtitles_url": "file:///etc/passwd"}, "url_not_allowed", "subtitles"),
    ],
)
def test_what_is_wrong_is_an_error_at_once(
    home: House, body: dict[str, object], code: str, says: str
) -> None:
    before = len(home.client.get("/v1/jobs").json()["jobs"])
    assert says in home.refused(home.client.post("/v1/dubs", json=body), 400, code)
    assert len(home.client.get("/v1/jobs").json()["jobs"]) == before


def test_the_document_has_the_fields_of_dubs_and_no_others(home: House) -> None:
    schemas = home.client.get("/openapi.json").json()["components"]["schemas"]
    dub, job = (set(schemas[name]["properties"]) for name in ("NewDub", "NewJob"))
    own = {"subtitles", "subtitles_url", "subtitles_format", "max_speed"}
    assert dub - job == own
    assert job - dub == {"text", "markup", "ssml", "duration_s"}
