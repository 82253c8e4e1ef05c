"""The contract as a document, and as a page; and that nothing else leaves, whatever breaks."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from f5serve.errors import F5Error
from f5serve.http.app import ROUTERS, assemble
from f5serve.http.middleware.rate_limit import is_public
from f5serve.http.openapi import TAGS
from f5serve.http.request_body import JsonRoute
from f5serve.http.routers.docs import page
from f5serve.secrets import ApiKey, digest, new_key
from f5serve.store.memory import MemoryStore
from tests.http.house import HELLO, SERVER_THREAD, House, house
from tests.service.house import CountingTone
from tests.voices.material import WORDS, recording

CANARY = "/mnt-7/canary/secret-4711"
DOCUMENT: dict[str, Any] = assemble().openapi()
OPERATIONS = [
    (method, path, told)
    for path, item in DOCUMENT["paths"].items()
    for method, told in item.items()
]
IDS = [told["operationId"] for _, _, told in OPERATIONS]
FILLED = {
    "{voice_id}": "default",
    "{consent_id}": "cons_fe5d1a2b3c4d0123456789abcdef",
    "{model_id}": "tts-1",
    "{job_id}": "some-job",
    "{format}": "srt",
    "{part}": "0",
    "{take}": "0",
    "{book_id}": "some-book",
    "{number}": "1",
    "{sentence}": "1",
}


def filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    assert "{" not in path
    return path


@pytest.mark.parametrize(("method", "path", "told"), OPERATIONS, ids=IDS)
def test_each_operation_is_told_whole(method: str, path: str, told: dict[str, Any]) -> None:
    assert told["summary"]
    assert told["description"]
    assert set(told["tags"]) <= set(TAGS)
    expected = {"500"} if is_public(path) else {"401", "403", "429", "500"}
    if "requestBody" in told:
        expected |= {"400", "408", "413"}
    assert expected <= set(told["responses"])
    assert "422" not in told["responses"]
    assert ({} in told["security"]) is is_public(path)
    assert not {"server", "x-powered-by"} & set(told)


def test_names_are_used_once_and_references_lead_somewhere() -> None:
    assert len(set(IDS)) == len(IDS)
    told = json.dumps(DOCUMENT)
    assert "HTTPValidationError" not in told
    for name in set(re.findall(r'"\$ref": "([^"]+)"', told)):
        assert name.startswith("#/components/schemas/")
        assert name.rpartition("/")[2] in DOCUMENT["components"]["schemas"], name


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    """A house that asks for a key, and the key."""
    key = new_key()
    keys = (ApiKey("me", digest(key.encode())),)
    with house(tmp_path_factory.mktemp("keyed"), api_keys=keys) as home:
        yield home, key


@pytest.mark.parametrize(("method", "path", "told"), OPERATIONS, ids=IDS)
def test_each_operation_asks_for_a_key_as_it_is_told(
    keyed: tuple[House, str], method: str, path: str, told: dict[str, Any]
) -> None:
    home, _ = keyed
    status = home.client.request(method, filled(path)).status_code
    assert status != 401 if is_public(path) else status == 401


def test_the_document_is_served_to_everybody(keyed: tuple[House, str]) -> None:
    assert keyed[0].client.get("/openapi.json").json() == json.loads(json.dumps(DOCUMENT))


def test_other_methods_are_told_of_all_that_a_path_takes(keyed: tuple[House, str]) -> None:
    home, key = keyed
    answer = home.client.put("/v1/audio/voices/ana", headers={"X-API-Key": key})
    home.refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD"


class Links(html.parser.HTMLParser):
    """All that a page refers to, its ids, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of it."""
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(str(value))
            elif name == "id":
                self.ids.append(str(value))
            assert name != "style"
            assert not name.startswith("on")


def test_the_page_of_docs_is_whole_and_asks_nobody_else(keyed: tuple[House, str]) -> None:
    answer = keyed[0].client.get("/docs")
    assert answer.headers["Content-Type"].startswith("text/html")
    found = Links()
    found.feed(answer.text)
    heads = {id for (method, _, _), id in zip(OPERATIONS, IDS, strict=True) if method == "head"}
    assert set(IDS) - heads <= set(found.ids)  # HEAD is told once for all
    assert heads
    assert set(DOCUMENT["components"]["schemas"]) <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    assert "script" not in found.tags
    inner = {link[1:] for link in found.links if link.startswith("#")}
    assert inner <= set(found.ids)
    assert {link for link in found.links if not link.startswith("#")} == {"openapi.json"}
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{hashed}'" in answer.headers["Content-Security-Policy"]


def test_what_routes_say_of_themselves_cannot_break_the_page() -> None:
    said = "<script>alert(1)</script> `<b>` [Voice]"
    path = {
        "operationId": "one",
        "summary": said,
        "description": said,
        "tags": ["t"],
        "responses": {"200": {"description": said}},
    }
    document = {
        "info": {"title": "x", "version": "<i>", "description": said},
        "tags": [{"name": "t", "description": said}],
        "paths": {"/<a>": {"get": path}},
        "components": {"schemas": {}},
    }
    found = Links()
    found.feed(page(document))
    assert not found.tags & {"script", "b", "i"}


class Broken(MemoryStore):
    """A store that fails with whatever it is told to, and names what nobody may know."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self._fault = fault

    def get(self, *args: Any, **named: Any) -> bytes:
        """Fail."""
        raise self._fault.with_traceback(None)  # or it grows, and is logged, with each request

    get_part = put = put_file = download = page = delete = exists = url = now = get  # type: ignore[assignment]

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[Any]:
        """Fail, but for those who look at the queue all the time."""
        if not prefix.startswith("queue/"):
            self.get()
        return iter(())


