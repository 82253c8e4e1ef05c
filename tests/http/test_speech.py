"""POST /v1/audio/speech: what it takes, what it refuses, and what its answers say of themselves."""

from __future__ import annotations

import hashlib
import io
import json
import time
import wave as stdlib_wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.audio.encode import MEDIA_TYPES, encode
from f5serve.errors import StorageFailed
from f5serve.fallback.kokoro import Kokoro
from f5serve.http.routers.speech import least_bytes
from f5serve.http.speech_schemas import SpeechBody
from f5serve.http.voice_names import OPENAI_VOICES, alias_of
from f5serve.secrets import digest
from f5serve.store.local import LocalStore
from f5serve.store.memory import MemoryStore
from f5serve.voices.prepare import default_voice
from tests.conftest import IS_FULL
from tests.http.house import HELLO, House, house
from tests.http.sound import FORMATS, LONG, SHORT, events, heard_s, joined, samples_of
from tests.service.house import CountingTone
from tests.voices.material import WORDS, recording


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), openai_max_chars=600) as made:
        yield made


def keep(home: House, name: str) -> None:
    """Put the packaged recording into the library under another name."""
    voice = default_voice()
    home.service.voices.put(name, encode(voice.wave, "wav"), voice.ref_text, "en")


def test_a_file_of_one_utterance_is_whole_and_tells_its_length(home: House) -> None:
    for format in FORMATS:
        answer = home.speak(response_format=format)
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["content-type"] == MEDIA_TYPES[format]  # type: ignore[index]
        assert heard_s(answer.content, format) == pytest.approx(0.72, abs=0.1)
    made = home.speak(response_format="wav")
    with stdlib_wave.open(io.BytesIO(made.content)) as file:
        assert file.getnframes() == 0.72 * 24_000


def test_mp3_is_what_comes_without_a_format(home: House) -> None:
    assert home.speak().headers["content-type"] == "audio/mpeg"
    assert home.speak(response_format=None, speed=None, seed=None).status_code == 200


def test_an_answer_says_what_it_is(home: House) -> None:
    headers = home.speak().headers
    assert headers["x-f5-voice"] == "default"
    assert headers["x-f5-warning"] == "This is a test tone, not speech."
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    status = home.client.get(f"/v1/jobs/{headers['x-f5-job-id']}").json()
    assert status["status"] == "COMPLETED"  # as soon as the answer has ended


def test_what_is_said_in_vain_is_told(home: House) -> None:
    unknown = {f"field{n}": n for n in range(7)} | {"ä\n" * 60: 1}
    warning = home.speak(instructions="Whisper.", **unknown).headers["x-f5-warning"]
    assert warning.startswith("instructions is not used: ")
    assert "'field0' is not known." in warning
    assert "Nor are 3 more." in warning
    assert warning.isascii()
    odd = home.speak(**{"ä\n" * 60: 1}).headers["x-f5-warning"]
    assert r"'\xe4\n\xe4" in odd


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_streamed_is_what_the_job_keeps(home: House, format: str) -> None:
    answer = home.speak(input=LONG, response_format=format)
    # What libsndfile does not read without its length is sent once that is known.
    assert ("content-length" in answer.headers) == (format == "flac")
    kept = home.client.get(f"/v1/jobs/{answer.headers['x-f5-job-id']}/audio").content
    if format == "wav":
        assert len(answer.content) == len(kept)
        assert answer.content[44:] == kept[44:]
    else:
        frame_of_lengths = 192 if format == "mp3" else 0
        assert answer.content == kept[frame_of_lengths:]
    # Asked again, it comes as the file that is kept.
    again = home.speak(input=LONG, response_format=format)
    assert again.content == kept
    assert int(again.headers["content-length"]) == len(kept)


def test_sse_is_deltas_and_what_was_used(home: House) -> None:
    for text in ("Hello you.", LONG):
        plain = home.speak(input=text, response_format="pcm", seed=5).content
        answer = home.speak(input=text, response_format="pcm", seed=5, stream_format="sse")
        assert answer.headers["content-type"] == "text/event-stream"
        assert "content-length" not in answer.headers
        told = events(answer.text)
        assert joined(told) == plain
        assert max(map(len, answer.text.splitlines())) < 64 * 1024
        frames = round(len(plain) / 2 / 256)
        assert told[-1] == {
            "type": "speech.audio.done",
            "usage": {
                "input_tokens": len(text),
                "output_tokens": frames,
                "total_tokens": len(text) + frames,
            },
        }


def test_stream_format_audio_is_the_plain_answer(home: House) -> None:
    assert home.speak(stream_format="audio").content == home.speak().content


