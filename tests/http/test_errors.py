"""Every error has OpenAI's shape and a fitting status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from f5serve.errors import EngineFailed, F5Error, InvalidRequest, ModelUnavailable, StorageFailed
from f5serve.http.errors import error_response, status_of
from tests.http.house import house


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("x.", code="BAD_OPTION"), 400),
        (InvalidRequest("x.", code="VOICE_NOT_FOUND"), 404),
        (ModelUnavailable("x.", code="MODEL_MISSING"), 503),
        (StorageFailed("x.", code="NO_SPACE"), 503),
        (EngineFailed("x.", code="NOT_FINITE"), 500),
        (F5Error("x.", code="BUSY"), 503),
    ],
)
def test_status_fits(error: F5Error, status: int) -> None:
    assert status_of(error) == status


def test_a_fault_tells_nothing_but_its_trace_id() -> None:
    answer = error_response(ValueError("/secret/path"))
    assert answer.status_code == 500
    assert b"secret" not in answer.body
    assert b"trace id" in answer.body


def test_unknown_routes_and_methods_are_told(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        assert "/v1/nothing" in home.refused(home.client.get("/v1/nothing"), 404, "no_such_route")


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/jobs"])
def test_a_body_that_does_not_call_itself_json_is_told_how_to(tmp_path: Path, path: str) -> None:
    body = b'{"model": "tts-1", "voice": "default", "input": "Hello."}'
    with house(tmp_path) as home:
        for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
            answer = home.client.post(path, content=body, headers={"Content-Type": kind})
            said = home.refused(answer, 415, "not_json")
            assert kind in said
            assert "Content-Type: application/json" in said
        broken = home.client.post(path, content=body[:-1], headers={"Content-Type": "text/json"})
        home.refused(broken, 415, "not_json")
        typed = {"Content-Type": "application/json; charset=utf-8"}
        answer = home.client.post(path, content=body[:-2], headers=typed)
        assert "line 1, column 49: unterminated string." in home.refused(
            answer, 400, "invalid_json"
        )
        assert answer.json()["error"]["param"] is None


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/jobs"])
def test_a_body_that_is_no_object_is_told_what_it_is(tmp_path: Path, path: str) -> None:
    said = {b"[1]": "a list", b'"hi"': "a text", b"5": "a number", b"null": "null", b"": "empty"}
    typed = {"Content-Type": "application/json"}
    with house(tmp_path) as home:
        for body, kind in said.items():
            answer = home.client.post(path, content=body, headers=typed)
            assert f"The body is {kind}; this route takes a JSON object" in home.refused(
                answer, 400, "bad_option"
            )


def test_a_text_where_a_file_belongs_is_told_how_to_send_one(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        answer = home.client.post(
            "/v1/audio/voices",
            files={"name": (None, "ana"), "audio_sample": (None, "ana.wav")},
        )
        said = home.refused(answer, 400, "bad_option")
        assert said.startswith("audio_sample is 'ana.wav': It takes a file; ")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/jobs?limit=" + "1" * 60_000, {}, 414, "url_too_long"),
        ("/ping?" + "a&" * 5_000, {}, 414, "url_too_long"),
        ("/v1/jobs/" + "a" * 9_000, {}, 414, "url_too_long"),
        ("/ping", {f"a{n}": "b" for n in range(250)}, 431, "too_many_headers"),
    ],
)
def test_long_heads_are_refused(
    tmp_path: Path, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    with house(tmp_path) as home:
        home.refused(home.client.get(path, headers=headers), status, code)


def test_head_is_get_without_the_body(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        job_id = home.speak().headers["X-F5-Job-Id"]
        at = f"/v1/jobs/{job_id}"
        missing = ("/v1/jobs/none", "/v1/audio/voices/none", "/nothing")
        there = ("/ping", "/health", "/metrics", "/docs", "/openapi.json", "/", "/v1/audio/voices")
        of_a_job = (at, f"{at}/result", f"{at}/audio", "/v1/jobs")
        for path in (*there, *of_a_job, "/v1/models", "/v1/models/tts-1", *missing):
            asked, got = home.client.head(path), home.client.get(path)
            assert asked.status_code == got.status_code, path
            assert asked.content == b""
            assert asked.headers["Content-Type"] == got.headers["Content-Type"]
        assert home.client.head("/v1/audio/speech").status_code == 405


def test_hints_speak_of_routes(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        said = [
            home.refused(home.speak(voice="nobody"), 404, "voice_not_found"),
            home.refused(home.client.get("/v1/audio/voices/nobody"), 404, "voice_not_found"),
            home.refused(home.client.delete("/v1/audio/voices/nobody"), 404, "voice_not_found"),
        ]
        for each in said:
            assert "See GET /v1/audio/voices for all names" in each
        unknown = home.client.get("/v1/jobs/nobody").json()["error"]["message"]
        assert "platform" not in unknown
        assert not re.search(r"\b(list|upload|delete)_voice", " ".join([*said, unknown]))