class BrokenTone(CountingTone):
    """A speaker that fails."""

    def generate(self, *args: Any, **named: Any) -> Any:
        """Fail."""
        raise OSError(2, "No such file", CANARY)


def ask_everything(home: House) -> Iterator[Any]:
    """The answers to one plausible request for each operation, and to some that are not."""
    file = ("a.wav", recording(), "audio/wav")
    bodies: dict[str, Any] = {
        "create_speech": {"json": HELLO},
        "create_speech_batch": {"json": {"voice": "default", "items": [{"input": "Hi."}]}},
        "preview_text": {"json": {"text": "It costs $3.50."}},
        "create_job": {"json": {"text": "Hello there."}},
        "create_voice": {"data": {"name": "ana", "ref_text": WORDS}, "files": {"file": file}},
        "create_voice_consent": {
            "data": {"name": "Ana", "language": "en"},
            "files": {"recording": file},
        },
        "update_voice_consent": {"json": {"name": "Ana Example"}},
        "create_alignment": {"data": {"text": WORDS}, "files": {"file": file}},
        "create_transcription": {"data": {"model": "whisper-1"}, "files": {"file": file}},
        "create_translation": {"data": {"model": "whisper-1"}, "files": {"file": file}},
        "elevenlabs_add_voice": {
            "data": {"name": "a", "ref_text": WORDS},
            "files": {"files": file},
        },
        "elevenlabs_edit_voice": {"data": {"name": "default"}},
        "elevenlabs_align": {"data": {"text": WORDS}, "files": {"file": file}},
        "elevenlabs_transcribe": {"files": {"file": file}},
    }
    spoken = ("convert", "stream", "convert_with_timestamps", "stream_with_timestamps")
    bodies |= {f"elevenlabs_{name}": {"json": {"text": "Hello there."}} for name in spoken}
    lines = {"inputs": [{"text": "Hi.", "voice_id": "default"}]}
    dialogues = ("dialogue", "dialogue_stream", "dialogue_with_timestamps")
    bodies |= {f"elevenlabs_{name}": {"json": lines} for name in dialogues}
    for method, path, told in OPERATIONS:
        asked = bodies.get(told["operationId"], {})
        yield home.client.request(method, filled(path), **asked)
        yield home.client.request(method, filled(path), content=b"\xff\x00{[")
    yield home.speak(voice="https://127.0.0.1:1/x.wav")
    yield home.client.get("/v1/jobs/%00")
    yield home.client.get("/studio/%2e%2e/%2e%2e/%2e%2e/etc/passwd")


