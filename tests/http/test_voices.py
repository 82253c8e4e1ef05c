"""Voices over HTTP: made of recordings, listed, heard, replaced and deleted."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from f5serve.audio.decode import DecodeLimits
from f5serve.audio.encode import encode, read_wav
from f5serve.errors import StorageFailed
from f5serve.store.base import StoredObject
from f5serve.store.memory import MemoryStore
from f5serve.types import Wave
from f5serve.voices import names
from f5serve.voices.records import Blob, VoiceRecord, dump_record
from tests.hearing import speech_recognition
from tests.http.house import House, house
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

VOICES = "/v1/audio/voices"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("voices")) as home:
        yield home


def upload(home: House, name: str, sound: bytes = b"", **fields: str) -> httpx.Response:
    """The answer to an upload, of `recording` with its words unless other ones are given."""
    told = {"name": name, "ref_text": WORDS, "language": "en"} | fields
    sound = sound or recording()
    return home.client.post(VOICES, data=told, files={"audio_sample": ("any.bin", sound)})


def wav(samples: np.ndarray, rate: int = 8_000) -> bytes:
    return encode(Wave(samples.astype(np.float32), rate), "wav")


def test_a_recording_becomes_a_voice(home: House) -> None:
    answer = upload(home, "Ana.wav", consent_by=" Ana Example ")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{VOICES}/Ana"
    told = answer.json()
    assert told["id"] == told["name"] == "Ana"
    assert (told["object"], told["type"]) == ("audio.voice", "audio_sample")
    assert (told["builtin"], told["needs_review"], told["has_transcript"]) == (False, False, True)
    assert 2.5 < told["duration_s"] < 3.5
    assert (told["language"], told["ref_text"]) == ("en", WORDS)
    assert told["consent"]["by"] == "Ana Example"
    assert told["created_at"] > 1_600_000_000
    assert home.client.get(f"{VOICES}/ana").json() == told
    assert (told.pop("ref_text"), told.pop("warnings")) == (WORDS, [])
    assert (told.pop("style_recordings"), told["styles"]) == ([], [])
    listed = home.client.get(VOICES).json()
    assert listed["object"] == "list"
    assert told in listed["voices"]
    assert home.speak(voice="Ana").status_code == 200
    assert home.speak(voice={"id": "ana"}).status_code == 200


def test_a_voice_says_how_its_texts_are_normalized(home: House) -> None:
    told = upload(home, "said", normalize="money, date").json()
    assert told["normalize"] == "date,money"
    assert home.client.get(f"{VOICES}/said").json() == told
    assert upload(home, "unsaid").json()["normalize"] is None
    listed = {one["id"]: one["normalize"] for one in home.client.get(VOICES).json()["voices"]}
    assert listed | {"default": None, "said": "date,money", "unsaid": None} == listed


def test_an_odd_transcript_is_noted(home: House) -> None:
    told = upload(home, "loud", ref_text=WORDS.upper()).json()
    (note,) = told["warnings"]
    assert "in capitals" in note
    assert home.client.get(f"{VOICES}/loud").json()["warnings"] == [note]
    job = home.speak(voice="loud").headers["x-f5-job-id"]
    assert note in home.client.get(f"/v1/jobs/{job}/result").json()["warnings"]


def test_the_voice_that_comes_with_it_is_listed_first_and_stays(home: House) -> None:
    first = home.client.get(VOICES).json()["voices"][0]
    assert (first["id"], first["builtin"], first["created_at"]) == ("default", True, 0)
    one = home.client.get(f"{VOICES}/Default.wav").json()
    assert one.pop("ref_text").startswith("Unless to be")
    assert (one.pop("warnings"), one.pop("style_recordings")) == ([], [])
    assert one == first
    assert read_wav(home.client.get(f"{VOICES}/default/sample").content).duration_s > 2
    home.refused(home.client.delete(f"{VOICES}/default"), 409, "reserved_voice_name")
    home.refused(upload(home, "default"), 409, "reserved_voice_name")


def test_the_sample_is_what_is_cloned(home: House) -> None:
    upload(home, "heard")
    answer = home.client.get(f"{VOICES}/heard/sample")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-disposition"] == 'attachment; filename="heard.wav"'
    wave, kept = read_wav(answer.content), home.service.voices.get("heard").wave
    assert wave.sample_rate == 24_000
    np.testing.assert_array_equal(wave.samples, kept.samples)
    etag = {"If-None-Match": answer.headers["etag"]}
    again = home.client.get(f"{VOICES}/heard/sample", headers=etag)
    assert (again.status_code, again.content) == (304, b"")
    anything = home.client.get(f"{VOICES}/heard/sample", headers={"If-None-Match": "*"})
    assert anything.status_code == 304
    upload(home, "heard", other_recording(), ref_text=OTHER_WORDS)
    changed = home.client.get(f"{VOICES}/heard/sample", headers=etag)
    assert (changed.status_code, changed.headers["etag"] != etag["If-None-Match"]) == (200, True)


def test_a_name_that_comes_again_replaces_the_voice(home: House) -> None:
    first = upload(home, "again").json()
    second = upload(home, "again", other_recording(), ref_text=OTHER_WORDS)
    assert second.status_code == 201
    assert second.json()["ref_text"] == OTHER_WORDS
    assert second.json()["created_at"] == first["created_at"]
    names_told = [voice["id"] for voice in home.client.get(VOICES).json()["voices"]]
    assert names_told.count("again") == 1
    assert "only in capitals" in home.refused(upload(home, "AGAIN"), 409, "voice_name_taken")


def test_a_deleted_voice_is_gone_everywhere(home: House) -> None:
    upload(home, "brief")
    deleted = home.client.delete(f"{VOICES}/brief")
    assert deleted.json() == {"id": "brief", "object": "audio.voice.deleted", "deleted": True}
    for answer in (
        home.client.get(f"{VOICES}/brief"),
        home.client.get(f"{VOICES}/brief/sample"),
        home.client.delete(f"{VOICES}/brief"),
        home.speak(voice="brief"),
    ):
        assert "no voice 'brief'" in home.refused(answer, 404, "voice_not_found")
    assert "brief" not in home.client.get(VOICES).text


def test_a_job_that_failed_names_the_route_of_voices(home: House) -> None:
    job = home.client.post("/v1/jobs", json={"text": "Hello.", "voice": "nobody"}).json()
    for _ in range(3_000):
        told = home.client.get(f"/v1/jobs/{job['job_id']}").json()
        if told["status"] == "ERROR":
            break
        time.sleep(0.02)
    assert told["failure"]["hint"].startswith("See GET /v1/audio/voices for all names")
    listed = [line for line in home.client.get("/v1/jobs").json()["jobs"] if line["failure"]]
    assert listed[0]["failure"] == told["failure"]


def test_a_voice_is_deleted_with_its_results(home: House) -> None:
    upload(home, "erased")
    upload(home, "stays")
    secret = "Nobody may keep this."
    for name in ("erased", "stays"):
        assert home.speak(voice=name, input=f"{secret} {name}").status_code == 200
    store = home.service.store

    def stored() -> bytes:
        return b"".join(store.get(entry.key) for entry in store.list())

    assert f"{secret} erased".encode() in stored()
    gone = home.client.delete(f"{VOICES}/erased", params={"with_results": "true"}).json()
    results = gone.pop("results")
    assert gone == {"id": "erased", "object": "audio.voice.deleted", "deleted": True}
    assert (results["voice"], results["jobs"], results["at_work"]) == (True, 1, 0)
    assert f"{secret} erased".encode() not in stored()
    assert f"{secret} stays".encode() in stored()
    again = home.client.delete(f"{VOICES}/erased", params={"with_results": "true"})
    home.refused(again, 404, "voice_not_found")
    odd = home.client.delete(f"{VOICES}/stays", params={"with_results": "perhaps"})
    home.refused(odd, 400, "bad_option")


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "..", "a\\b", "C:x", "nul\0", "Änne", "x" * 65, "", "a.txt", " "]
)
def test_names_that_could_be_paths_are_refused(home: House, name: str) -> None:
    answer = upload(home, name)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in ("bad_voice_name", "bad_option")


@pytest.mark.parametrize("path", ["%2e%2e", "..%5c..", "a%00b", "%F0%9F%98%80"])
@pytest.mark.parametrize("more", ["", "/sample"])
def test_paths_that_lead_elsewhere_are_refused(home: House, path: str, more: str) -> None:
    home.refused(home.client.get(f"{VOICES}/{path}{more}"), 400, "bad_voice_name")
    assert home.client.get(f"{VOICES}/..%2f..%2fetc%2fpasswd{more}").status_code == 404


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (b"This is a letter.", "not_audio"),
        (recording()[:20_000], "audio_damaged"),
        (wav(np.sin(np.arange(8_000 * 61) / 7) / 3), "audio_too_long"),
        (wav(np.zeros(8_000 * 4)), "audio_silent"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(home: House, sound: bytes, code: str) -> None:
    home.refused(upload(home, "bad", sound), 400, code)
    assert home.client.get(f"{VOICES}/bad").status_code == 404


def test_fields_are_read_strictly(home: House) -> None:
    post = home.client.post
    files = {"audio_sample": recording()}
    home.refused(post(VOICES, data={"name": "x"}), 415, "not_multipart")
    other = {"other": b"x"}
    home.refused(post(VOICES, data={"name": "x"}, files=other), 400, "missing_field")
    assert "name" in home.refused(post(VOICES, files=files), 400, "bad_option")
    told = home.refused(post(VOICES, json={"name": "x"}), 415, "not_multipart")
    assert "application/json" in told
    assert "name" in home.refused(post(VOICES), 400, "bad_option")
    both = {**files, "file": recording()}
    home.refused(post(VOICES, data={"name": "x", "ref_text": WORDS}, files=both), 400, "bad_option")
    home.refused(
        post(VOICES, data={"name": "x"}, files={"audio_sample": b""}), 400, "ref_text_required"
    )
    home.refused(upload(home, "x", type="prompt"), 400, "bad_option")
    home.refused(upload(home, "x", ref_text="a" * 10_001), 400, "bad_option")
    home.refused(upload(home, "x", language="en" * 10), 400, "bad_option")
    assert "english" in home.refused(upload(home, "x", language="english"), 400, "bad_option")
    assert "dates" in home.refused(upload(home, "x", normalize="dates"), 400, "bad_option")
    home.refused(upload(home, "x", normalize="date," * 300), 400, "bad_option")
    home.refused(upload(home, "x", ref_text=""), 400, "ref_text_required")
    field = {"audio_sample": (None, "a text")}
    refused = post(VOICES, data={"name": "x"}, files=field)
    assert "audio_sample" in home.refused(refused, 400, "bad_option")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert post(VOICES, content=b"--y\r\n", headers=broken).status_code == 400
    assert post(VOICES, content=b"--x\r\nnonsense", headers=broken).status_code == 400


def test_the_other_name_of_the_recording(home: House) -> None:
    answer = home.client.post(
        VOICES, data={"name": "other", "ref_text": WORDS}, files={"file": recording()}
    )
    assert answer.status_code == 201


def test_too_large_is_said_while_it_is_still_being_sent(home: House) -> None:
    most = DecodeLimits().max_bytes
    message = home.refused(upload(home, "x", b"x" * (most + 1)), 413, "audio_too_large")
    assert f"{most + 1:,} bytes" in message
    head = (
        f"POST {VOICES} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    sent = part + b"x" * (most + 1_000_000)
    with socket.create_connection(("127.0.0.1", home.client.base_url.port or 0), 20) as wire:
        wire.sendall(head.encode() + f"{len(sent):x}\r\n".encode() + sent)  # and no end
        answer = wire.recv(65_536)
    assert b" 413 " in answer.split(b"\r\n")[0]


def test_the_official_client_makes_and_deletes_voices(home: House) -> None:
    with openai.OpenAI(api_key="none", base_url=f"{home.url}/v1") as client:
        sample = ("a.wav", recording(), "audio/wav")
        extra = {"ref_text": WORDS}
        voice = client.audio.voices.create(
            name="theirs", audio_sample=sample, consent="Ana Example", extra_body=extra
        )
        assert (voice.id, voice.object, voice.type) == ("theirs", "audio.voice", "audio_sample")
        assert isinstance(voice.created_at, int)
        assert home.client.get(f"{VOICES}/theirs").json()["consent"]["by"] == "Ana Example"
        gone = client.audio.voices.delete(voice.id)
        assert (gone.id, gone.object, gone.deleted) == ("theirs", "audio.voice.deleted", True)


def test_requests_are_counted(home: House) -> None:
    def count(operation: str, outcome: str) -> float:
        lines = home.service.operations.metrics.render().splitlines()
        told = f'f5_requests_total{{operation="{operation}",outcome="{outcome}"}} '
        return next((float(line.split()[-1]) for line in lines if line.startswith(told)), 0.0)

    before = count("upload", "ok"), count("upload", "NOT_AUDIO"), count("list_voices", "ok")
    upload(home, "counted")
    upload(home, "counted", b"nothing")
    home.client.get(VOICES)
    after = count("upload", "ok"), count("upload", "NOT_AUDIO"), count("list_voices", "ok")
    assert after == tuple(number + 1 for number in before)


def test_consent_is_asked_for_where_it_must_be(tmp_path: Path) -> None:
    with house(tmp_path, require_consent=True) as home:
        home.refused(upload(home, "ana"), 400, "consent_required")
        assert upload(home, "ana", consent_by="Ana Example").status_code == 201
        assert upload(home, "ben", consent="Ben").json()["consent"]["by"] == "Ben"
        home.refused(upload(home, "eve", consent="cons_1234"), 404, "consent_not_found")


def test_whoever_hears_writes_and_checks_transcripts(tmp_path: Path) -> None:
    with house(tmp_path, hearing=speech_recognition().hearing()) as home:
        written = upload(home, "ana", ref_text="").json()
        assert written["needs_review"]
        assert "young man" in written["ref_text"]
        message = home.refused(upload(home, "ana", ref_text=OTHER_WORDS), 400, "ref_text_mismatch")
        assert "does not fit" in message
        assert home.client.get(f"{VOICES}/ana").json() == written


def test_the_list_is_complete(tmp_path: Path) -> None:
    store = MemoryStore()
    wanted = [f"voice{number:04}" for number in range(1_200)]
    blob = Blob("0" * 64, 1)
    for name in wanted:
        record = VoiceRecord(name, "1", blob, blob, 3.0, created_at="2026-01-31T12:00:00+00:00")
        store.put(names.record_key(name), dump_record(record))
    store.put("voices/dropped.wav", recording())
    with house(tmp_path, store) as home:
        first = home.client.get(VOICES).json()
        assert (len(first["voices"]), first["has_more"]) == (1_000, True)
        assert (first["first_id"], first["last_id"]) == ("default", wanted[997])
        rest = home.client.get(VOICES, params={"after": first["last_id"]}).json()
        assert not rest["has_more"]
        voices: list[dict[str, Any]] = [*first["voices"], *rest["voices"]]
        assert [voice["id"] for voice in voices] == ["default", "dropped", *wanted]
        assert voices[2]["created_at"] == 1_769_860_800
        dropped = voices[1]
        assert (dropped["duration_s"], dropped["has_transcript"]) == (None, False)
        home.refused(home.client.get(f"{VOICES}/dropped"), 400, "ref_text_required")


def test_pages_meet_every_voice_once(home: House) -> None:
    for name in ("page-a", "Page-B", "page-c"):
        upload(home, name)
    everything = [voice["id"] for voice in home.client.get(VOICES).json()["voices"]]
    for limit in (1, 2, 3):
        found: list[str] = []
        page: dict[str, Any] = {"has_more": True, "last_id": ""}
        while page["has_more"]:
            asked = {"limit": limit, "after": page["last_id"]}
            page = home.client.get(VOICES, params=asked).json()
            found += [voice["id"] for voice in page["voices"]]
            assert len(page["voices"]) <= limit
        assert found == everything
    behind = home.client.get(VOICES, params={"after": "PAGE-B.wav", "limit": 1}).json()
    assert [voice["id"] for voice in behind["voices"]] == ["page-c"]
    nothing = home.client.get(VOICES, params={"after": "zzz"}).json()
    assert (nothing["voices"], nothing["last_id"], nothing["has_more"]) == ([], None, False)
    for limit in (0, -1, 1_001, "x"):
        home.refused(home.client.get(VOICES, params={"limit": limit}), 400, "bad_option")
    home.refused(home.client.get(VOICES, params={"after": "../x"}), 400, "bad_voice_name")


def test_a_store_that_is_down_is_told(tmp_path: Path) -> None:
    class Down(MemoryStore):
        def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[StoredObject]:
            raise StorageFailed("The store does not answer.", code="STORE_UNREACHABLE")

    with house(tmp_path, Down()) as home:
        home.refused(home.client.get(VOICES), 503, "store_unreachable")


def test_the_document_tells_what_is_sent(home: House) -> None:
    told = home.client.get("/openapi.json").json()
    post = told["paths"][VOICES]["post"]
    schema = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert fields["required"] == ["name"]
    assert "octet-stream" in json.dumps(fields["properties"]["audio_sample"])
    assert {"201", "400", "409", "413", "503"} <= set(post["responses"])
