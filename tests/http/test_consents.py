"""Recorded consents over HTTP: as OpenAI's client asks for them, and tied to voices."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from f5serve.voices.consent_records import MAX_BYTES
from tests.http.house import House, house
from tests.voices.material import WORDS, other_recording, recording

CONSENTS = "/v1/audio/voice_consents"
VOICES = "/v1/audio/voices"
KEY = "a-key-of-the-tests-1234"
UNKNOWN = "cons_fe5d1a2b3c4d0123456789abcdef"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("consents")
    with house(folder, api_keys=KEY, require_consent=True) as home:
        home.client.headers["Authorization"] = f"Bearer {KEY}"
        yield home


@pytest.fixture(scope="module")
def client(home: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=f"{home.url}/v1", max_retries=0) as client:
        yield client


def create(home: House, sound: bytes = b"", **fields: str) -> httpx.Response:
    sent = {"name": "Ana Example", "language": "en-US"} | fields
    files = {"recording": ("agreed.wav", sound or recording(), "audio/wav")}
    return home.client.post(CONSENTS, data=sent, files=files)


def test_the_official_client_keeps_lists_renames_and_deletes(client: openai.OpenAI) -> None:
    consents = client.audio.voice_consents
    file = ("agreed.wav", recording(), "audio/wav")
    made = [consents.create(name=name, language="en-US", recording=file) for name in "ABC"]
    first = made[0]
    assert (first.object, first.name, first.language) == ("audio.voice_consent", "A", "en-US")
    assert consents.retrieve(first.id) == first
    page = consents.list(limit=2)
    assert [one.id for one in page.data] == [made[2].id, made[1].id]
    assert (page.has_more, page.has_next_page()) == (True, True)
    assert [one.id for one in consents.list(limit=2)] == [one.id for one in reversed(made)]
    renamed = consents.update(first.id, name="Ana Example")
    assert renamed == first.model_copy(update={"name": "Ana Example"})
    assert consents.retrieve(first.id) == renamed
    for one in made:
        gone = consents.delete(one.id)
        assert (gone.id, gone.object, gone.deleted) == (one.id, "audio.voice_consent", True)
    assert consents.list().data == []
    for call in (consents.retrieve, consents.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            call(first.id)
        assert caught.value.code == "consent_not_found"


def test_a_voice_of_the_official_client_is_tied_to_its_consent(
    home: House, client: openai.OpenAI
) -> None:
    file = ("agreed.wav", other_recording(), "audio/wav")
    made = client.audio.voice_consents.create(name="Ana", language="en", recording=file)
    sample, extra = ("ana.wav", recording(), "audio/wav"), {"ref_text": WORDS}
    voice = client.audio.voices.create(
        name="ana", audio_sample=sample, consent=made.id, extra_body=extra
    )
    shown = home.client.get(f"{VOICES}/{voice.id}").json()["consent"]
    assert (shown["by"], shown["id"]) == ("Ana", made.id)
    with pytest.raises(openai.ConflictError) as caught:
        client.audio.voice_consents.delete(made.id)
    assert caught.value.code == "consent_in_use"
    assert "voice 'ana'" in caught.value.message
    with pytest.raises(openai.NotFoundError) as missing:
        client.audio.voices.create(
            name="ben", audio_sample=sample, consent=UNKNOWN, extra_body=extra
        )
    assert missing.value.code == "consent_not_found"
    home.refused(home.client.get(f"{VOICES}/ben"), 404, "voice_not_found")
    erased = home.client.delete(f"{VOICES}/ana", params={"with_results": "true"}).json()
    assert erased["results"]["consents"] == 1
    assert not [entry.key for entry in home.service.store.list() if "consent" in entry.key]


def test_a_name_beside_a_recorded_consent_is_not_used(home: House) -> None:
    made = create(home).json()
    sent = {"name": "eve", "ref_text": WORDS, "consent": made["id"], "consent_by": "Eve"}
    files = {"file": ("eve.wav", recording())}
    shown = home.client.post(VOICES, data=sent, files=files).json()["consent"]
    assert (shown["by"], shown["id"]) == ("Ana Example", made["id"])
    both = sent | {"consent": "Ana", "consent_by": "Eve"}
    shown = home.client.post(VOICES, data=both, files=files).json()["consent"]
    assert (shown["by"], shown["id"]) == ("Eve", None)
    home.client.delete(f"{VOICES}/eve")
    assert home.client.delete(f"{CONSENTS}/{made['id']}").status_code == 200


def test_what_cannot_be_kept_is_refused(home: House) -> None:
    home.refused(create(home, b"I agree."), 400, "not_audio")
    home.refused(create(home, name=" "), 400, "bad_consent")
    home.refused(create(home, name="x" * 201), 400, "bad_option")
    home.refused(create(home, language="plain English"), 400, "bad_option")
    home.refused(create(home, bytes(MAX_BYTES + 1)), 413, "audio_too_large")
    missing = home.client.post(CONSENTS, data={"name": "Ana", "language": "en"}, files={"x": b""})
    assert "recording" in home.refused(missing, 400, "bad_option")
    home.refused(home.client.post(CONSENTS, json={"name": "Ana"}), 415, "not_multipart")
    form = home.client.post(f"{CONSENTS}/{UNKNOWN}", data={"name": "Ana"})
    home.refused(form, 415, "not_json")
    renamed = home.client.post(f"{CONSENTS}/{UNKNOWN}", json={"name": ""})
    home.refused(renamed, 400, "bad_option")
    home.refused(home.client.get(CONSENTS, params={"limit": 101}), 400, "bad_option")
    home.refused(home.client.get(CONSENTS, params={"after": "x"}), 404, "consent_not_found")
    listed = home.client.get(CONSENTS).json()
    assert listed == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_an_answer_tells_where_the_consent_is(home: House) -> None:
    answer = create(home)
    assert answer.status_code == 201
    assert home.client.get(answer.headers["location"]).json() == answer.json()
    assert home.client.delete(answer.headers["location"]).status_code == 200
    for method, path in (("POST", CONSENTS), ("GET", CONSENTS), ("DELETE", f"{CONSENTS}/x")):
        home.refused(httpx.request(method, f"{home.url}{path}"), 401, "missing_api_key")