@pytest.mark.parametrize(
    "fault", [RuntimeError(CANARY), OSError(5, "I/O error", CANARY)], ids=["runtime", "os"]
)
def test_nothing_leaves_whatever_breaks(fault: Exception, tmp_path: Path) -> None:
    with house(tmp_path, store=Broken(fault), tone=BrokenTone()) as home:
        for answer in ask_everything(home):
            told = answer.text + str(answer.headers)
            for secret in (
                "canary",
                "Traceback",
                ".py",
                str(tmp_path),
                "/home",
                "site-pack",
            ):
                assert secret not in told, answer.request.url
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_error_of_a_route_says_what_the_document_says(tmp_path: Path) -> None:
    with house(tmp_path, store=Broken(F5Error("x.", code="AMISS"))) as home:
        home.refused(home.client.get("/v1/audio/voices"), 500, "amiss")


def test_a_fault_while_speaking_is_no_more_talkative(tmp_path: Path) -> None:
    with house(tmp_path, tone=BrokenTone()) as home:
        spoken = home.speak()
        home.refused(spoken, 500, "internal")
        listed = home.client.get("/v1/jobs")
        at = f"/v1/jobs/{listed.json()['jobs'][0]['job_id']}"
        for answer in (spoken, listed, home.client.get(at), home.client.get(f"{at}/result")):
            assert "canary" not in answer.text
            assert "Traceback" not in answer.text


def test_the_contract_is_never_made_in_the_loop(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        app = home.app
        made: list[str] = []

        def openapi() -> dict[str, Any]:
            made.append(threading.current_thread().name)
            return DOCUMENT

        app.openapi = openapi  # type: ignore[method-assign]
        refused = home.client.put("/v1/jobs")
        assert refused.status_code == 405
        assert refused.headers["Allow"] == "GET, HEAD, POST"
        assert home.client.put("/docs").headers["Allow"] == "GET, HEAD"
        assert not made
        for path in ("/openapi.json", "/docs", "/openapi.json"):
            assert home.client.get(path).status_code == 200
        assert len(made) == 1
        assert made[0] != SERVER_THREAD


def unbounded(schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """Places in a schema where nothing says how much there may be."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            yield from unbounded(part, at)
    kind, is_file = schema.get("type"), schema.get("format") == "binary"
    if kind == "string" and not is_file and not {"maxLength", "enum", "const"} & set(schema):
        yield at
    if kind == "array":
        if "maxItems" not in schema:
            yield at
        yield from unbounded(schema["items"], f"{at}[]")
    for name, part in schema.get("properties", {}).items():
        yield from unbounded(part, f"{at}.{name}")


def test_every_field_of_a_body_is_bounded() -> None:
    bodies = [
        (told["operationId"], body["schema"])
        for _, _, told in OPERATIONS
        for body in told.get("requestBody", {}).get("content", {}).values()
    ]
    assert len(bodies) >= 4
    assert not [(name, at) for name, schema in bodies for at in unbounded(schema)]


def test_every_route_with_a_json_body_reads_it_within_bounds() -> None:
    routes = [route for room in ROUTERS for route in room.router.routes]
    taking = {
        path
        for _, path, told in OPERATIONS
        if "application/json" in told.get("requestBody", {}).get("content", {})
    }
    assert taking
    for route in routes:
        if isinstance(route, APIRoute) and route.path in taking and "POST" in (route.methods or ()):
            assert isinstance(route, JsonRoute), route.path
