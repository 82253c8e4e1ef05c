"""POST /v1/audio/speech with a recording in the request, and at other sample rates."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.asr_types import Transcript
from f5serve.download.url import FetchLimits
from f5serve.http.routers.speech import least_bytes
from f5serve.http.speech_schemas import SpeechBody
from f5serve.store.memory import MemoryStore
from f5serve.types import Wave
from f5serve.voices.library import LibraryOptions
from f5serve.voices.prepare import Transcriber, prepare_voice
from tests.download.servers import Server, answer, network_to
from tests.http.house import HELLO, House, house
from tests.http.sound import FORMATS, LONG
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

FILE = base64.b64encode(recording()).decode()
OTHER_FILE = base64.b64encode(other_recording()).decode()


def clone(home: House, **fields: Any) -> httpx.Response:
    """The answer to HELLO in a recording in place of a voice."""
    body = {"model": "tts-1", "input": "Hello there.", "ref_audio": FILE, "ref_text": WORDS}
    return home.client.post("/v1/audio/speech", json=body | fields)


def done_record(home: House, made: httpx.Response) -> dict[str, Any]:
    record = home.service.store.get(f"jobs/{made.headers['x-f5-job-id']}/done.json")
    found: dict[str, Any] = json.loads(record)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,", "data:audio/x;codecs=1;base64,"])
def test_a_recording_in_the_request_is_the_voice(home: House, prefix: str) -> None:
    made = clone(home, ref_audio=prefix + FILE, response_format="wav")
    assert made.status_code == 200, made.text
    assert made.content[:4] == b"RIFF"
    assert "x-f5-voice" not in made.headers
    assert "not used" not in made.headers["x-f5-warning"]
    voice = done_record(home, made)["voice"]
    assert voice["revision"] == prepare_voice("x", recording(), WORDS).voice.revision
    assert voice["name"].startswith("recording-")


def test_nothing_keeps_the_recording(tmp_path: Path) -> None:
    store = MemoryStore()
    with house(tmp_path, store) as home:
        made = clone(home)
        assert made.status_code == 200
        for entry in store.list():
            data = store.get(entry.key)
            assert FILE[1000:1040].encode() not in data, entry.key
            assert recording()[1000:1040] not in data, entry.key
            assert not entry.key.startswith("voices/"), entry.key
        job = home.client.get(f"/v1/jobs/{made.headers['x-f5-job-id']}/result").json()
        assert job["voice"].startswith("recording-")
        assert len(home.client.get("/v1/audio/voices").json()["voices"]) == 1


def test_the_voice_decides_which_requests_are_the_same(home: House) -> None:
    def speak(key: str, **fields: Any) -> httpx.Response:
        body = {"model": "tts-1", "input": "Which?", "ref_audio": FILE, "ref_text": WORDS}
        headers = {"Idempotency-Key": key}
        return home.client.post("/v1/audio/speech", json=body | fields, headers=headers)

    first = speak("one")
    assert speak("one").headers["x-f5-job-id"] == first.headers["x-f5-job-id"]
    changed = speak("one", ref_audio=OTHER_FILE, ref_text=OTHER_WORDS)
    home.refused(changed, 409, "job_id_conflict")
    home.refused(speak("one", ref_text="Other words."), 409, "job_id_conflict")
    # Written in another way it is another request with the same result.
    again = speak("two", ref_audio="data:audio/wav;base64," + FILE)
    assert done_record(home, again)["cached"]
    other = speak("three", ref_audio=OTHER_FILE, ref_text=OTHER_WORDS)
    assert not done_record(home, other)["cached"]


def test_a_large_recording_passes_where_texts_do_not(home: House) -> None:
    large = base64.b64encode(recording() + b"\0" * 3_000_000).decode()
    made = clone(home, ref_audio=large, input="A large one.")
    assert made.status_code == 200, made.text
    job = home.client.post("/v1/jobs", json={"text": "Hi.", "ref_audio": large, "ref_text": WORDS})
    home.refused(job, 413, "body_too_large")


def test_a_voice_beside_it_is_not_used(home: House) -> None:
    made = clone(home, voice="nobody", instructions="Be cheerful.")
    assert made.status_code == 200  # clients of OpenAI's always send a voice
    warning = made.headers["x-f5-warning"]
    assert "voice is not used: ref_audio is the voice." in warning
    assert "instructions is not used" in warning
    warning = home.speak(ref_text="Words.", consent={"by": "Ana"}).headers["x-f5-warning"]
    assert "ref_text is not used: there is no ref_audio." in warning
    assert "consent is not used: there is no ref_audio." in warning


def test_speaker_is_another_name_of_voice(home: House) -> None:
    body = {"model": "tts-1", "input": "Hello there.", "speaker": "alloy"}
    made = home.client.post("/v1/audio/speech", json=body)
    assert made.headers["x-f5-voice"] == "default"
    assert home.speak(speaker="default").status_code == 200  # both, and equal
    two = home.speak(speaker="ana")
    assert "speaker is 'ana'" in home.refused(two, 400, "bad_option")
    home.refused(
        home.client.post("/v1/audio/speech", json=body | {"speaker": 7}), 400, "bad_option"
    )


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"ref_audio": ""}, 400, "bad_option", "ref_audio"),
        ({"ref_audio": 7}, 400, "bad_option", "ref_audio"),
        ({"ref_audio": "%%%"}, 400, "base64_invalid", "ref_audio"),
        ({"ref_audio": FILE[:-3]}, 400, "base64_invalid", "ref_audio"),
        ({"ref_audio": "data:audio/wav," + FILE}, 400, "base64_invalid", "ref_audio"),
        ({"ref_audio": "aGVsbG8="}, 400, "not_audio", "ref_audio"),
        ({"ref_audio": "https://x.example/" + "a" * 5000}, 400, "url_not_allowed", "ref_audio"),
        ({"ref_audio": "http://files.example/a.wav"}, 400, "url_not_allowed", "ref_audio"),
        ({"ref_audio": "https://127.0.0.1/a.wav"}, 400, "url_not_allowed", "ref_audio"),
        ({"ref_audio": "https://169.254.169.254/"}, 400, "url_not_allowed", "ref_audio"),
        ({"ref_audio": "file:///etc/passwd"}, 400, "url_not_allowed", "ref_audio"),
        ({"ref_text": ""}, 400, "ref_text_required", "ref_text"),
        ({"ref_text": None}, 400, "ref_text_required", "ref_text"),
        ({"ref_text": "x" * 20_000}, 400, "bad_option", "ref_text"),
        ({"ref_text": WORDS * 40}, 400, "ref_text_mismatch", "ref_text"),
        ({"style": "happy"}, 404, "style_not_found", "style"),
        ({"consent": {"by": 7}}, 400, "bad_option", "consent.by"),
    ],
)
def test_what_cannot_be_cloned_is_told_with_its_field(
    home: House, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    refused = clone(home, **fields)
    message = home.refused(refused, status, code)
    assert refused.json()["error"]["param"] == param
    assert len(message) < 500
    assert not {"etc", "169.254"} & set(message.split("/"))


def test_a_library_may_ask_for_consent(tmp_path: Path) -> None:
    with house(tmp_path, require_consent=True) as home:
        refused = clone(home)
        assert "consent.by" in home.refused(refused, 400, "consent_required")
        assert refused.json()["error"]["param"] == "consent"
        home.refused(clone(home, consent={"by": "Ana", "attested": False}), 400, "consent_required")
        assert clone(home, consent={"by": "Ana Example"}).status_code == 200
        assert home.speak().status_code == 200


def test_words_are_written_once_by_the_recogniser(tmp_path: Path) -> None:
    heard: list[float] = []

    def transcribe(wave: Wave, language: str) -> Transcript:
        heard.append(wave.duration_s)
        return Transcript(WORDS, "en", 0.9)

    with house(tmp_path, hearing=Transcriber(transcribe=transcribe)) as home:
        for text in ("One.", "Two.", "Three."):
            assert clone(home, ref_text=None, input=text).status_code == 200
        assert len(heard) == 1
        made = clone(home, ref_text=None, input="Four.")
        revision = prepare_voice("x", recording(), WORDS).voice.revision
        assert done_record(home, made)["voice"]["revision"] == revision


def test_a_url_is_fetched_and_prepared_once(tmp_path: Path) -> None:
    def reply(connection: Any, request: bytes) -> None:
        connection.sendall(answer(recording()))

    with Server(reply) as server:
        options = LibraryOptions(
            fetch_limits=FetchLimits(allow_http=True), network=network_to(server.port)
        )
        url = f"http://files.example:{server.port}/ana.wav?signature=s3cret"
        with house(tmp_path, library=options, allow_http_urls=True) as home:
            made = clone(home, ref_audio=url)
            assert made.status_code == 200, made.text
            record = done_record(home, made)
            assert record["voice"]["name"].startswith("url-")
            assert "s3cret" not in json.dumps(record)
            # The file itself, sent inline, is the same voice.
            assert done_record(home, clone(home))["cached"]
            refused = home.speak(voice=url)
            assert "ref_audio" in home.refused(refused, 400, "bad_voice_name")


def test_a_queue_takes_urls_only(home: House) -> None:
    job = {"text": "Hello there.", "ref_audio": FILE, "ref_text": WORDS}
    refused = home.client.post("/v1/jobs", json=job)
    message = home.refused(refused, 400, "ref_audio_not_queued")
    assert FILE[:30] not in message
    url = {"ref_audio": "https://files.example/a.wav", "ref_text": WORDS}
    assert home.client.post("/v1/jobs", json={"text": "Hi."} | url).status_code == 202
    both = home.client.post("/v1/jobs", json={"text": "Hi.", "voice": "default"} | url)
    assert "ref_audio" in home.refused(both, 400, "bad_option")
    assert HELLO["voice"] == "default"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_a_file_has_the_sample_rate_that_is_asked_for(home: House, format: str, rate: int) -> None:
    asked = {"input": LONG, "response_format": format, "sample_rate": rate}
    made = home.speak(**asked)
    assert made.status_code == 200
    job = f"/v1/jobs/{made.headers['x-f5-job-id']}"
    kept = home.client.get(f"{job}/audio").content
    assert home.client.get(f"{job}/result").json()["sample_rate"] == rate
    if format == "wav":
        assert made.content[44:] == kept[44:]
    else:  # the first frame of an mp3 tells its length
        assert kept.endswith(made.content)
    again = home.speak(**asked)
    assert again.content == kept
    if format in ("pcm", "wav"):
        assert int.from_bytes(kept[24:28], "little") == rate or format == "pcm"
        usual = home.speak(input=LONG, response_format=format).content
        assert len(kept) == pytest.approx(len(usual) * rate / 24_000, rel=0.01)
    body = SpeechBody.model_validate(HELLO | asked)
    assert least_bytes(body) < len(kept)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sample_rate": 7_999}, "bad_option"),
        ({"sample_rate": 48_001}, "bad_option"),
        ({"sample_rate": "16000"}, "bad_option"),
        ({"sample_rate": 16_000.5}, "bad_option"),
        ({"sample_rate": 11_111}, "sample_rate_not_supported"),
        ({"sample_rate": 44_100, "response_format": "opus"}, "sample_rate_not_supported"),
    ],
)
def test_other_sample_rates_are_refused(home: House, fields: dict[str, Any], code: str) -> None:
    spoken = len(home.tone.spoken)
    refused = home.speak(**fields)
    home.refused(refused, 400, code)
    assert refused.json()["error"]["param"] == "sample_rate"
    assert len(home.tone.spoken) == spoken
    job = {"text": "Hi.", "response_format": "mp3"} | fields
    home.refused(home.client.post("/v1/jobs", json=job), 400, code)
