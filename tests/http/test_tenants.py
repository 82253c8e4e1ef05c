"""Tenants: what one of them has made, no other meets, on any route of the OpenAPI document.

A new operation with a path parameter, or with a body, fails here until it is said what a tenant
has made that the parameter or the body can name.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from f5serve.http.app import assemble
from f5serve.http.middleware.rate_limit import is_public
from f5serve.secrets import SCOPES, digest, parse_keys
from tests.http.house import House, house
from tests.http.sockets import PATH, calling, refused, sound_in
from tests.voices.material import OTHER_WORDS, WORDS, other_recording, recording

DOCUMENT: dict[str, Any] = assemble().openapi()
OPERATIONS = {
    told["operationId"]: (method.upper(), path, told)
    for path, item in DOCUMENT["paths"].items()
    for method, told in item.items()
}

CLEAR = {
    name: f"the-key-of-{name}-1234"
    for name in ("acme", "beta", "root", "public", "speak", "voices", "admin", "ended", "nobody")
}
ALL = "+".join(SCOPES)
ITEMS = {
    "acme": f"acme/all:{{}}:{ALL}",
    "beta": f"beta/all:{{}}:{ALL}",
    "root": "root:{}",
    "public": f"public/all:{{}}:{ALL}",
    "speak": "gamma/speak:{}:speak",
    "voices": "gamma/voices:{}:voices",
    "admin": "gamma/admin:{}:admin",
    "ended": f"gamma/ended:{{}}:{ALL}:2020-01-31",
}
KEYS = parse_keys(
    ",".join(item.format(digest(CLEAR[name].encode()).hex()) for name, item in ITEMS.items())
)

CONSENTS = "/v1/audio/voice_consents"
SPOKEN = "Marmalade is a fruit preserve."
RULE = {"text": "Xylophone", "alias": "zylofone"}
VOICE, STYLE, NEIGHBOUR = "zanzibar", "quokka", "zanzibar2"
SECRET = ("marmalade", "xylophone", STYLE, NEIGHBOUR, WORDS[:20].lower(), OTHER_WORDS[:20].lower())
"""What only its owner may read; the callers below never send it."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("tenants")
    with house(folder, api_keys=KEYS, wrong_keys_per_minute=100_000) as made:
        yield made


def ask(home: House, name: str, method: str, path: str, **more: Any) -> httpx.Response:
    """A request with the key of that name; none with ""."""
    headers = {**more.pop("headers", {}), **({"X-API-Key": CLEAR[name]} if name else {})}
    return home.client.request(method, path, headers=headers, **more)


@dataclass(frozen=True)
class Owned:
    """What a tenant has made, by the names of path parameters."""

    name: str
    ids: dict[str, str]


def make(home: House, name: str) -> Owned:
    """One of all that routes can name."""
    voices = "/v1/audio/voices"
    for voice, data, words, style in (
        (VOICE, recording(), WORDS, ""),
        (NEIGHBOUR, recording(), WORDS, ""),
        (VOICE, other_recording(), OTHER_WORDS, STYLE),
    ):
        files = {"audio_sample": ("a.wav", data)}
        form = {"name": voice, "ref_text": words, "style": style}
        assert ask(home, name, "POST", voices, data=form, files=files).status_code == 201
    agreed = {"recording": ("a.wav", recording())}
    form = {"name": STYLE, "language": "en"}
    consent = ask(home, name, "POST", CONSENTS, data=form, files=agreed)
    assert consent.status_code == 201, consent.text
    for at in ("library", f"voices/{VOICE}"):
        saved = ask(home, name, "PUT", f"/v1/lexicons/{at}", json={"rules": [RULE]})
        assert saved.status_code == 200, saved.text
    job = {"text": SPOKEN, "local_voice": VOICE, "takes": 2, "timing_format": ["srt"]}
    created = ask(home, name, "POST", "/v1/jobs", json=job)
    assert created.status_code == 202, created.text
    at = created.headers["Location"]
    for _ in range(1_000):
        if ask(home, name, "GET", at).json()["status"] == "COMPLETED":
            break
        time.sleep(0.02)
    assert ask(home, name, "GET", f"{at}/audio").status_code == 200
    sent = {"data": {"voice": VOICE}, "files": {"file": ("book.md", f"# {name}\n\n{SPOKEN}\n")}}
    book = ask(home, name, "POST", "/v1/books", **sent)
    assert book.status_code == 202, book.text
    ids = {"voice_id": VOICE, "job_id": created.json()["job_id"], "book_id": book.json()["book_id"]}
    return Owned(name, {**ids, "consent_id": consent.json()["id"]})


