"""Scopes of keys: each route names one, and refuses keys without it, WebSockets as well."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse

from f5serve.http import errors
from f5serve.http.app import assemble, build_middleware
from f5serve.http.scopes import ScopeMiddleware, needs, scope_of
from f5serve.secrets import ADMIN, SCOPES, SPEAK, VOICES, digest, parse_keys
from f5serve.settings import Settings

NAMES = ("of-nobody", "speak", "voices", "admin", "all", "tenant", "ended")
CLEAR = {name: f"the-key-of-{name}-1234" for name in NAMES}
ITEMS = {
    "speak": "ana:{}:speak",
    "voices": "ben:{}:voices",
    "admin": "cy:{}:admin:2999-12-31",
    "all": "dan:{}",
    "tenant": "acme/ana:{}",
    "ended": "old:{}::2020-01-31",
}
KEYS = parse_keys(
    ",".join(item.format(digest(CLEAR[name].encode()).hex()) for name, item in ITEMS.items())
)
HAVE = {
    "speak": {SPEAK},
    "voices": {VOICES},
    "admin": {ADMIN},
    "all": set(SCOPES),
    "tenant": {SPEAK, VOICES},
}


def test_a_route_that_names_no_scope_is_refused_at_the_start() -> None:
    router = APIRouter()
    router.get("/v1/new", name="new")(lambda: None)
    with pytest.raises(TypeError, match="needs"):
        scope_of(router.routes[0])
    sockets = APIRouter()
    sockets.websocket("/v1/new")(_echo)
    with pytest.raises(TypeError, match="needs"):
        scope_of(sockets.routes[0])


def test_a_route_that_is_open_cannot_name_one() -> None:
    router = APIRouter()
    router.get("/ping")(needs(SPEAK)(lambda: None))
    with pytest.raises(TypeError, match="open"):
        scope_of(router.routes[0])
    with pytest.raises(ValueError, match="fly"):
        needs("fly")


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.state.caller)
    await socket.close()


def guarded() -> TestClient:
    app = FastAPI()
    for scope in SCOPES:

        async def tell() -> str:
            return "done"

        async def echo(socket: WebSocket) -> None:
            await _echo(socket)

        app.get(f"/v1/{scope}")(needs(scope)(tell))
        app.websocket(f"/v1/socket/{scope}")(needs(scope)(echo))
    routes = [route for route in app.routes if getattr(route, "path", "").startswith("/v1/")]
    app.add_middleware(ScopeMiddleware, routes=routes)
    errors.install(app)
    return TestClient(build_middleware(app, Settings(api_keys=KEYS)))


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_reaches_what_it_has_the_scope_for(name: str, scope: str) -> None:
    client, headers = guarded(), {"X-API-Key": CLEAR[name]}
    answer = client.get(f"/v1/{scope}", headers=headers)
    if scope in HAVE[name]:
        assert answer.status_code == 200
        with client.websocket_connect(f"/v1/socket/{scope}", headers=headers) as socket:
            assert socket.receive_text() in [key.name for key in KEYS]
        return
    _refused(answer, 403, "missing_scope", scope)
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect(f"/v1/socket/{scope}", headers=headers),
    ):
        pass
    _refused(denied.value, 403, "missing_scope", scope)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"X-API-Key": CLEAR["of-nobody"]}, "invalid_api_key"),
        ({"X-API-Key": CLEAR["ended"]}, "api_key_expired"),
        ({"Authorization": f"Bearer {CLEAR['ended']}"}, "api_key_expired"),
    ],
)
def test_who_has_no_key_that_is_valid_is_told_why(headers: dict[str, str], code: str) -> None:
    client = guarded()
    _refused(client.get("/v1/speak", headers=headers), 401, code)
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/v1/socket/speak", headers=headers),
    ):
        pass
    _refused(denied.value, 401, code)


def test_of_two_keys_the_one_that_is_valid_counts() -> None:
    headers = {"X-API-Key": CLEAR["ended"], "Authorization": f"Bearer {CLEAR['speak']}"}
    assert guarded().get("/v1/speak", headers=headers).status_code == 200


def test_the_document_names_the_scope_of_each_operation() -> None:
    document: dict[str, Any] = assemble().openapi()
    security = {
        told["operationId"]: told["security"]
        for item in document["paths"].values()
        for told in item.values()
    }
    for name, scope in {
        "create_speech": SPEAK,
        "list_voices_head": SPEAK,
        "create_voice": VOICES,
        "delete_voice_lexicon": VOICES,
        "get_metrics": ADMIN,
    }.items():
        assert security[name] == [{"bearer": [scope]}, {"header": [scope]}]
    assert security["get_health"] == [{}, {"bearer": []}, {"header": []}]


def _refused(answer: Any, status: int, code: str, what: str = "") -> None:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert what in error["message"]
