"""OpenAI's own client, sync and async, and requests as programs built on it send them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.http.house import House, house
from tests.http.sound import FORMATS, SHORT, events, heard_s, joined

SAID: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": SHORT}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), api_keys="a-key-of-the-tests-1234") as made:
        yield made


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[OpenAI]:
    with OpenAI(**connection(home), max_retries=0) as made:
        yield made


def connection(home: House) -> dict[str, Any]:
    """Where the server is, and the key to it."""
    return {"base_url": f"{home.url}/v1", "api_key": "a-key-of-the-tests-1234"}


def test_six_formats_last_as_long_as_the_wav(client: OpenAI) -> None:
    whole_s = heard_s(client.audio.speech.create(**SAID, response_format="wav").content, "wav")
    assert whole_s > 3
    for format in FORMATS:
        made = client.audio.speech.create(**SAID, response_format=format)
        assert heard_s(made.read(), format) == pytest.approx(whole_s, abs=0.12)


def test_files_are_streamed_to_disk(client: OpenAI, tmp_path: Path) -> None:
    plain = client.audio.speech.create(**SAID, response_format="flac", extra_body={"seed": 1})
    plain.write_to_file(tmp_path / "plain.flac")
    with client.audio.speech.with_streaming_response.create(
        **SAID, response_format="flac", extra_body={"seed": 1}
    ) as answer:
        assert answer.headers["x-f5-voice"] == "default"
        answer.stream_to_file(tmp_path / "streamed.flac")
    sizes = [(tmp_path / f"{name}.flac").stat().st_size for name in ("plain", "streamed")]
    assert sizes[0] == sizes[1] > 10_000


def test_pcm_comes_in_parts_of_any_size(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        **SAID, response_format="pcm"
    ) as answer:
        parts = list(answer.iter_bytes(1000))
    assert {len(part) for part in parts[:-1]} == {1000}
    assert b"".join(parts) == client.audio.speech.create(**SAID, response_format="pcm").content


def test_async_client_speaks_side_by_side(home: House) -> None:
    async def one(client: AsyncOpenAI, format: Any) -> bytes:
        async with client.audio.speech.with_streaming_response.create(
            **SAID, response_format=format
        ) as answer:
            return b"".join([part async for part in answer.iter_bytes()])

    async def story() -> list[bytes]:
        async with AsyncOpenAI(**connection(home), max_retries=0) as client:
            made = await client.audio.speech.create(**SAID)
            assert heard_s(await made.aread(), "mp3") > 3
            return await asyncio.gather(*(one(client, format) for format in FORMATS))

    for format, data in zip(FORMATS, asyncio.run(story()), strict=True):
        assert heard_s(data, format) > 3


def test_voices_speed_and_extra_fields(client: OpenAI) -> None:
    for voice in ("coral", {"id": "default"}, "default"):
        assert client.audio.speech.create(**SAID | {"voice": voice}).content
    slow, fast = (
        client.audio.speech.create(
            **SAID, response_format="pcm", speed=speed, extra_body={"quick_start": False}
        ).content
        for speed in (0.25, 4.0)
    )
    assert len(slow) > 10 * len(fast)
    for model in ("tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "tone"):
        assert client.audio.speech.create(**SAID | {"model": model}).content
    raw = client.audio.speech.with_raw_response.create(**SAID, instructions="Cheerfully.")
    assert "instructions is not used" in raw.headers["x-f5-warning"]


def test_models_that_are_listed_as_speaking_do(client: OpenAI) -> None:
    listed = [model for model in client.models.list() if model.model_dump()["state"] == "loaded"]
    assert {"tts-1", "tone"} <= {model.id for model in listed}
    for model in listed:
        assert client.audio.speech.create(**SAID | {"model": model.id}).content


@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"input": "a" * 4097}, openai.BadRequestError, "text_too_long", "input"),
        ({"speed": 9}, openai.BadRequestError, "bad_option", "speed"),
        ({"voice": "nobody"}, openai.NotFoundError, "voice_not_found", "voice"),
        ({"model": "whisper-1"}, openai.NotFoundError, "unknown_model", "model"),
    ],
)
def test_errors_are_the_client_s_own(
    client: OpenAI, fields: dict[str, Any], kind: type[openai.APIStatusError], code: str, param: str
) -> None:
    with pytest.raises(kind) as caught:
        client.audio.speech.create(**SAID | fields)
    assert caught.value.code == code
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] in caught.value.message


def test_a_wrong_key_is_an_authentication_error(home: House) -> None:
    with (
        OpenAI(base_url=f"{home.url}/v1", api_key="another-key", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.audio.speech.create(**SAID)
    assert caught.value.code == "invalid_api_key"


def test_a_retry_with_the_same_key_is_the_same_job(client: OpenAI) -> None:
    headers = {"Idempotency-Key": "again"}
    jobs = [
        client.audio.speech.with_raw_response.create(**SAID, extra_headers=headers).headers[
            "x-f5-job-id"
        ]
        for _ in range(2)
    ]
    assert jobs[0] == jobs[1]
    with pytest.raises(openai.ConflictError) as caught:
        client.audio.speech.create(**SAID | {"input": "Else."}, extra_headers=headers)
    assert caught.value.code == "job_id_conflict"


def test_voice_agents_that_read_events(client: OpenAI) -> None:
    """LiveKit asks so for every model but tts-1 and tts-1-hd; it looks at the content type."""
    audio, usage = b"", {}
    with client.audio.speech.with_streaming_response.create(
        input=SHORT,
        model="gpt-4o-mini-tts",
        voice="ash",
        response_format="mp3",
        speed=1.0,
        stream_format="sse",
        timeout=30,
    ) as answer:
        assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                audio += base64.b64decode(event.get("audio", ""))
                usage = event.get("usage", usage)
    assert heard_s(audio, "mp3") > 3
    assert usage["input_tokens"] == len(SHORT)
    plain = client.audio.speech.with_raw_response.create(**SAID, stream_format="audio")
    assert plain.headers["content-type"] == "audio/mpeg"


def test_chat_programs_that_pass_their_page_s_body_on(home: House) -> None:
    """Open WebUI sends what its page says and its own model; it tells who asks in headers."""
    answer = httpx.post(
        f"{home.url}/v1/audio/speech",
        json={"input": SHORT, "voice": "alloy", "model": "tts-1"},
        headers={
            "Authorization": "Bearer a-key-of-the-tests-1234",
            "X-OpenWebUI-User-Name": "Ana",
            "X-OpenWebUI-User-Role": "user",
        },
    )
    assert answer.headers["content-type"] == "audio/mpeg"
    assert heard_s(answer.content, "mp3") > 3


def test_events_by_the_plain_client(client: OpenAI) -> None:
    made = client.audio.speech.create(**SAID, response_format="pcm", stream_format="sse")
    assert heard_s(joined(events(made.text)), "pcm") > 3