@pytest.fixture(scope="module")
def acme(home: House) -> Owned:
    return make(home, "acme")


@pytest.fixture(scope="module")
def root(home: House) -> Owned:
    return make(home, "root")


SHARED = {
    "model_id": "tts-1",
    "format": "srt",
    "part": "0",
    "take": "0",
    "number": "1",
    "sentence": "1",
}
"""Path parameters that name nothing of a tenant."""

NEVER_MADE = {
    "voice_id": "zanzibaq",
    "job_id": "0" * 32,
    "consent_id": f"cons_{'0' * 28}",
    "book_id": "none-0000",
}
"""Ids that nobody has; answers about those of another tenant must not differ."""


def filled(path: str, ids: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        known = {**SHARED, **ids}
        assert match[1] in known, (
            f"{path} has the parameter {match[1]}: have `make` create something that it names, and "
            "add its id there and to NEVER_MADE; or add it to SHARED if no tenant owns it"
        )
        return known[match[1]]

    return re.sub(r"{(\w+)}", value, path)


def body_of(operation: str, ids: dict[str, str]) -> dict[str, Any]:
    """Arguments of httpx for a body that names what these ids name, wherever it can."""
    voice = ids["voice_id"]
    wave, new = {"audio_sample": ("a.wav", recording())}, {"files": ("a.wav", recording())}
    bodies: dict[str, dict[str, Any]] = {
        "create_speech": {"json": {"model": "tts-1", "voice": voice, "input": "Hi."}},
        "create_speech_batch": {
            "json": {"model": "tts-1", "voice": voice, "items": [{"input": "Hi."}]}
        },
        "preview_text": {"json": {"text": "Hi.", "voice": voice}},
        "create_job": {"json": {"text": f"[voice:{voice}] Hi."}},
        "create_book": {
            "data": {"voice": voice},
            "files": {"file": ("book.md", "# Two\n\nHi.\n")},
        },
        "choose_book_take": {"json": {"take": 1}},
        "plan_book": {"files": {"file": ("book.md", "# Two\n\nHi.\n")}},
        "create_dub": {"json": {"subtitles": "1\n00:00:01,000 --> 00:00:02,000\nHi.\n"}},
        "create_voice": {"data": {"name": voice, "ref_text": WORDS, "style": "new"}, "files": wave},
        "create_voice_consent": {
            "data": {"name": "Ben", "language": "en"},
            "files": {"recording": ("a.wav", recording())},
        },
        "update_voice_consent": {"json": {"name": "Ben"}},
        "create_alignment": {
            "data": {"text": "He was not."},
            "files": {"file": ("a.wav", recording())},
        },
        **{
            f"create_{kind}": {
                "data": {"model": "whisper-1"},
                "files": {"file": ("a.wav", recording())},
            }
            for kind in ("transcription", "translation")
        },
        **{
            f"elevenlabs_{verb}{timed}": {"json": {"text": "Hi."}}
            for verb in ("convert", "stream")
            for timed in ("", "_with_timestamps")
        },
        **{
            f"elevenlabs_dialogue{more}": {"json": {"inputs": [{"text": "Hi.", "voice_id": voice}]}}
            for more in ("", "_stream", "_with_timestamps")
        },
        "elevenlabs_align": {
            "data": {"text": "He was not."},
            "files": {"file": ("a.wav", recording())},
        },
        "elevenlabs_transcribe": {
            "data": {"model_id": "scribe_v1"},
            "files": {"file": ("a.wav", recording())},
        },
        "elevenlabs_add_voice": {
            "data": {"name": "mine-too", "ref_text": WORDS},
            "files": {"files": ("a.wav", recording())},
        },
        "elevenlabs_edit_voice": {"data": {"name": voice, "ref_text": WORDS}, "files": new},
        **{
            f"{verb}_{kind}_lexicon": {"json": {"rules": [{"text": "a", "alias": "b"}]}}
            for verb in ("put", "patch")
            for kind in ("library", "voice")
        },
    }
    assert operation in bodies, f"add a body for {operation} that names what a tenant has"
    return bodies[operation]


NO_VOICE_IS_NAMED = (
    *("create_dub", "create_alignment", "create_transcription", "create_job"),
    *("create_translation", "plan_book", "choose_book_take"),
    *("create_voice_consent", "elevenlabs_align", "elevenlabs_transcribe", "elevenlabs_add_voice"),
)
"""Bodies whose answers do not depend on a voice, or come later."""

NOT_404 = ("delete_voice_lexicon", "create_speech_batch")
"""What is done, and has no effect, for voices that do not exist as well; and what answers with an
error for each of several texts."""


def call(home: House, name: str, operation: str, ids: dict[str, str]) -> httpx.Response:
    method, path, told = OPERATIONS[operation]
    more = body_of(operation, ids) if "requestBody" in told else {}
    return ask(home, name, method, filled(path, ids), **more)


def told(answer: httpx.Response, ids: dict[str, str]) -> str:
    """The body without what differs from one call to the next."""
    text = answer.text
    for value in ids.values():
        text = text.replace(value, "ID")
    return re.sub(r"[0-9a-f]{32}", "RANDOM", text)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("pair", ["acme beta", "acme root", "root acme"])
def test_another_tenant_learns_nothing(
    home: House, acme: Owned, root: Owned, pair: str, operation: str
) -> None:
    owner, caller = pair.split()
    owned = {"acme": acme, "root": root}[owner]
    if caller in ("acme", "root"):  # it has made a voice of that name itself
        ids = {**owned.ids, "voice_id": NEVER_MADE["voice_id"]}
    else:
        ids = owned.ids
    _, path, spec = OPERATIONS[operation]
    answer = call(home, caller, operation, ids)
    if caller == "beta":
        lower = answer.text.lower()
        assert not [word for word in SECRET if word in lower], answer.text
    named = [name for name in re.findall(r"{(\w+)}", path) if name in ids]
    if "requestBody" in spec and operation not in NO_VOICE_IS_NAMED and "library" not in operation:
        named.append("voice_id")
    if not named:
        return
    never = call(home, caller, operation, NEVER_MADE)
    assert answer.status_code == never.status_code
    assert told(answer, ids) == told(never, NEVER_MADE)
    if operation not in NOT_404:
        assert answer.status_code == 404, answer.text


def test_what_others_have_tried_has_changed_nothing(home: House, acme: Owned) -> None:
    """Also where this test runs alone: every operation that changes something, again."""
    paths = [
        f"/v1/audio/voices/{VOICE}",
        "/v1/audio/voices",
        f"/v1/lexicons/voices/{VOICE}",
        f"/v1/jobs/{acme.ids['job_id']}",
        f"/v1/jobs/{acme.ids['job_id']}/result",
        f"{CONSENTS}/{acme.ids['consent_id']}",
    ]
    before = [ask(home, "acme", "GET", path).text for path in paths]
    for operation, (method, _, _) in OPERATIONS.items():
        if method not in ("GET", "HEAD"):
            call(home, "beta", operation, acme.ids)
    after = [ask(home, "acme", "GET", path).text for path in paths]
    assert before == after
    assert all(SECRET[index] in "".join(after).lower() for index in (0, 2, 3, 4))


def test_listings_of_a_new_tenant_are_empty(home: House, acme: Owned) -> None:
    assert ask(home, "speak", "GET", "/v1/jobs").json()["jobs"] == []
    voices = ask(home, "speak", "GET", "/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices if not voice["read_only"]] == ["default"]
    assert ask(home, "speak", "GET", "/v1/lexicons").json()["lexicons"] == []


def test_no_voice_is_created_with_the_consent_of_another_tenant(home: House, acme: Owned) -> None:
    form = {"name": "mine", "ref_text": WORDS, "consent": acme.ids["consent_id"]}
    files = {"audio_sample": ("a.wav", recording())}
    answer = ask(home, "beta", "POST", "/v1/audio/voices", data=form, files=files)
    home.refused(answer, 404, "consent_not_found")
    assert ask(home, "beta", "GET", "/v1/audio/voices/mine").status_code == 404


def test_the_cache_and_idempotency_keys_are_of_a_tenant(home: House) -> None:
    body = {"model": "tts-1", "voice": "default", "input": "The same text, twice over."}
    headers = {"Idempotency-Key": "one-key-of-two-tenants"}
    spoken = len(home.tone.spoken)
    for name in ("acme", "beta", "acme"):
        answer = ask(home, name, "POST", "/v1/audio/speech", json=body, headers=headers)
        assert answer.status_code == 200
    assert len(home.tone.spoken) - spoken == 2
    other = {**body, "input": "Another text of another tenant."}
    done = ask(home, "root", "POST", "/v1/audio/speech", json=other, headers=headers)
    assert done.status_code == 200  # no JOB_ID_CONFLICT


def code_of(answer: httpx.Response) -> str:
    """The code of an error in either of the shapes that routes have."""
    body = answer.json()
    return str((body.get("error") or body["detail"])["code"])


CALLERS = ("", "nobody", "ended", "speak", "voices", "admin", "beta")


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_asks_for_the_scope_that_the_document_names(
    home: House, operation: str, name: str
) -> None:
    method, path, spec = OPERATIONS[operation]
    answer = ask(home, name, method, filled(path, NEVER_MADE))
    code = "" if method == "HEAD" or answer.status_code < 400 else code_of(answer)
    if is_public(path):
        assert answer.status_code not in (401, 403)
        return
    refusals = {"": "missing_api_key", "nobody": "invalid_api_key", "ended": "api_key_expired"}
    (scope,) = spec["security"][0]["bearer"]
    if name in refusals:
        assert (answer.status_code, code) in ((401, refusals[name]), (401, ""))
    elif name in SCOPES and name != scope:
        assert (answer.status_code, code) in ((403, "missing_scope"), (403, ""))
    else:
        assert answer.status_code not in (401, 403), answer.text


def test_details_of_the_server_are_for_admins(home: House) -> None:
    for name in ("", "nobody", "ended", "speak", "voices"):
        assert set(ask(home, name, "GET", "/health").json()) == {"status", "version"}
    assert ask(home, "admin", "GET", "/health").json()["queue"]["jobs"] == 0


@pytest.fixture(scope="module")
def shared(home: House) -> str:
    """A public voice with a style and a rule, as others call it."""
    for data, words, style in ((recording(), WORDS, ""), (other_recording(), OTHER_WORDS, "sad")):
        form = {"name": "Ana", "ref_text": words, "style": style}
        files = {"file": ("a.wav", data)}
        made = ask(home, "public", "POST", "/v1/audio/voices", data=form, files=files)
        assert made.status_code == 201, made.text
    rules = {"rules": [{"text": "F5", "alias": "eff five"}]}
    assert ask(home, "public", "PUT", "/v1/lexicons/voices/ana", json=rules).status_code == 200
    return "public/Ana"


@pytest.mark.parametrize("name", ["acme", "root"])
def test_a_public_voice_is_read_by_all(home: House, shared: str, name: str) -> None:
    listed = ask(home, name, "GET", "/v1/audio/voices").json()["voices"]
    (found,) = [voice for voice in listed if voice["id"] == shared]
    assert listed[-1] == found
    assert (found["read_only"], found["styles"]) == (True, ["sad"])
    assert not any(voice["read_only"] for voice in listed[:-1])
    for at in (shared, "public%2FAna", "public/ana"):
        detail = ask(home, name, "GET", f"/v1/audio/voices/{at}").json()
        assert (detail["id"], detail["read_only"]) == (shared, True)
        assert [one["style"] for one in detail["style_recordings"]] == ["sad"]
        sample = ask(home, name, "GET", f"/v1/audio/voices/{at}/sample", params={"style": "sad"})
        assert sample.content[:4] == b"RIFF"
        assert 'filename="public-Ana-sad.wav"' in sample.headers["Content-Disposition"]
        lexicon = ask(home, name, "GET", f"/v1/lexicons/voices/{at}").json()
        assert [rule["text"] for rule in lexicon["rules"]] == ["F5"]


def test_pages_go_through_own_voices_and_then_public_ones(home: House, shared: str) -> None:
    found, after = [], ""
    for _ in range(20):
        params = {"limit": 1, "after": after}
        page = ask(home, "acme", "GET", "/v1/audio/voices", params=params).json()
        found += [voice["id"] for voice in page["voices"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    whole = ask(home, "acme", "GET", "/v1/audio/voices").json()["voices"]
    assert found == [voice["id"] for voice in whole]
    assert found[-1] == shared


@pytest.mark.parametrize("name", ["acme", "public"])
def test_a_public_voice_speaks_for_all(home: House, shared: str, name: str) -> None:
    speech = {"model": "tts-1", "input": "F5 says hello."}
    for more in ({"voice": shared}, {"voice": shared, "style": "sad"}, {"voice": "public/ana"}):
        answer = ask(home, name, "POST", "/v1/audio/speech", json={**speech, **more})
        assert answer.status_code == 200, answer.text
    shown = ask(home, name, "POST", "/v1/text", json={"text": "F5.", "voice": shared}).json()
    assert "eff five" in json.dumps(shown)
    script = f"[{shared}] Hi there. [sad] Oh no. [voice:{shared}] Bye now."
    job = {"text": script, "return_word_timings": False}
    created = ask(home, name, "POST", "/v1/jobs", json=job)
    at = created.headers["Location"]
    for _ in range(1_000):
        if (status := ask(home, name, "GET", at).json())["status"] in ("COMPLETED", "ERROR"):
            break
        time.sleep(0.02)
    assert status["status"] == "COMPLETED", status
    parts = ask(home, name, "GET", f"{at}/result").json()["parts"]
    assert [(part["voice"], part["style"]) for part in parts] == [
        (shared, None),
        (shared, "sad"),
        (shared, None),
    ]


@pytest.mark.parametrize("name", ["acme", "root", "public"])
def test_a_public_voice_is_changed_by_its_own_name_alone(
    home: House, shared: str, name: str
) -> None:
    at = f"/v1/audio/voices/{shared}"
    rules = {"rules": [{"text": "a", "alias": "b"}]}
    form, files = {"name": shared, "ref_text": WORDS}, {"file": ("a.wav", recording())}
    tries = [
        ask(home, name, "DELETE", at),
        ask(home, name, "DELETE", at, params={"style": "sad"}),
        ask(home, name, "DELETE", at, params={"with_results": True}),
        ask(home, name, "POST", "/v1/audio/voices", data=form, files=files),
        ask(home, name, "POST", "/v1/audio/voices", data={**form, "style": "sad"}, files=files),
        ask(home, name, "PUT", f"/v1/lexicons/voices/{shared}", json=rules),
        ask(home, name, "PATCH", f"/v1/lexicons/voices/{shared}", json=rules),
        ask(home, name, "DELETE", f"/v1/lexicons/voices/{shared}"),
    ]
    for answer in tries:
        home.refused(answer, 403, "voice_read_only")
    never = ask(home, name, "GET", "/v1/audio/voices/public/never-made")
    assert "public/never-made" in home.refused(never, 404, "voice_not_found")


def test_results_in_a_public_voice_are_not_those_of_an_own_one(home: House, shared: str) -> None:
    form, files = {"name": "ana", "ref_text": WORDS}, {"file": ("a.wav", recording())}
    assert ask(home, "beta", "POST", "/v1/audio/voices", data=form, files=files).is_success
    speech = {"model": "tts-1", "input": "Whose voice is this, then?", "voice": shared}
    spoken = ask(home, "beta", "POST", "/v1/audio/speech", json=speech)
    job = spoken.headers["X-F5-Job-Id"]
    params = {"with_results": True}
    gone = ask(home, "beta", "DELETE", "/v1/audio/voices/ana", params=params).json()
    assert gone["results"]["jobs"] == 0
    assert ask(home, "beta", "GET", f"/v1/jobs/{job}").json()["status"] == "COMPLETED"


def test_a_public_voice_is_read_as_elevenlabs_does(home: House, shared: str) -> None:
    for at in (shared, "public%2FAna"):
        found = ask(home, "beta", "GET", f"/v1/voices/{at}").json()
        assert found["voice_id"] == shared
        for way in ("", "/stream"):
            path = f"/v1/text-to-speech/{at}{way}"
            assert ask(home, "beta", "POST", path, json={"text": "Hello."}).status_code == 200
    answer = ask(home, "beta", "DELETE", f"/v1/voices/{shared}")
    assert (answer.status_code, code_of(answer)) == (403, "voice_read_only")


@pytest.mark.parametrize("way", ["header", "query", "message"])
@pytest.mark.parametrize("name", ["acme", "beta", "voices"])
def test_a_websocket_is_of_the_tenant_of_its_key(
    home: House, acme: Owned, name: str, way: str
) -> None:
    key = CLEAR[name]
    options = {"additional_headers": {"X-API-Key": key}} if way == "header" else {}
    path = f"{PATH}?api_key={key}" if way == "query" else PATH
    if name == "voices" and way != "message":
        status, body = refused(home, path, **options)
        assert (status, body["code"]) == (403, "missing_scope")
        return
    with calling(home, path, **options) as caller:
        first = {"api_key": key} if way == "message" else {}
        caller.configure(voice=acme.ids["voice_id"], response_format="pcm", **first)
        if name != "voices":
            caller.write("Of acme alone.")
            caller.done()
        messages = caller.until("session.done" if name == "acme" else "error")
    if name == "acme":
        assert sound_in(messages)
        return
    expected = {"beta": "voice_not_found", "voices": "missing_scope"}[name]
    assert expected in json.dumps([one for one in messages if isinstance(one, dict)])
    assert not sound_in(messages)
