"""ElevenLabs' own client, sync and async, with another base_url; requests of other programs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from elevenlabs import DialogueInput, VoiceSettings
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError

from f5serve.audio.g711 import expand
from f5serve.fallback.tone import STEPS
from f5serve.http.elevenlabs.formats import OUTPUT_FORMATS, OutputFormat
from f5serve.http.elevenlabs.voices import is_name_of, name_to_id, read_labels
from f5serve.http.errors import BadField
from f5serve.settings import Settings
from f5serve.text.clean import clean_text
from f5serve.text.normalization.english import normalize_english
from f5serve.voices.names import check_name
from tests.hearing import speech_recognition, word_error_rate
from tests.http.house import House, house
from tests.http.sound import LONG, SHORT, heard_s
from tests.http.test_streaming import HELD, Sentences, until
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

KEY = "a-key-of-the-tests-1234"
RACHEL = "21m00Tcm4TlvDq8ikWAM"
PRICE = "It costs $3.50 today."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    found = speech_recognition()
    with house(
        tmp_path_factory.mktemp("disk"), api_keys=KEY, recognition=found, hearing=found.hearing()
    ) as made:
        made.client.headers["xi-api-key"] = KEY
        yield made


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[ElevenLabs]:
    with connected(home) as made:
        yield made


@pytest.fixture(scope="module")
def halting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), tone=Sentences()) as made:
        yield made


@contextlib.contextmanager
def connected(home: House, key: str = KEY) -> Iterator[ElevenLabs]:
    """The client, whose connections end with the block."""
    with httpx.Client(timeout=60) as connections:
        yield ElevenLabs(base_url=home.url, api_key=key, httpx_client=connections)


def speak(client: ElevenLabs, **fields: Any) -> bytes:
    return b"".join(client.text_to_speech.convert(**{"voice_id": RACHEL, "text": SHORT, **fields}))


def lasts_s(data: bytes, output: OutputFormat) -> float:
    """Seconds of sound in a file, whose sample rate must be that of the format."""
    if output.format in ("pcm", "ulaw", "alaw"):
        return len(data) / output.sample_rate / (2 if output.format == "pcm" else 1)
    with av.open(io.BytesIO(data)) as file:
        assert file.streams.audio[0].rate == output.sample_rate
    return heard_s(data, output.format)


@pytest.mark.parametrize("name", OUTPUT_FORMATS)
def test_every_format_lasts_as_long(client: ElevenLabs, name: Any) -> None:
    output = OUTPUT_FORMATS[name]
    whole_s = len(speak(client, output_format="pcm_24000")) / 48_000
    data = speak(client, output_format=name)
    assert whole_s > 3
    assert lasts_s(data, output) == pytest.approx(whole_s, abs=0.15)
    if output.format == "mp3":
        with av.open(io.BytesIO(data)) as file:
            assert file.streams.audio[0].bit_rate == 1000 * output.bit_rate_kbps


def test_telephone_formats_hold_the_same_sound(client: ElevenLabs) -> None:
    plain = np.frombuffer(speak(client, seed=1, output_format="pcm_8000"), "<i2") / 32_768
    for name in ("ulaw", "alaw"):
        codes = np.frombuffer(speak(client, seed=1, output_format=f"{name}_8000"), np.uint8)
        np.testing.assert_allclose(expand(codes, name), plain, atol=0.02)


def test_the_usual_format_is_an_mp3_at_128_kbit(client: ElevenLabs) -> None:
    with client.text_to_speech.with_raw_response.convert(RACHEL, text=SHORT) as answer:
        data = b"".join(answer.data)
        headers = answer.headers
    assert headers["content-type"] == "audio/mpeg"
    assert headers["character-cost"] == str(len(SHORT))
    assert headers["request-id"] == headers["x-f5-job-id"]
    with av.open(io.BytesIO(data)) as file:
        assert (file.streams.audio[0].rate, file.streams.audio[0].bit_rate) == (44_100, 128_000)


def test_both_clients_stream(home: House, client: ElevenLabs) -> None:
    async def story() -> bytes:
        async with httpx.AsyncClient() as connections:
            made = AsyncElevenLabs(base_url=home.url, api_key=KEY, httpx_client=connections)
            parts: AsyncIterator[bytes] = made.text_to_speech.stream(
                "default", text=SHORT, seed=5, output_format="pcm_16000"
            )
            return b"".join([part async for part in parts])

    sync = b"".join(
        client.text_to_speech.stream("default", text=SHORT, seed=5, output_format="pcm_16000")
    )
    assert asyncio.run(story()) == sync
    assert len(sync) > 3 * 32_000


def test_the_first_sentence_is_heard_before_the_second_is_made(halting: House) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    steps = tone.steps
    with connected(halting) as client:
        parts = client.text_to_speech.stream("default", text=HELD, output_format="mp3_22050_32")
        data = b""
        while heard_s(data, "mp3") < 1.0:
            data += next(parts)
        first_s = heard_s(data, "mp3")
        assert tone.go_on() == steps + STEPS
        assert heard_s(data + b"".join(parts), "mp3") > 2 * first_s


def test_characters_are_timed_before_the_second_sentence_is_made(halting: House) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    steps, text = tone.steps, f"{HELD} Or so."
    with connected(halting) as client:
        lines = iter(client.text_to_speech.stream_with_timestamps("default", text=text))
        first = next(lines)
        assert base64.b64decode(first.audio_base_64)
        assert tone.go_on() == steps + STEPS
        found = [first, *lines]
    told = [line.alignment for line in found if line.alignment]
    assert len(told) >= 2
    assert "".join(c for one in told for c in one.characters) == text
    ends = [end for one in told for end in one.character_end_times_seconds]
    assert ends == sorted(ends)
    normalized = [line.normalized_alignment for line in found if line.normalized_alignment]
    spoken = "".join(c for one in normalized for c in one.characters)
    assert spoken == normalize_english(clean_text(text, 1_000)).text
    audio = b"".join(base64.b64decode(line.audio_base_64) for line in found)
    assert heard_s(audio, "mp3") == pytest.approx(ends[-1], abs=0.1)


def test_a_caller_who_leaves_stops_the_device(halting: House) -> None:
    tone = halting.tone
    assert isinstance(tone, Sentences)
    path = "/v1/text-to-speech/default/stream/with-timestamps"
    body = {"text": f"{HELD} And out."}
    with halting.client.stream("POST", path, json=body) as answer:
        job_id = answer.headers["request-id"]
        next(answer.iter_lines())
        assert tone.has_begun.wait(10)
    tone.go_on()
    job = f"/v1/jobs/{job_id}"
    until(lambda: halting.client.get(job).json()["status"] == "CANCELLED")


@pytest.mark.parametrize("name", ["mp3_44100_128", "pcm_24000", "opus_48000_64"])
def test_speech_with_timestamps_is_whole(client: ElevenLabs, name: Any) -> None:
    answer = client.text_to_speech.convert_with_timestamps(
        "default", text=PRICE, output_format=name
    )
    duration_s = lasts_s(base64.b64decode(answer.audio_base_64), OUTPUT_FORMATS[name])
    for alignment, text in (
        (answer.alignment, PRICE),
        (answer.normalized_alignment, "It costs three dollars and fifty cents today."),
    ):
        assert alignment is not None
        assert "".join(alignment.characters) == text
        starts, ends = (
            alignment.character_start_times_seconds,
            alignment.character_end_times_seconds,
        )
        assert all(left <= right for left, right in pairwise(starts))
        assert 0 <= starts[0] < ends[-1] <= duration_s + 0.01


def test_a_stored_result_has_the_same_lines(home: House) -> None:
    """A key that was used before gives the same job; nothing is made for it again."""

    def ask() -> list[dict[str, Any]]:
        answer = home.client.post(
            "/v1/text-to-speech/default/stream/with-timestamps?output_format=pcm_16000",
            json={"text": LONG},
            headers={"Idempotency-Key": "once"},
        )
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert max(map(len, answer.text.splitlines())) < 64 * 1024
        return [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]

    first = ask()
    spoken = len(home.tone.spoken)
    again = ask()
    assert len(home.tone.spoken) == spoken
    for name in ("alignment", "normalized_alignment"):
        characters, times = (
            [
                [one for line in lines if line[name] for one in line[name][field]]
                for lines in (first, again)
            ]
            for field in ("characters", "character_start_times_seconds")
        )
        assert characters[0] == characters[1]
        assert ("".join(characters[0]) == LONG) is (name == "alignment")
        assert times[0] == pytest.approx(times[1], abs=0.2)
    audio = [b"".join(base64.b64decode(line["audio_base64"]) for line in lines)
             for lines in (first, again)]  # fmt: skip
    assert audio[0] == audio[1]


def test_settings_that_have_an_effect(client: ElevenLabs) -> None:
    def chars(**fields: Any) -> str:
        found = client.text_to_speech.convert_with_timestamps("default", text=PRICE, **fields)
        assert found.normalized_alignment is not None
        return "".join(found.normalized_alignment.characters)

    slow, fast = (
        speak(client, voice_settings=VoiceSettings(speed=speed, stability=0.3), model_id=model)
        for speed, model in ((0.7, "eleven_multilingual_v2"), (1.2, "eleven_flash_v2_5"))
    )
    assert len(slow) > 1.5 * len(fast)
    for seed in (4_294_967_295, 2**31 - 1):  # the highest ones, theirs and ours
        assert speak(client, seed=seed, text="Hi.") == speak(client, seed=2**31 - 1, text="Hi.")
    assert "three" in chars(apply_text_normalization="on")
    assert "$3.50" in chars(apply_text_normalization="off")
    assert "drei" in chars(apply_text_normalization="on", language_code="de")
    pause_s = len(speak(client, text='Hi. <break time="1.5s" /> Ho.', output_format="pcm_8000"))
    assert pause_s > len(speak(client, text="Hi. Ho.", output_format="pcm_8000")) + 16_000


def test_fields_without_effect_are_named(home: House) -> None:
    body = {"text": "Hi.", "previous_request_ids": ["a"], "previous_text": "Well."}
    answer = home.client.post("/v1/text-to-speech/default?enable_logging=false", json=body)
    assert answer.status_code == 200
    assert "'previous_request_ids' has no effect" in answer.headers["x-f5-warning"]
    assert "previous_text" not in answer.headers["x-f5-warning"]


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"voice_id": "nobody"}, 404, "voice_not_found", "voice_id"),
        ({"voice_id": "a b"}, 400, "bad_voice_name", "voice_id"),
        ({"text": "a" * 5001}, 400, "text_too_long", "text"),
        ({"text": ""}, 400, "bad_option", "text"),
        ({"text": "..."}, 400, "empty_text", "text"),
        ({"output_format": "mp3_1"}, 400, "bad_option", "output_format"),
        ({"model_id": "gpt-5"}, 404, "unknown_model", "model_id"),
        ({"voice_settings": {"speed": 9}}, 400, "bad_option", "voice_settings.speed"),
        (
            {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "x"}]},
            *(400, "bad_option", "pronunciation_dictionary_locators"),
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_errors_have_the_shape_of_elevenlabs(
    client: ElevenLabs, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    with pytest.raises(ApiError) as caught:
        speak(client, **fields)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    detail = caught.value.body["detail"]
    assert set(detail) == {"status", "message", "type", "code", "param"}
    assert (detail["code"], detail["param"]) == (code, param)
    with pytest.raises(ApiError) as caught:
        client.text_to_speech.convert_with_timestamps(
            **{"voice_id": RACHEL, "text": SHORT, **fields}
        )
    assert caught.value.body["detail"] == detail


def test_a_wrong_key_is_told_in_that_shape(home: House) -> None:
    with connected(home, "another-key-0123") as client, pytest.raises(ApiError) as caught:
        client.voices.get_all()
    assert caught.value.status_code == 401
    assert caught.value.body["detail"]["status"] == "invalid_api_key"
    missing = httpx.get(f"{home.url}/v1/voices")
    assert missing.json()["detail"]["status"] == "needs_authorization"
    other = httpx.get(f"{home.url}/v1/audio/voices")
    assert other.json()["error"]["code"] == "missing_api_key"
    gone = home.client.get("/v1/user/nothing")
    assert gone.json()["detail"]["status"] == "no_such_route"


def test_voices_are_made_found_changed_and_deleted(home: House, client: ElevenLabs) -> None:
    made = client.voices.ivc.create(
        name="Ana Pérez", files=[recording()], labels={"language": "en"}, description="Hers."
    )
    assert (made.voice_id, made.requires_verification) == ("Ana-Perez", False)
    try:
        again = client.voices.ivc.create(name="Ana Pérez", files=[("b.wav", other_recording())])
        assert again.voice_id == "Ana-Perez-2"
        assert client.voices.update(again.voice_id, name="Ana Pérez").status == "ok"
        assert client.voices.delete(again.voice_id).status == "ok"
        listed = client.voices.get_all().voices
        assert [voice.voice_id for voice in listed] == ["default", "Ana-Perez"]
        assert [voice.category for voice in listed] == ["premade", "cloned"]
        voice = client.voices.get(made.voice_id)
        assert voice.labels == {"language": "en"}
        assert voice.preview_url == f"{home.url}/v1/audio/voices/Ana-Perez/sample"
        preview = httpx.get(voice.preview_url, headers={"xi-api-key": KEY})
        assert heard_s(preview.content, "wav") == pytest.approx(3, abs=0.5)
        assert client.voices.settings.get(made.voice_id).speed == 1.0
        assert speak(client, voice_id=made.voice_id)
        assert client.voices.update(made.voice_id, name="Ana Pérez").status == "ok"
        changed = client.voices.update(
            made.voice_id, name="Ana Pérez", files=[("b.wav", other_recording())]
        )
        assert changed.status == "ok"
        heard = home.client.get(f"/v1/audio/voices/{made.voice_id}").json()["ref_text"]
        assert word_error_rate(OTHER_WORDS, heard) < 0.35
        with pytest.raises(ApiError) as caught:
            client.voices.update(made.voice_id, name="Eva")
        assert "cannot be renamed" in caught.value.body["detail"]["message"]
    finally:
        assert client.voices.delete(made.voice_id).status == "ok"
    with pytest.raises(ApiError) as caught:
        client.voices.get(made.voice_id)
    assert caught.value.body["detail"]["status"] == "voice_not_found"


@pytest.mark.parametrize(
    ("name", "taken", "id"),
    [
        ("ana", (), "ana"),
        ("Ana Pérez (2024)", (), "Ana-Perez-2024"),
        ("ana", ("ana", "ana-2"), "ana-3"),
        ("安娜", (), "voice"),
        ("x" * 100, ("x" * 59,), "x" * 59 + "-2"),
    ],
)
def test_an_id_is_made_of_the_name(name: str, taken: tuple[str, ...], id: str) -> None:
    made = name_to_id(name, taken.__contains__)
    assert check_name(made) == made == id
    assert is_name_of(name, made)
    assert not is_name_of("somebody else", made)


@pytest.mark.parametrize("labels", ["[1]", '{"a": 1}', "{", "[" * 100_000])
def test_labels_that_are_none_are_refused(labels: str) -> None:
    with pytest.raises(BadField, match="labels is"):
        read_labels(labels)
    assert read_labels("") == read_labels("null") == {}


def test_several_recordings_are_joined(home: House, client: ElevenLabs) -> None:
    files = [("a.wav", recording()), ("b.wav", other_recording()), ("c.wav", recording())]
    made = client.voices.ivc.create(name="joined", files=files)
    try:
        voice = home.client.get(f"/v1/audio/voices/{made.voice_id}").json()
        assert 8 < voice["duration_s"] <= 12
        assert word_error_rate(f"{WORDS} {OTHER_WORDS}", voice["ref_text"]) < 0.6
    finally:
        client.voices.delete(made.voice_id)


def test_a_file_that_is_no_recording_is_refused(client: ElevenLabs) -> None:
    for files in ([b"\0" * 100], [recording(), b"none"]):
        with pytest.raises(ApiError) as caught:
            client.voices.ivc.create(name="bad", files=files)
        assert caught.value.status_code == 400
    assert "bad" not in [voice.voice_id for voice in client.voices.get_all().voices]


def test_voices_are_searched_in_pages(home: House, client: ElevenLabs) -> None:
    names = [f"p{number}" for number in range(5)]
    for name in names:
        home.service.voices.put(name, recording(), WORDS, "de" if name == "p3" else "en")
    try:
        for direction in ("asc", "desc"):
            for sort in ("name", "created_at_unix"):
                found: list[str] = []
                token = None
                while True:
                    page = client.voices.search(
                        search="P", page_size=2, sort=sort, sort_direction=direction,
                        **({"next_page_token": token} if token else {}),
                    )  # fmt: skip
                    assert page.total_count == 5
                    found += [voice.voice_id for voice in page.voices]
                    token = page.next_page_token
                    assert page.has_more is (token is not None)
                    if token is None:
                        break
                assert found == (names if direction == "asc" else names[::-1])
        assert [v.voice_id for v in client.voices.search(language="de").voices] == ["p3"]
        assert [v.voice_id for v in client.voices.search(category="premade").voices] == ["default"]
        assert len(client.voices.search(voice_type="personal").voices) == 5
        assert not client.voices.search(voice_type="community").voices
        found = [v.voice_id for v in client.voices.search(voice_ids=["p1", "p4", "x"]).voices]
        assert found == ["p1", "p4"]
        with pytest.raises(ApiError) as caught:
            client.voices.search(next_page_token="x")
        assert caught.value.body["detail"]["code"] == "bad_cursor"
    finally:
        for name in names:
            home.service.voices.delete(name)


def test_ids_of_elevenlabs_stand_for_voices(tmp_path: Path) -> None:
    with house(tmp_path, elevenlabs_voices="Rachel=ana") as home, connected(home) as client:
        home.service.voices.put("ana", recording(), WORDS)
        rachel = client.voices.get(RACHEL)
        assert (rachel.voice_id, rachel.name) == (RACHEL, "Rachel")
        assert rachel.preview_url == f"{home.url}/v1/audio/voices/ana/sample"
        assert client.voices.get("pNInz6obpgDQGcFmaJgB").preview_url.endswith("/default/sample")
        speak(client)
        assert home.client.get("/v1/jobs").json()["jobs"][0]["voice"] == "ana"


def test_models_and_the_account(client: ElevenLabs, home: House) -> None:
    (model,) = client.models.list()
    assert (model.model_id, model.can_do_text_to_speech) == ("tone", True)
    assert speak(client, model_id=model.model_id)
    plain = httpx.get(f"{home.url}/v1/models", headers={"Authorization": f"Bearer {KEY}"})
    assert plain.json()["object"] == "list"
    user = client.user.get()
    assert user.first_name == "key-1"
    assert user.subscription.character_limit == Settings().max_text_chars
    assert client.user.subscription.get().tier == "self-hosted"
    assert client.voices.settings.get_default().speed == 1.0


def test_a_dialogue_is_a_script(home: House, client: ElevenLabs) -> None:
    home.service.voices.put("ben", recording(), WORDS)
    lines = [
        DialogueInput(text="Hello there. How are you?", voice_id=RACHEL),
        DialogueInput(text="I am fine.", voice_id="ben"),
        DialogueInput(text="So am I.", voice_id=RACHEL),
    ]
    try:
        assert heard_s(b"".join(client.text_to_dialogue.convert(inputs=lines)), "mp3") > 2
        assert b"".join(client.text_to_dialogue.stream(inputs=lines, output_format="pcm_16000"))
        found = client.text_to_dialogue.convert_with_timestamps(inputs=lines)
        assert found.alignment is not None
        text = "".join(found.alignment.characters)
        assert text == "".join(line.text for line in lines)
        assert [
            (one.voice_id, text[one.character_start_index : one.character_end_index])
            for one in found.voice_segments
        ] == [(line.voice_id, line.text) for line in lines]
        times = [(one.start_time_seconds, one.end_time_seconds) for one in found.voice_segments]
        assert times == sorted(times)
        assert home.client.get("/v1/jobs").json()["jobs"][0]["voice"] == "default"
        with pytest.raises(ApiError) as caught:
            client.text_to_dialogue.convert_with_timestamps(
                inputs=[*lines, DialogueInput(text="Who?", voice_id="nobody")]
            )
        assert caught.value.status_code == 404
    finally:
        home.service.voices.delete("ben")


def test_recordings_are_aligned_and_transcribed(client: ElevenLabs) -> None:
    found = client.forced_alignment.create(file=("a.wav", recording()), text=WORDS)
    assert "".join(one.text for one in found.characters) == WORDS
    assert " ".join(one.text for one in found.words) == WORDS
    assert 0 <= found.loss < 0.5
    assert all(0 <= one.start <= one.end <= 3.1 for one in [*found.characters, *found.words])
    heard = client.speech_to_text.convert(
        model_id="scribe_v1", file=("a.wav", recording()), timestamps_granularity="character"
    )
    assert word_error_rate(WORDS, heard.text) < 0.35
    assert "".join(one.text for one in heard.words) == heard.text.strip()
    assert {one.type for one in heard.words} == {"word", "spacing"}
    first = heard.words[0]
    assert "".join(one.text for one in first.characters or ()) == first.text
    plain = client.speech_to_text.convert(
        model_id="scribe_v1", file=("a.wav", recording()), timestamps_granularity="none",
        language_code="eng",
    )  # fmt: skip
    assert (plain.language_code, plain.words) == ("en", [])


def test_chat_programs_ask_so(home: House) -> None:
    """SillyTavern and Open WebUI: the list of voices, then speech with the model that they name."""
    headers = {"xi-api-key": KEY, "Content-Type": "application/json"}
    voices = httpx.get(f"{home.url}/v1/voices", headers=headers).json()["voices"]
    models = httpx.get(f"{home.url}/v1/models", headers=headers).json()
    assert {"voice_id", "name", "preview_url"} <= set(voices[0])
    assert models[0]["model_id"]
    bodies = [
        {
            "model_id": "eleven_turbo_v2_5",
            "text": SHORT,
            "voice_settings": {
                "stability": 0.75,
                "similarity_boost": 0.75,
                "style": 0.0,
                "use_speaker_boost": True,
                "speed": 1.0,
            },
        },
        {
            "text": SHORT,
            "model_id": models[0]["model_id"],
            "voice_settings": {"stability": 0.5, "similarity_boost": 0.5},
        },
    ]
    for body in bodies:
        answer = httpx.post(
            f"{home.url}/v1/text-to-speech/{voices[0]['voice_id']}",
            json=body,
            headers={**headers, "Accept": "audio/mpeg"},
        )
        assert answer.headers["content-type"] == "audio/mpeg"
        assert heard_s(answer.content, "mp3") > 3
