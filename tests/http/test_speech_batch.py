"""POST /v1/audio/speech/batch: results in order, each a job of its own, within bounds."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.audio.encode import SAMPLE_RATES
from f5serve.http.routers.speech_batch import MAX_BATCH_CHARS, PARALLEL
from f5serve.http.speech_schemas import MAX_ITEMS, SpeechBatch, SpeechBody
from f5serve.secrets import digest
from tests.http.house import House, house
from tests.http.sound import LONG
from tests.service.house import CountingTone
from tests.voices.material import WORDS, recording


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


def ask(home: House, *items: Any, **fields: Any) -> httpx.Response:
    body = {"voice": "default", "items": list(items)} | fields
    return home.client.post("/v1/audio/speech/batch", json=body)


def test_each_item_is_what_it_is_alone(home: House) -> None:
    texts = ["Hello there.", LONG, "Three."]
    answer = ask(home, *({"input": text} for text in texts), response_format="pcm", seed=3)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (told["total"], told["succeeded"], told["failed"]) == (3, 3, 0)
    for index, (text, result) in enumerate(zip(texts, told["results"], strict=True)):
        assert (result["index"], result["status"], result["error"]) == (index, "success", None)
        alone = home.speak(input=text, response_format="pcm", seed=3, quick_start=False)
        assert base64.b64decode(result["audio_data"]) == alone.content
        assert (result["media_type"], result["sample_rate"]) == ("audio/pcm", 24_000)
        assert result["duration"] == pytest.approx(len(alone.content) / 48_000, abs=0.001)
        assert result["word_timestamps"] is None
        assert home.client.get(result["links"]["audio"]).content == alone.content
        job = home.client.get(result["links"]["self"]).json()
        assert (job["job_id"], job["status"]) == (result["job_id"], "COMPLETED")


def test_an_item_says_what_is_its_own(home: House) -> None:
    answer = ask(
        home,
        {"input": "One.", "response_format": "wav", "sample_rate": 8_000},
        {"input": "Two three.", "word_timestamps": True, "colour": "red"},
        sample_rate=16_000,
        response_format="flac",
        model="tts-1",
    )
    first, second = answer.json()["results"]
    assert base64.b64decode(first["audio_data"])[24:28] == (8_000).to_bytes(4, "little")
    assert (second["media_type"], second["sample_rate"]) == ("audio/flac", 16_000)
    assert [word["word"] for word in second["word_timestamps"]] == ["Two", "three."]
    assert "The field 'colour' is not known." in second["warnings"]


def test_an_item_that_fails_stops_no_other(home: House) -> None:
    items = [{"input": "One."}, {"input": "Two.", "voice": "nobody"}, {"input": " ... "}]
    told = ask(home, *items, {"input": "Four.", "model": "gpt-7"}, {"input": "Five."}).json()
    assert (told["total"], told["succeeded"], told["failed"]) == (5, 2, 3)
    codes = [result["error"] and result["error"]["code"] for result in told["results"]]
    assert codes == [None, "voice_not_found", "empty_text", "unknown_model", None]
    params = [result["error"] and result["error"]["param"] for result in told["results"]]
    assert params == [None, "voice", "input", "model", None]
    assert all(
        (result["audio_data"] is None) is bool(result["error"]) for result in told["results"]
    )


def test_a_recording_of_the_batch_speaks_all_items(home: House) -> None:
    file = base64.b64encode(recording()).decode()
    items = [{"input": "One."}, {"input": "Two.", "voice": "default"}]
    answer = ask(home, *items, voice=None, ref_audio=file, ref_text=WORDS)
    first, second = answer.json()["results"]
    result = home.client.get(first["links"]["result"]).json()
    assert result["voice"].startswith("recording-")
    assert home.client.get(second["links"]["result"]).json()["voice"] == "default"
    assert not any("not used" in warning for warning in second["warnings"])


def test_what_an_item_does_not_take_from_the_batch() -> None:
    batch = SpeechBatch.model_validate(
        {
            "ref_audio": "UklG",
            "ref_text": "Words.",
            "consent": {"by": "Ana"},
            "seed": 7,
            "items": [{"input": "a"}, {"input": "b", "speaker": "ben"}, {"input": "c", "seed": 8}],
        }
    )
    first, second, third = batch.bodies()
    assert (first.ref_audio, first.ref_text, first.seed) == ("UklG", "Words.", 7)
    assert (second.ref_audio, second.ref_text, second.consent) == (None, None, None)
    assert (second.speaker, second.seed) == ("ben", 7)
    assert (third.ref_audio, third.seed) == ("UklG", 8)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"items": []}, "bad_option", "items"),
        ({}, "bad_option", "items"),
        ({"items": [{"input": "Hi."}] * (MAX_ITEMS + 1)}, "bad_option", "items"),
        ({"items": [{"input": "Hi."}, {"input": ""}]}, "bad_option", "items.1.input"),
        ({"items": [{"input": "Hi.", "speed": 9}]}, "bad_option", "items.0.speed"),
        ({"items": [{"input": "Hi.", "stream_format": "sse"}]}, "bad_option", "stream_format"),
        ({"items": [{"input": "Hi."}], "input": "Hi."}, "bad_option", "input"),
        ({"items": [{"input": "x" * 2_000}] * 17}, "text_too_long", "input"),
        ({"items": ["Hi."]}, "bad_option", "items.0"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_whole(
    home: House, body: dict[str, Any], code: str, param: str
) -> None:
    assert MAX_BATCH_CHARS < 34_000
    spoken = len(home.tone.spoken)
    answer = home.client.post("/v1/audio/speech/batch", json={"voice": "default"} | body)
    home.refused(answer, 400, code)
    assert answer.json()["error"]["param"] == param
    assert len(home.tone.spoken) == spoken


def test_the_answer_is_bounded(tmp_path: Path) -> None:
    with house(tmp_path, max_answer_mb=2, openai_max_chars=10_000) as home:
        text = LONG[: len(LONG) // 2]
        items = [{"input": text}, {"input": f"{text} Again."}, {"input": "Short."}]
        answer = ask(home, *items, response_format="wav")
        first, second, third = answer.json()["results"]
        assert len(answer.content) < 2_000_000
        assert first["audio_data"]
        assert second["status"] == "success"
        assert second["audio_data"] is None
        assert third["audio_data"]
        assert home.client.get(second["links"]["audio"]).content[:4] == b"RIFF"


def test_a_key_gives_the_same_jobs(home: House) -> None:
    def send(text: str) -> list[dict[str, Any]]:
        body = {"voice": "default", "items": [{"input": "Same."}, {"input": text}]}
        headers = {"Idempotency-Key": "batch-1"}
        answer = home.client.post("/v1/audio/speech/batch", json=body, headers=headers)
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    first, second = send("One."), send("One.")
    assert [each["job_id"] for each in first] == [each["job_id"] for each in second]
    assert [each["audio_data"] for each in first] == [each["audio_data"] for each in second]
    other = send("Two.")
    assert other[0]["status"] == "success"
    assert other[1]["error"]["code"] == "job_id_conflict"


def test_no_more_than_some_items_are_under_way(tmp_path: Path) -> None:
    keys = f"ana:{digest(b'secret-of-ana-1234').hex()}"
    for settings, most in (({}, PARALLEL), ({"key_concurrency": 2, "api_keys": keys}, 2)):
        with house(tmp_path / str(most), **settings) as home, ThreadPoolExecutor(1) as pool:
            home.client.headers["Authorization"] = "Bearer secret-of-ana-1234"
            home.tone.hold()
            items = [{"input": f"Number {n}."} for n in range(8)]
            waiting = pool.submit(ask, home, *items)
            assert home.tone.at_work.wait(60)
            wait_for(lambda home=home, most=most: running(home) == most)
            threading.Event().wait(0.3)
            assert running(home) == most
            home.tone.release()
            assert waiting.result(60).json()["succeeded"] == 8


def test_who_leaves_stops_what_is_not_done(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.tone.hold()
        body = {"voice": "default", "items": [{"input": f"Number {n}."} for n in range(8)]}
        with pytest.raises(httpx.ReadTimeout):
            home.client.post("/v1/audio/speech/batch", json=body, timeout=1.0)
        home.tone.release()
        wait_for(lambda: running(home) == 0)
        assert len(home.tone.spoken) <= PARALLEL
        assert home.speak().status_code == 200


def test_time_is_for_all_together(tmp_path: Path) -> None:
    with house(tmp_path, tone=CountingTone(cost_s=9.0), request_timeout_s=2.0) as home:
        began = time.monotonic()
        told = ask(home, *({"input": f"Number {n}."} for n in range(12))).json()
        assert time.monotonic() - began < 30
        codes = {result["error"]["code"] for result in told["results"]}
        assert codes <= {"deadline_passed", "busy"}
        assert told["failed"] == 12


def test_the_guide_shows_what_works(home: House) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "cloning.md"
    text = guide.read_text()
    alone, batch = (json.loads(body) for body in re.findall(r"-d '(.*?)'", text))
    assert SpeechBody.model_validate(alone).voice_name() == ""
    answer = home.client.post("/v1/audio/speech/batch", json=batch)
    assert answer.json()["succeeded"] == 2
    assert f"up to {MAX_ITEMS} texts, of {MAX_BATCH_CHARS:,} characters" in text
    for rates in SAMPLE_RATES.values():
        assert f"| {', '.join(map(str, rates))} |" in text


def running(home: House) -> int:
    found = home.client.get("/v1/jobs", params={"limit": 50}).json()["jobs"]
    return sum(job["status"] == "PROCESSING" for job in found)


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
