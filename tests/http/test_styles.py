"""Styles of a voice over HTTP: kept, listed, heard, chosen by name or instructions, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from f5serve.audio.encode import read_wav
from f5serve.voices import names
from tests.http.house import House, house
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

VOICES = "/v1/audio/voices"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("styles")) as home:
        upload(home, "ana")
        upload(home, "ana", style="sad", ref_text=f"{WORDS} Alas.")
        upload(home, "ana", other_recording(), style="Happy", ref_text=OTHER_WORDS, language="")
        upload(home, "plain")
        yield home


def upload(home: House, name: str, sound: bytes = b"", **fields: str) -> httpx.Response:
    sent = {"name": name, "ref_text": WORDS, "language": "en"} | fields
    files = {"audio_sample": ("any.bin", sound or recording())}
    return home.client.post(VOICES, data=sent, files=files)


def test_a_voice_shows_its_styles(home: House) -> None:
    answer = upload(home, "Shown")
    assert (answer.json()["styles"], answer.json()["style_recordings"]) == ([], [])
    answer = upload(home, "shown", other_recording(), style="Happy", ref_text=OTHER_WORDS.upper())
    assert (answer.status_code, answer.headers["location"]) == (201, f"{VOICES}/Shown")
    shown = answer.json()
    assert (shown["id"], shown["ref_text"], shown["styles"]) == ("Shown", WORDS, ["happy"])
    (style,) = shown["style_recordings"]
    assert (style["style"], style["ref_text"]) == ("happy", OTHER_WORDS.upper())
    assert style["duration_s"] > shown["duration_s"]
    assert "in capitals" in style["warnings"][0]
    assert shown["warnings"] == []
    assert home.client.get(f"{VOICES}/shown").json() == shown
    listed = {voice["id"]: voice for voice in home.client.get(VOICES).json()["voices"]}
    assert listed["Shown"]["styles"] == ["happy"]
    assert "style_recordings" not in listed["Shown"]
    assert listed["default"]["styles"] == listed["plain"]["styles"] == []
    assert not any("~" in one for one in listed)


def test_each_style_is_heard(home: House) -> None:
    answers = {
        style: home.client.get(f"{VOICES}/ana/sample", params={"style": style})
        for style in ("", "regular", "happy", "SAD")
    }
    assert answers[""].content == answers["regular"].content
    happy = answers["happy"]
    assert happy.headers["content-disposition"] == 'attachment; filename="ana-happy.wav"'
    assert read_wav(happy.content).duration_s > 4
    etag = {"If-None-Match": happy.headers["etag"]}
    for style, status in (("happy", 304), ("", 200)):
        again = home.client.get(f"{VOICES}/ana/sample", params={"style": style}, headers=etag)
        assert again.status_code == status
    missing = home.client.get(f"{VOICES}/ana/sample", params={"style": "angry"})
    assert "no style 'angry'" in home.refused(missing, 404, "style_not_found")
    home.refused(
        home.client.get(f"{VOICES}/ana/sample", params={"style": "../sad"}), 400, "bad_style_name"
    )


def test_styles_that_cannot_be_kept_are_refused(home: House) -> None:
    home.refused(upload(home, "nobody", style="happy"), 404, "voice_not_found")
    home.refused(upload(home, "ana", style="main"), 409, "reserved_style_name")
    home.refused(upload(home, "ana", style="a/b"), 400, "bad_style_name")
    home.refused(upload(home, "ana", style="a" * 33), 400, "bad_style_name")
    home.refused(upload(home, "ana", style="a" * 201), 400, "bad_option")
    home.refused(upload(home, "default", style="happy"), 409, "reserved_voice_name")
    home.refused(upload(home, "ana", b"no sound", style="angry"), 400, "not_audio")
    assert home.client.get(f"{VOICES}/ana").json()["styles"] == ["happy", "sad"]


def test_a_style_is_removed_alone(home: House) -> None:
    upload(home, "brief")
    upload(home, "brief", style="sad")
    one = f"{VOICES}/brief"
    for style, status, code in (
        ("", 409, "reserved_style_name"),
        ("happy", 404, "style_not_found"),
        ("../x", 400, "bad_style_name"),
    ):
        home.refused(home.client.delete(one, params={"style": style}), status, code)
    both = {"style": "sad", "with_results": "true"}
    home.refused(home.client.delete(one, params=both), 400, "bad_option")
    removed = home.client.delete(one, params={"style": "Sad"}).json()
    assert removed == {
        "id": "brief",
        "style": "sad",
        "object": "audio.voice.deleted",
        "deleted": True,
    }
    assert home.client.get(one).json()["styles"] == []
    home.refused(home.speak(voice="brief", style="sad"), 404, "style_not_found")
    upload(home, "brief", style="sad")
    assert home.client.delete(one).status_code == 200
    home.refused(home.client.delete(one, params={"style": "sad"}), 404, "voice_not_found")
    assert not [e.key for e in home.service.store.list(names.styles_folder("brief"))]


def test_a_request_names_a_style(home: House) -> None:
    main = home.speak(voice="ana", seed=1)
    assert "x-f5-style" not in main.headers
    happy = home.speak(voice="ana", seed=1, style="HAPPY")
    assert (happy.headers["x-f5-voice"], happy.headers["x-f5-style"]) == ("ana", "happy")
    assert "x-f5-style" not in home.speak(voice="ana", style="neutral").headers
    refused = home.speak(voice="ana", style="angry")
    assert "no style 'angry'" in home.refused(refused, 404, "style_not_found")
    assert refused.json()["error"]["param"] == "style"
    bad = home.speak(voice="ana", style="not one")
    home.refused(bad, 400, "bad_style_name")
    assert bad.json()["error"]["param"] == "style"


def test_instructions_choose_a_style_and_the_answer_names_it(home: House) -> None:
    def answer(instructions: str, **more: str) -> tuple[str | None, str]:
        headers = home.speak(**{"voice": "ana", "instructions": instructions, **more}).headers
        return headers.get("x-f5-style"), headers["x-f5-warning"]

    for said, style in (
        ("Speak in a cheerful and positive tone.", "happy"),
        ("Don't be happy. Be sad!", "sad"),
    ):
        chosen, warning = answer(said)
        assert (chosen, "instructions" in warning) == (style, False)
    unused = "instructions is not used: "
    chosen, warning = answer("Whisper, and don't sound sad.")
    assert chosen is None
    assert f"{unused}it asks for none of the styles of the voice, which are happy, sad." in warning
    chosen, warning = answer("Be sad.", style="happy")
    assert (chosen, f"{unused}style is happy." in warning) == ("happy", True)
    for voice in ("plain", "default"):
        chosen, warning = answer("Be sad.", voice=voice)
        assert chosen is None
        assert f"{unused}the way of speaking comes from the voice's recording." in warning
    home.refused(home.speak(voice="nobody", instructions="Be sad."), 404, "voice_not_found")


def test_instructions_and_style_are_the_same_request(home: House) -> None:
    """What instructions choose is cloned: it is the cached result of the style, no other."""
    said = {"voice": "ana", "input": "One way or another."}
    jobs = [
        home.speak(**said, **more).headers["x-f5-job-id"]
        for more in ({"style": "happy"}, {"instructions": "joyfully"}, {}, {"style": "sad"})
    ]
    cached = [home.client.get(f"/v1/jobs/{job}/result").json()["cached"] for job in jobs]
    assert cached == [False, True, False, False]


def test_the_official_client_sends_instructions(home: House) -> None:
    with openai.OpenAI(api_key="none", base_url=f"{home.url}/v1") as client:
        raw = client.audio.speech.with_raw_response.create(
            model="tts-1", voice="ana", input="Hello.", instructions="Sound melancholic."
        )
    assert raw.headers["x-f5-style"] == "sad"


def test_a_damaged_style_is_shown_as_such(home: House) -> None:
    upload(home, "ill")
    upload(home, "ill", style="happy")
    upload(home, "ill", style="sad")
    home.service.store.put(names.record_key("ill~happy"), b"{")
    damaged, sad = home.client.get(f"{VOICES}/ill").json()["style_recordings"]
    assert (damaged["style"], damaged["ref_text"]) == ("happy", None)
    assert damaged["warnings"] == ["The style 'happy' of the voice 'ill' is damaged in the store."]
    assert (sad["style"], sad["warnings"]) == ("sad", [])
    home.refused(home.speak(voice="ill", style="happy"), 503, "voice_record_damaged")
    assert home.speak(voice="ill", style="sad").status_code == 200


def test_a_voice_goes_with_its_styles_and_results(home: House) -> None:
    upload(home, "erased")
    upload(home, "erased", style="happy")
    secret = "Nobody may keep this either."
    assert home.speak(voice="erased", style="happy", input=secret).status_code == 200
    store = home.service.store
    gone = home.client.delete(f"{VOICES}/erased", params={"with_results": "true"}).json()
    assert (gone["results"]["voice"], gone["results"]["jobs"]) == (True, 1)
    left = {entry.key: store.get(entry.key) for entry in store.list()}
    assert not [key for key, data in left.items() if secret.encode() in data or "erased" in key]


def test_consent_is_asked_for_with_each_style(tmp_path: Path) -> None:
    with house(tmp_path, require_consent=True) as home:
        assert upload(home, "ana", consent_by="Ana").status_code == 201
        home.refused(upload(home, "ana", style="happy"), 400, "consent_required")
        (style,) = upload(home, "ana", style="happy", consent_by="Ben").json()["style_recordings"]
        assert style["consent"]["by"] == "Ben"
