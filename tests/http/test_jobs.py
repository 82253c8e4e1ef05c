"""Speech that is fetched later: the jobs of every door, by their records."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.http.routers.jobs import PART_BYTES
from f5serve.http.schemas import JobAccepted, JobCancelled, JobLine, JobList, JobResult, JobStatus
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.http.house import House, house
from tests.service.house import HELLO as TTS
from tests.service.house import CountingTone
from tests.voices.material import CountingStore


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("jobs")
    with house(folder, LocalStore(folder / "store")) as made:
        yield made


def create(home: House, **fields: Any) -> str:
    """The path of a new job."""
    answer = home.client.post("/v1/jobs", json=TTS | fields)
    assert answer.status_code == 202, answer.text
    told = JobAccepted.model_validate(answer.json())
    assert answer.headers["Location"] == told.links.self == f"/v1/jobs/{told.job_id}"
    assert told.links.result == f"{told.links.self}/result"
    assert told.links.audio == f"{told.links.self}/audio"
    return told.links.self


def until(home: House, path: str, *statuses: str) -> httpx.Response:
    for _ in range(400):
        answer = home.client.get(path)
        JobStatus.model_validate(answer.json())
        if answer.json()["status"] in statuses:
            return answer
        time.sleep(0.02)
    raise AssertionError(answer.text)


def done(home: House, **fields: Any) -> str:
    path = create(home, **fields)
    until(home, path, "COMPLETED")
    return path


def test_a_job_goes_from_202_to_its_sound(home: House) -> None:
    path = create(home, text="Hello there, friend.", timing_format=["srt", "csv"], no_such=[{}])
    answer = until(home, path, "COMPLETED")
    assert "Retry-After" not in answer.headers
    result = home.client.get(f"{path}/result").json()
    assert set(result) == set(JobResult.model_fields)
    JobResult.model_validate(result)
    assert result["text"] == "Hello there, friend."
    assert "The field 'no_such' is not known." in result["warnings"]
    assert result["audio_url"] == f"{path}/audio"
    assert result["timing_files"] == {n: f"{path}/timings/{n}" for n in ("srt", "csv")}
    audio = home.client.get(result["audio_url"])
    assert audio.content[:4] == b"RIFF"
    assert audio.headers["ETag"] == f'"{hashlib.sha256(audio.content).hexdigest()}"'
    assert len(audio.content) == pytest.approx(result["duration"] * 48_000, abs=100)
    words = home.client.get(f"{path}/timings/csv")
    assert words.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "friend." in words.text


@pytest.mark.parametrize(
    ("format", "kind"),
    [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac"), ("pcm", "audio/pcm")],
)
def test_every_format_has_its_type_and_name(home: House, format: str, kind: str) -> None:
    path = done(home, response_format=format)
    audio = home.client.get(f"{path}/audio")
    job_id = path.rpartition("/")[2]
    assert audio.headers["Content-Type"] == kind
    assert audio.headers["Content-Disposition"] == f'inline; filename="{job_id}.{format}"'
    assert audio.headers["Content-Length"] == str(len(audio.content))


def test_word_times_come_in_any_format_or_are_told_to_be_missing(home: House) -> None:
    path = done(home, timing_format="srt")
    kept = home.client.get(f"{path}/timings/srt")
    assert kept.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "-->" in kept.text
    for format in ("vtt", "ass", "csv", "json"):
        written = home.client.get(f"{path}/timings/{format}")
        assert written.status_code == 200
        assert "Hello" in written.text
    assert written.json()["word_timings"][0]["word"] == "Hello"
    without = done(home, text="No times, please.", return_word_timings=False)
    assert "has no timing file" in home.refused(
        home.client.get(f"{without}/timings/vtt"), 404, "no_timings"
    )
    home.refused(home.client.get(f"{path}/timings/doc"), 400, "bad_option")


RANGES = [
    ("bytes=0-3", 206, (0, 4)),
    ("bytes=10-10", 206, (10, 11)),
    ("bytes=100-", 206, (100, None)),
    ("bytes=-7", 206, (-7, None)),
    ("bytes=-999999999", 206, (0, None)),
    ("bytes=40-999999999", 206, (40, None)),
    ("bytes=0-", 206, (0, None)),
    ("bytes=5-4", 200, (0, None)),
    ("bytes=-", 200, (0, None)),
    ("bytes=0-1,4-5", 200, (0, None)),
    ("lines=0-3", 200, (0, None)),
    ("bytes=²-3", 200, (0, None)),
    ("bytes=99999999-", 416, None),
    ("bytes=-0", 416, None),
]


@pytest.mark.parametrize(("asked", "status", "part"), RANGES)
def test_ranges_of_the_sound(
    home: House, asked: str, status: int, part: tuple[int, int | None] | None
) -> None:
    path = f"{done(home, seed=1)}/audio"
    whole = home.client.get(path).content
    answer = home.client.get(path, headers={"Range": asked.encode()})
    assert answer.status_code == status
    if part is None:
        home.refused(answer, 416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"
        return
    assert answer.content == whole[slice(*part)]
    if status == 206:
        start, end, _ = slice(*part).indices(len(whole))
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"


def test_head_and_etags_spare_what_is_known(home: House) -> None:
    path = f"{done(home, seed=2)}/audio"
    head = home.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    whole = home.client.get(path)
    names = ("ETag", "Content-Length", "Content-Type", "Accept-Ranges", "Content-Disposition")
    assert {name: head.headers[name] for name in names} == {n: whole.headers[n] for n in names}
    etag = whole.headers["ETag"]
    for tags in (etag, f'"x", W/{etag}', "*"):
        assert home.client.get(path, headers={"If-None-Match": tags}).status_code == 304
    assert home.client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
    asked = {"Range": "bytes=0-3"}
    assert home.client.get(path, headers={**asked, "If-Range": etag}).status_code == 206
    assert home.client.get(path, headers={**asked, "If-Range": '"x"'}).status_code == 200
    assert home.client.head(path, headers=asked).status_code == 200


@pytest.mark.parametrize(
    "job_id",
    ["unknown", "..", "%2e%2e", "a%00b", "..%5c..%5cetc", "%F0%9F%98%80", "x" * 3000, "%ff", "~"],
)
@pytest.mark.parametrize("what", ["", "/result", "/audio", "/timings/srt"])
def test_ids_that_nobody_knows(home: House, job_id: str, what: str) -> None:
    url = httpx.URL(home.url).copy_with(raw_path=f"/v1/jobs/{job_id}{what}".encode())
    answer = home.client.get(url)
    assert answer.status_code == 404, answer.text
    assert answer.json()["error"]["code"] in ("invalid_job_id", "no_such_route")
    if not what:
        assert home.client.delete(url).status_code in (404, 405)


def test_a_path_never_leads_out_of_the_records(home: House, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    for job_id in ("..%2f..", "%2fetc%2fpasswd", "..%2F" * 9 + "etc"):
        raw = f"/v1/jobs/{job_id}".encode()
        answer = home.client.get(httpx.URL(home.url).copy_with(raw_path=raw))
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "text"),
        ({"text": "  "}, "Text input is required."),
        ({"text": 7}, "text is 7."),
        ({"text": "a", "nfe_step": 99}, "nfe_step is 99."),
        ({"text": "a", "nfe_step": "7"}, "nfe_step is '7'."),
        ({"text": "a", "response_format": "doc"}, "response_format is 'doc'."),
        ({"text": "a", "timing_format": ["srt", "doc"]}, "timing_format is 'doc'."),
        ({"text": "a", "voice": ["x"]}, "voice is ['x']."),
        ({"text": "a", "speed": 9}, "speed is 9."),
        ({"text": "a", "consent": "yes"}, "consent is 'yes'."),
        ([1], "The body is a list"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(home: House, body: Any, said: str) -> None:
    answer = home.client.post("/v1/jobs", json=body)
    assert said in answer.json()["error"]["message"]
    assert answer.status_code == 400
    typed = {"Content-Type": "application/json"}
    home.refused(home.client.post("/v1/jobs", content=b"{", headers=typed), 400, "invalid_json")


def test_a_key_of_the_caller_gives_one_job(home: House) -> None:
    def post(key: str, **fields: Any) -> httpx.Response:
        body = {**TTS, "seed": 9, **fields}
        return home.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})

    first = post("order 7")
    until(home, first.headers["Location"], "COMPLETED")
    again = post("order 7")
    assert again.json()["job_id"] == first.json()["job_id"]
    assert (again.status_code, again.json()["status"]) == (202, "COMPLETED")
    assert post("order 8").json()["job_id"] != first.json()["job_id"]
    home.refused(post("order 7", text="Something else."), 409, "job_id_conflict")
    home.refused(post(""), 400, "bad_idempotency_key")


def test_the_fields_of_other_doors_mean_nothing(home: House) -> None:
    own = {"mode": "sync", "return_audio": "base64", "endpoint": "health", "queued_as": "mine"}
    path = done(home, seed=4711, **own)
    assert "mine" not in path
    result = home.client.get(f"{path}/result").json()
    assert "audio_base64" not in result
    unknown = [said for said in result["warnings"] if "not known" in said]
    assert unknown == ["The field 'queued_as' is not known."]
    assert home.client.get("/v1/jobs/mine").status_code == 404


def test_waiting_work_and_cancel(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.tone.hold()
        paths = [create(home, text=f"Number {number}.") for number in range(4)]
        at_work = until(home, paths[0], "PROCESSING")
        assert at_work.headers["Retry-After"] == "1"
        waiting = home.client.get(paths[3])
        assert (waiting.json()["status"], waiting.headers["Retry-After"]) == ("QUEUED", "2")
        for what in ("/result", "/audio", "/timings/srt"):
            said = home.refused(home.client.get(paths[3] + what), 409, "job_not_complete")
            assert "Status: QUEUED" in said
        told = home.client.get("/v1/jobs").json()["jobs"]
        assert {line["status"] for line in told} == {"QUEUED", "PROCESSING"}
        assert {line["text"] for line in told} == {f"Number {number}." for number in range(4)}
        assert all(line["progress"] for line in told)
        for path in (paths[3], paths[0]):
            answer = home.client.delete(path)
            assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
            JobCancelled.model_validate(answer.json())
        home.tone.release()
        until(home, paths[2], "COMPLETED")
        assert home.client.get(paths[0]).json()["status"] == "CANCELLED"
        assert "Number 3." not in home.tone.spoken
        done_already = home.client.delete(paths[2])
        assert done_already.json()["status"] == "COMPLETED"
        home.refused(home.client.delete("/v1/jobs/unknown"), 404, "invalid_job_id")
        failed = create(home, voice="nobody")
        told = until(home, failed, "ERROR").json()
        assert told["failure"]["code"] == "VOICE_NOT_FOUND"
        home.refused(home.client.get(f"{failed}/result"), 409, "job_failed")


def test_a_job_made_through_runpod_is_visible_here_and_the_other_way_round(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    speech = Synthesizer(CountingTone())

    async def at_runpod(payload: dict[str, Any], job_id: str) -> dict[str, Any]:
        async def enqueue(_: dict[str, Any]) -> str:
            raise AssertionError

        voices = VoiceLibrary(store, tmp_path / "worker")
        operations = SpeechService(
            store, voices, lambda: speech, Settings(), ServiceOptions(enqueue=enqueue)
        )
        operations.begin()
        answer = await operations.answer(payload, job_id)
        await operations.close(5)
        return answer

    text = "Hello from a worker. " * 20
    theirs = asyncio.run(at_runpod({"text": text, "seed": 3}, "sync-1234-u1"))
    with house(tmp_path, store) as home:
        (line,) = home.client.get("/v1/jobs").json()["jobs"]
        assert line["job_id"] == "sync-1234-u1"
        assert line["text"] == text[:120]
        assert (line["status"], line["voice"], line["model"]) == ("COMPLETED", "default", "tone")
        path = "/v1/jobs/sync-1234-u1"
        result = home.client.get(f"{path}/result").json()
        named = ("audio_url", "timing_files")
        assert {n: v for n, v in result.items() if n not in named} == {
            name: value for name, value in theirs.items() if name not in named
        }
        audio = home.client.get(f"{path}/audio").content
        assert audio == Path(theirs["audio_url"].removeprefix("file://")).read_bytes()
        ours = done(home, text="Hello from the server.")
    job_id = ours.rpartition("/")[2]
    told = asyncio.run(at_runpod({"endpoint": "result", "job_id": job_id}, "x"))
    assert told["text"] == "Hello from the server."


def test_the_list_is_newest_first_and_bounded(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        paths = [done(home, text=f"Number {number}.") for number in range(4)]
        answer = home.client.get("/v1/jobs", params={"limit": 3}).json()
        JobList.model_validate(answer)
        assert set(answer["jobs"][0]) == set(JobLine.model_fields)
        ids = [line["job_id"] for line in answer["jobs"]]
        assert ids == [path.rpartition("/")[2] for path in reversed(paths)][:3]
        assert answer["object"] == "list"
        assert answer["truncated"]
        rest = home.client.get("/v1/jobs", params={"limit": 3, "after": answer["next"]}).json()
        assert [line["job_id"] for line in rest["jobs"]] == [paths[0].rpartition("/")[2]]
        assert (rest["truncated"], rest["next"]) == (False, None)
        home.refused(home.client.get("/v1/jobs?after=x"), 400, "bad_cursor")
        home.refused(home.client.get(f"/v1/jobs?after={'x' * 300}"), 400, "bad_option")
        assert all(line["finished_at"] >= line["created_at"] for line in answer["jobs"])
        for limit in ("0", "201", "x"):
            home.refused(home.client.get("/v1/jobs", params={"limit": limit}), 400, "bad_option")


def test_a_long_sound_is_sent_in_parts(tmp_path: Path) -> None:
    store = CountingStore(MemoryStore())
    with house(tmp_path, store) as home:
        path = done(home, text="A sentence of some length that is said here. " * 6, speed=0.25)
        before = store.total("get", "output/")
        sizes = []
        with home.client.stream("GET", f"{path}/audio") as answer:
            sizes = [len(part) for part in answer.iter_raw()]
            assert int(answer.headers["Content-Length"]) == sum(sizes) > 2 * PART_BYTES
        assert store.total("get", "output/") - before == -(-sum(sizes) // PART_BYTES)
        (key,) = [entry.key for entry in store.list("output/") if entry.key.endswith(".wav")]
        assert hashlib.sha256(store.inner.get(key)).hexdigest() in answer.headers["ETag"]
        store.delete(key)
        home.refused(home.client.get(f"{path}/audio"), 404, "result_gone")


def test_urls_of_the_store_are_told_as_they_are(tmp_path: Path) -> None:
    class Public(MemoryStore):
        def url(self, key: str, *args: Any, **named: Any) -> str:
            return f"https://bucket.example/{key}"

    with house(tmp_path, Public()) as home:
        path = done(home, timing_format="srt")
        result = home.client.get(f"{path}/result").json()
        assert result["audio_url"].startswith("https://bucket.example/output/")
        assert result["timing_files"]["srt"].startswith("https://bucket.example/timings/")
        assert home.client.get(f"{path}/audio").status_code == 200


def test_jobs_of_a_server_that_went_are_done_by_the_next(tmp_path: Path) -> None:
    store = MemoryStore()
    with house(tmp_path, store) as first:
        first.tone.hold()
        path = create(first)
        until(first, path, "PROCESSING")
        first.tone.release()
    quick = replace(ServiceOptions(), poll_s=0.1, lease_s=0.5)
    with house(tmp_path, store, quick) as second:
        until(second, path, "COMPLETED")


def test_the_document_tells_what_a_job_takes(home: House) -> None:
    document = home.client.get("/openapi.json").json()
    told = document["components"]["schemas"]["NewJob"]
    assert told["required"] == ["text"]
    step = told["properties"]["nfe_step"]["anyOf"][0]
    assert (step["type"], step["minimum"], step["maximum"]) == ("integer", 1, 64)
    assert "audio/*" in json.dumps(document["paths"]["/v1/jobs/{job_id}/audio"])