def test_speed_and_sampling_are_passed_on(home: House) -> None:
    slow, fast = (
        home.speak(response_format="pcm", speed=speed, quick_start=False) for speed in (0.25, 4)
    )
    assert len(slow.content) == 16 * len(fast.content)
    fields: dict[str, Any] = {
        "nfe_step": 7,
        "cfg_strength": 1.5,
        "sway_sampling_coef": 0,
        "cross_fade_s": 0.0,
        "remove_silence": True,
        "return_word_timings": True,
        "timing_format": ["srt", "vtt"],
        "quick_start": False,
        "seed": 11,
    }
    answer = home.speak(input="One two three.", **fields)
    assert answer.status_code == 200
    assert "field" not in answer.headers["x-f5-warning"]
    result = home.client.get(f"/v1/jobs/{answer.headers['x-f5-job-id']}/result").json()
    assert result["seed"] == 11
    assert [word["word"] for word in result["word_timings"]] == ["One", "two", "three."]
    assert set(result["timing_files"]) == {"srt", "vtt"}
    plain = home.speak(input="One two three four.")
    result = home.client.get(f"/v1/jobs/{plain.headers['x-f5-job-id']}/result").json()
    assert result["word_timings"] == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"input": ""}, 400, "bad_option", "input"),
        ({"input": "a" * 601}, 400, "text_too_long", "input"),
        ({"input": " ... "}, 400, "empty_text", "input"),
        ({"input": 7}, 400, "bad_option", "input"),
        ({"model": ""}, 400, "bad_option", "model"),
        ({"model": "gpt-7"}, 404, "unknown_model", "model"),
        ({"voice": "nobody"}, 404, "voice_not_found", "voice"),
        ({"voice": {"id": "nobody"}}, 404, "voice_not_found", "voice"),
        ({"voice": {"id": "default", "name": "x"}}, 400, "bad_option", "voice"),
        ({"voice": {"name": "default"}}, 400, "bad_option", "voice"),
        ({"voice": ["default"]}, 400, "bad_option", "voice"),
        ({"voice": "../etc/passwd"}, 400, "bad_voice_name", "voice"),
        ({"voice": "http://127.0.0.1/x.wav"}, 400, "bad_voice_name", "voice"),
        ({"speed": 0.24}, 400, "bad_option", "speed"),
        ({"speed": 4.01}, 400, "bad_option", "speed"),
        ({"speed": "1"}, 400, "bad_option", "speed"),
        ({"speed": True}, 400, "bad_option", "speed"),
        ({"response_format": "ogg"}, 400, "bad_option", "response_format"),
        ({"stream_format": "ndjson"}, 400, "bad_option", "stream_format"),
        ({"seed": 1.5}, 400, "bad_option", "seed"),
        ({"seed": -1}, 400, "bad_option", "seed"),
        ({"input": "Say [pinyin:xyz9]."}, 400, "bad_pinyin", "input"),
        ({"normalize": "dates"}, 400, "bad_option", "normalize"),
        ({"normalize": ["dates"]}, 400, "bad_option", "normalize.0"),
        ({"timing_format": "doc"}, 400, "bad_option", "timing_format"),
        ({"verify": 1}, 400, "bad_option", "verify"),
        ({"verify": True}, 501, "recogniser_not_installed", "verify"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_field(
    home: House, fields: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    answer = home.speak(**fields)
    assert home.refused(answer, status, code)
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")


def test_half_a_character_is_told(home: House) -> None:
    body = json.dumps(HELLO | {"input": "Half \ud83d a smile."})
    answer = home.client.post(
        "/v1/audio/speech", content=body, headers={"Content-Type": "application/json"}
    )
    assert "'input' holds half" in home.refused(answer, 400, "bad_unicode")
    assert answer.json()["error"]["param"] == "input"


@pytest.mark.parametrize("name", ["input", "model", "voice"])
def test_three_fields_have_to_be_there(home: House, name: str) -> None:
    body = {field: value for field, value in HELLO.items() if field != name}
    home.refused(home.client.post("/v1/audio/speech", json=body), 400, "bad_option")


def test_a_name_of_openais_means_what_the_setting_says(tmp_path: Path) -> None:
    with house(tmp_path, openai_voices="alloy=ana, nova=ben, speaker-9=ana") as home:
        keep(home, "ana")
        assert home.speak(voice="alloy").headers["x-f5-voice"] == "ana"
        assert home.speak(voice={"id": "speaker-9"}).headers["x-f5-voice"] == "ana"
        home.refused(home.speak(voice="nova"), 404, "voice_not_found")  # there is no ben
        home.refused(home.speak(voice="echo"), 404, "voice_not_found")
        # A voice of the library wins, as soon as it is there.
        keep(home, "alloy")
        assert home.speak(voice="alloy").headers["x-f5-voice"] == "alloy"
        home.service.voices.delete("alloy")
        assert home.speak(voice="Alloy").headers["x-f5-voice"] == "ana"


def test_all_names_of_openais_speak_without_a_setting(home: House) -> None:
    assert len(OPENAI_VOICES) == 13
    assert {home.speak(voice=name).headers["x-f5-voice"] for name in OPENAI_VOICES} == {"default"}
    assert {alias_of("*=default", name) for name in OPENAI_VOICES} == {"default"}
    assert alias_of("*=default", "ana") is None
    assert home.speak(voice={"id": "marin"}).status_code == 200


@pytest.mark.slow
def test_all_names_of_openais_sound_different_with_the_stand_in(tmp_path: Path) -> None:
    kokoro, names = Kokoro(), OPENAI_VOICES if IS_FULL else ("echo", "marin", "nova")
    with house(tmp_path, engine=kokoro) as home:
        said = {name: home.speak(voice=name, seed=1) for name in names}
        assert [one.headers["x-f5-voice"] for one in said.values()] == list(names)
        assert len({one.content for one in said.values()}) == len(names)
        assert home.speak(voice="Nova", seed=1).content == said["nova"].content
        assert home.speak(voice="jm_kumo", seed=1).content == said["echo"].content
        # A voice of the library wins, and has the stand-in's voice that its pitch is nearest to.
        keep(home, "nova")
        assert home.speak(voice="nova", seed=1).content != said["nova"].content
    with house(tmp_path, engine=kokoro, openai_voices="nova=echo, *=default") as home:
        assert home.speak(voice="nova", seed=1).content == said["echo"].content
        assert home.speak(voice="echo", seed=1).headers["x-f5-voice"] == "default"


def test_a_seed_gives_equal_bytes(tmp_path: Path) -> None:
    with house(tmp_path, result_cache=False) as home:
        for format in FORMATS:
            first, second = (
                home.speak(input=SHORT, response_format=format, seed=3).content for _ in range(2)
            )
            if format == "opus":  # a stream of Ogg has a number of its own
                assert (samples_of(first) == samples_of(second)).all()
            else:
                assert first == second
        assert home.speak(seed=3).content == home.speak(seed=3).content != home.speak().content


def test_a_caller_who_gets_the_sound_has_no_urls_signed(tmp_path: Path) -> None:
    signed: list[str] = []

    class Signing(MemoryStore):
        def url(self, key: str, *args: Any, **named: Any) -> str:
            signed.append(key)
            return super().url(key, *args, **named)

    with house(tmp_path, Signing()) as home:
        for form in ({}, {"stream_format": "sse", "response_format": "mp3"}):
            assert home.speak(**form).status_code == 200
        assert not signed


def test_a_key_gives_one_job(home: House) -> None:
    def speak(key: str, **fields: Any) -> Any:
        headers = {"Idempotency-Key": key}
        return home.client.post("/v1/audio/speech", json=HELLO | fields, headers=headers)

    first, second = speak("one"), speak("one")
    assert first.headers["x-f5-job-id"] == second.headers["x-f5-job-id"]
    assert first.content == second.content
    assert speak("two").headers["x-f5-job-id"] != first.headers["x-f5-job-id"]
    home.refused(speak("one", input="Something else."), 409, "job_id_conflict")
    home.refused(speak("x" * 256), 400, "bad_idempotency_key")


def test_a_key_belongs_to_its_caller(tmp_path: Path) -> None:
    with house(tmp_path, api_keys="secret-of-ana-1234,secret-of-ben-1234") as home:
        jobs = {
            home.client.post(
                "/v1/audio/speech",
                json=HELLO,
                headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "one"},
            ).headers["x-f5-job-id"]
            for key in ("secret-of-ana-1234", "secret-of-ben-1234")
        }
        assert len(jobs) == 2
        guessed = hashlib.sha256(b"key-1\0one").hexdigest()[:40]
        assert f"key-{guessed}" not in jobs  # by the key's name, which is no secret


def test_whose_each_record_is_stays_with_it(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    settings = {"api_keys": f"secret-of-ana-1234,ben:{digest(b'secret-of-ben').hex()}"}
    with house(tmp_path, store, **settings) as home:
        for key, name in (("secret-of-ana-1234", "ana"), ("secret-of-ben", "ben")):
            home.tone.hold()
            sent = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
            job = {"text": f"For {name}."}
            answer = home.client.post("/v1/jobs", json=job, headers=sent)
            assert answer.status_code == 202
            new = {"name": name, "ref_text": WORDS}
            files = {"audio_sample": ("a.wav", recording(), "audio/wav")}
            voice = home.client.post("/v1/audio/voices", data=new, files=files, headers=sent)
            assert voice.status_code in (200, 201), voice.text
            waits = json.loads(store.get(f"queue/{answer.json()['job_id']}.json"))
            state = json.loads(store.get(f"jobs/{answer.json()['job_id']}/state.json"))
            owner = waits["owner"]
            assert state["owner"] == owner
            assert json.loads(store.get(f"voices/_records/{name}.json"))["owner"] == owner
            assert owner == "ben" if name == "ben" else owner.startswith("clear-")
            home.tone.release()
            at = f"/v1/jobs/{answer.json()['job_id']}"
            while home.client.get(at, headers=sent).json()["status"] != "COMPLETED":
                time.sleep(0.02)
            done = json.loads(store.get(f"jobs/{answer.json()['job_id']}/done.json"))
            assert done["owner"] == owner
        del sent["Idempotency-Key"]
        speech = home.client.post("/v1/audio/speech", json=HELLO, headers=sent)
        done = json.loads(store.get(f"jobs/{speech.headers['x-f5-job-id']}/done.json"))
        assert done["owner"] == "ben"


def test_a_long_line_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    tone = CountingTone(cost_s=9.0)
    with house(tmp_path, tone=tone, max_queue_s=1.0) as home, ThreadPoolExecutor(1) as pool:
        tone.hold()
        waiting = pool.submit(give_up, home)
        assert tone.at_work.wait(60)
        answer = home.speak(input="And I?")
        home.refused(answer, 503, "busy")
        assert int(answer.headers["retry-after"]) > 0
        tone.release()
        waiting.result()


def give_up(home: House) -> None:
    """Ask for speech and leave after a second."""
    with pytest.raises(httpx.ReadTimeout):
        home.client.post("/v1/audio/speech", json=HELLO, timeout=1.5)


def test_speech_that_takes_too_long_is_a_504(tmp_path: Path) -> None:
    with house(tmp_path, tone=CountingTone(cost_s=9.0), request_timeout_s=1.0) as home:
        home.refused(home.speak(), 504, "deadline_passed")


def test_what_cannot_reach_the_caller_is_refused_at_once(tmp_path: Path) -> None:
    with house(tmp_path, max_answer_mb=1) as home:
        text = "A long text. " * 100
        home.refused(home.speak(input=text, response_format="wav"), 413, "answer_too_large")
        assert not home.tone.spoken
        assert home.speak(input=text).status_code == 200
        slow = home.speak(input=text, speed=0.25, response_format="flac", stream_format="sse")
        assert slow.status_code == 200


def test_estimates_are_below_what_is_made(home: House) -> None:
    for format in FORMATS:
        body = HELLO | {"input": LONG, "response_format": format}
        made = home.speak(**body)
        assert least_bytes(SpeechBody.model_validate(body)) < len(made.content)


class Full(MemoryStore):
    """Takes no audio any more."""

    def put(self, key: str, data: bytes, content_type: str = "") -> None:
        if key.startswith("output/"):
            raise StorageFailed("The disk is full.", code="NO_SPACE")
        super().put(key, data, content_type)


@pytest.mark.parametrize("text", ["Hello there.", LONG])
@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_speech_that_cannot_be_stored_is_sent_all_the_same(
    tmp_path: Path, text: str, format: str, caplog: pytest.LogCaptureFixture
) -> None:
    with house(tmp_path / "well") as home:
        whole = home.speak(input=text, response_format=format, seed=3).content
    with house(tmp_path / "full", Full()) as home:
        answer = home.speak(input=text, response_format=format, seed=3)
        assert answer.status_code == 200
        assert answer.content == whole
        assert "could not be stored" in caplog.text
        job = home.client.get(f"/v1/jobs/{answer.headers['x-f5-job-id']}").json()
        assert job["status"] == "ERROR"
        (*_, done) = events(home.speak(input=text, stream_format="sse").text)
        assert done["type"] == "speech.audio.done"
        assert "no record of it is kept. NO_SPACE" in done["warnings"][0]


def test_who_relies_on_the_record_gets_the_error(tmp_path: Path) -> None:
    with house(tmp_path / "key", Full()) as home:
        named = {"headers": {"Idempotency-Key": "k"}}
        with pytest.raises(httpx.RemoteProtocolError):
            home.client.post("/v1/audio/speech", json=HELLO, **named)
        asked, named = HELLO | {"stream_format": "sse"}, {"headers": {"Idempotency-Key": "other"}}
        (*_, last) = events(home.client.post("/v1/audio/speech", json=asked, **named).text)
        assert (last["type"], last["error"]["code"]) == ("error", "no_space")
    strict = house(tmp_path / "set", Full(), store_required=True)
    with strict as home, pytest.raises(httpx.RemoteProtocolError):
        home.speak()
