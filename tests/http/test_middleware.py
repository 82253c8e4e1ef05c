"""Who gets in: keys, hosts, origins, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from f5serve.errors import F5Error, InvalidRequest
from f5serve.http import errors
from f5serve.http.app import build_middleware
from f5serve.http.middleware.origin import parse_origins
from f5serve.secrets import parse_keys
from f5serve.settings import Settings
from tests.http.house import running

GOOD, OTHER = "the-first-key-of-all", "the-second-key-of-all"
KEYS = parse_keys(f"{GOOD},{OTHER}")
OPEN = ("/", "/ping", "/health", "/docs", "/studio/1/main.js")
CANARY = "/home/canary/secret-4711"


def small_app() -> FastAPI:
    """Routes that tell what the guard has let through."""
    app = FastAPI(docs_url=None)
    errors.install(app)

    def state(request: Request) -> dict[str, Any]:
        return {"known": request.state.is_known, "caller": request.state.caller}

    for path in (*OPEN, "/v1/who"):
        app.get(path)(state)
    app.delete("/v1/who")(state)

    @app.get("/v1/fault")
    def fault() -> None:
        raise ValueError(CANARY)

    return app


def guarded(**settings: Any) -> Any:
    return running(build_middleware(small_app(), replace(Settings(), **settings)))


@pytest.fixture(scope="module")
def keyed() -> Iterator[httpx.Client]:
    """A client of a server that asks for keys."""
    with guarded(api_keys=KEYS) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def patient() -> Iterator[httpx.Client]:
    """A client of a server that takes any number of wrong keys."""
    app = build_middleware(small_app(), Settings(api_keys=KEYS), wrong_keys_per_minute=10_000)
    with running(app) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def unkeyed() -> Iterator[httpx.Client]:
    """A client of a server on loopback that asks nobody."""
    with guarded() as url, httpx.Client(base_url=url) as client:
        yield client


def code(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"Authorization": f"Bearer {GOOD}"}, "key-1"),
        ({"authorization": f"bearer   {OTHER}"}, "key-2"),
        ({"X-API-Key": OTHER}, "key-2"),
        ({"Authorization": "Bearer rpa_of-the-proxy", "X-API-Key": GOOD}, "key-1"),
    ],
)
def test_a_key_lets_in(keyed: httpx.Client, headers: dict[str, str], caller: str) -> None:
    answer = keyed.get("/v1/who", headers=headers)
    assert answer.json() == {"known": True, "caller": caller}


@pytest.mark.parametrize(
    "path", ["/v1/who", "/metrics", "/nowhere", "/docs/", "/%76%31/who", "/ping/x"]
)
def test_nothing_else_is_open(keyed: httpx.Client, path: str) -> None:
    answer = keyed.get(path)
    assert (answer.status_code, code(answer)) == (401, "missing_api_key")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
def test_open_routes_ask_nobody_but_know_who_calls(keyed: httpx.Client, path: str) -> None:
    wrong, right = ({"X-API-Key": key} for key in ("wrong", GOOD))
    assert keyed.get(path).json() == {"known": False, "caller": ""}
    assert keyed.get(path, headers=wrong).json() == {"known": False, "caller": ""}
    assert keyed.get(path, headers=right).json() == {"known": True, "caller": "key-1"}


@pytest.mark.parametrize(
    "sent",
    [
        b"Bearer wrong",
        b"Bearer",
        b"",
        b"Basic " + GOOD.encode(),
        GOOD[:-1].encode(),
        b"Bearer " + "sch\xf6n".encode(),
        b"Bearer \xff\xfe\xfd",
        b"Bearer " + b"k" * 60_000,
    ],
)
def test_a_wrong_key_does_not(patient: httpx.Client, sent: bytes) -> None:
    answer = patient.get("/v1/who", headers={b"Authorization": sent})
    assert (answer.status_code, code(answer)) == (401, "invalid_api_key")


@pytest.mark.parametrize("name", ["api_key", "key", "access_token", "API-KEY"])
def test_a_key_in_a_url_is_refused_with_a_hint(keyed: httpx.Client, name: str) -> None:
    answer = keyed.get("/v1/who", params={name: GOOD})
    assert (answer.status_code, code(answer)) == (401, "api_key_in_url")
    assert "Authorization: Bearer" in answer.json()["error"]["message"]
    assert GOOD not in answer.text


def test_wrong_keys_are_slowed_and_right_ones_are_not() -> None:
    with guarded(api_keys=KEYS) as url, httpx.Client(base_url=url) as client:
        answers = [client.get("/v1/who", headers={"X-API-Key": f"guess-{n}"}) for n in range(30)]
        assert {answer.status_code for answer in answers} == {401, 429}
        assert [answer.status_code for answer in answers[:20]] == [401] * 20
        assert code(answers[-1]) == "rate_limited"
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert client.get("/v1/who", headers={"X-API-Key": GOOD}).status_code == 200
        assert client.get("/v1/who").status_code == 401  # no guess, so nothing to slow


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "192.168.1.5", "::", "example.com", "localhost.example"]
)
def test_a_server_for_others_needs_keys(host: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build_middleware(small_app(), Settings(host=host))
    assert refused.value.code == "KEYS_NEEDED"
    build_middleware(small_app(), Settings(host=host, api_keys=KEYS))
    build_middleware(small_app(), Settings(host=host, auth="none"))


@pytest.mark.parametrize("host", ["", "127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_server_for_this_machine_does_not(host: str) -> None:
    build_middleware(small_app(), Settings(host=host))


def test_clear_keys_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    build_middleware(small_app(), Settings(api_keys=KEYS))
    assert "key-1, key-2" in caplog.text
    assert GOOD not in caplog.text


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "192.168.0.9:8000", "[::2]", ""),
        *("[::1].evil", "[::1]evil:80", "localhost:80@evil", "localhost:evil", "[::1", "::1"),
        *("localhost/evil", "user@localhost", "localhost evil", "[localhost]"),
    ],
)
def test_rebound_names_are_refused(unkeyed: httpx.Client, host: str) -> None:
    answer = unkeyed.get("/v1/who", headers={"Host": host})
    assert (answer.status_code, code(answer)) == (403, "host_not_allowed")


def test_the_host_is_looked_at_by_where_the_server_listens() -> None:
    proxied = "https://speech.example"
    with guarded(auth="none") as url, httpx.Client(base_url=url) as client:
        rebound = client.delete("/v1/who", headers={"Host": "evil.example"})
        assert (rebound.status_code, code(rebound)) == (403, "host_not_allowed")
        assert client.delete("/v1/who").status_code == 200
    with guarded(auth="none", cors_origins=proxied) as url, httpx.Client(base_url=url) as client:
        named = {"Host": "speech.example", "Origin": proxied}
        assert client.delete("/v1/who", headers=named).status_code == 200
        assert client.get("/v1/who", headers={"Host": "evil.example"}).status_code == 403
    with guarded(auth="none", host="0.0.0.0") as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/who", headers={"Host": "speech.example"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.2:9", "[::1]:8000", "f5.localhost"]
)
def test_names_of_this_machine_are_not(unkeyed: httpx.Client, host: str) -> None:
    assert unkeyed.get("/v1/who", headers={"Host": host}).json() == {"known": True, "caller": ""}


def test_without_keys_foreign_pages_change_nothing(unkeyed: httpx.Client) -> None:
    def sent(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return unkeyed.delete("/v1/who", headers=named).status_code

    here = str(unkeyed.base_url).rstrip("/")
    assert sent() == 200  # no browser
    assert sent(Origin=here) == 200
    assert sent(Origin=here, Sec_Fetch_Site="same-origin") == 200
    assert sent(Origin="https://evil.example") == 403
    assert sent(Origin="null") == 403
    assert sent(Origin="http://localhost:1", Sec_Fetch_Site="same-site") == 403
    assert sent(Sec_Fetch_Site="cross-site") == 403
    assert unkeyed.get("/v1/who", headers={"Origin": "https://evil.example"}).status_code == 200


def test_cors_is_off(keyed: httpx.Client) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        keyed.options("/v1/who", headers=asked),
        keyed.get("/v1/who", headers=asked | {"X-API-Key": GOOD}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("keys", [(), KEYS])
def test_cors_for_those_who_are_named(keys: Any) -> None:
    origin = "https://page.example"
    with guarded(api_keys=keys, cors_origins=f"{origin}/, http://localhost:3000") as url:
        client = httpx.Client(base_url=url)
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization,x-stainless-os",
        }
        asking = client.options("/v1/who", headers=asked)  # browsers send no key with it
        assert asking.status_code == 200
        assert asking.headers["Access-Control-Allow-Origin"] == origin
        assert "x-stainless-os" in asking.headers["Access-Control-Allow-Headers"]
        key = {"X-API-Key": GOOD}
        done = client.delete(
            "/v1/who", headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"} | key
        )
        assert done.status_code == 200
        assert done.headers["Access-Control-Allow-Origin"] == origin
        assert "X-F5-Job-Id" in done.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in done.headers
        refused = client.get("/v1/who", headers={"Origin": origin, "Host": "evil.example"})
        assert refused.status_code in (401, 403)
        assert refused.headers["Access-Control-Allow-Origin"] == origin  # or no page could read why
        other = client.get("/v1/who", headers={"Origin": "https://other.example"} | key)
        assert "Access-Control-Allow-Origin" not in other.headers
        client.close()


def test_every_origin_only_where_keys_are_asked_for() -> None:
    with pytest.raises(InvalidRequest) as refused:
        build_middleware(small_app(), Settings(cors_origins="*"))
    assert refused.value.code == "CORS_NEEDS_KEYS"
    with guarded(api_keys=KEYS, cors_origins="*") as url:
        answer = httpx.get(f"{url}/ping", headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "text",
    [
        *("example.com", "https://a.example/path", "https://", "https://a b", "null"),
        *("https://*.example.com", "https://user@a.example", "https://a.example:99999", "//a"),
        *("https://a.example?b", "https://a..b", "https://[::1", "https://127.1", "https://a:b"),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build_middleware(small_app(), Settings(cors_origins=text))
    assert refused.value.code == "BAD_SETTING"
    assert "no browser sends" in refused.value.message


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("HTTPS://Page.Example", "https://page.example"),
        ("https://page.example:443/", "https://page.example"),
        ("http://page.example:80", "http://page.example"),
        ("http://page.example:443", "http://page.example:443"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("tauri://localhost", "tauri://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("https://a.example, https://A.example", "https://a.example"),
        (" , ", ""),
    ],
)
def test_origins_are_taken_as_browsers_send_them(text: str, sent: str) -> None:
    assert ",".join(parse_origins(text, requires_key=False)) == sent


@pytest.mark.parametrize("path", ["/v1/who", "/v1/fault", "/nowhere", "/ping"])
def test_every_answer_has_its_headers(keyed: httpx.Client, path: str) -> None:
    for headers in ({}, {"X-API-Key": GOOD}):
        answer = keyed.get(path, headers=headers)
        told = answer.headers
        assert told["X-Content-Type-Options"] == "nosniff"
        assert told["X-Frame-Options"] == "DENY"
        assert told["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in told["Content-Security-Policy"]
        assert "microphone=(self)" in told["Permissions-Policy"]
        assert "Strict-Transport-Security" not in told  # not behind https
        assert (told.get("Cache-Control") == "no-store") is path.startswith("/v1/")


def test_a_fault_tells_its_trace_id_alone(
    keyed: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = keyed.get("/v1/fault", headers={"X-API-Key": GOOD})
    assert (answer.status_code, code(answer)) == (500, "internal")
    assert CANARY not in answer.text
    assert "Traceback" not in answer.text
    assert caplog.text.count("Traceback") == 1  # told once, under the id


@pytest.mark.parametrize("layer", ["whole", "receive"])
def test_a_fault_of_any_layer_tells_as_little(layer: str) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if layer == "receive":
            await receive()
        raise (
            F5Error("Something is amiss.", code="AMISS") if layer == "receive" else OSError(CANARY)
        )

    with running(build_middleware(broken, Settings())) as url:
        answer = httpx.post(f"{url}/v1/x", content=b"body")
    assert answer.status_code == 500
    assert CANARY not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert code(answer) in ("internal", "amiss")


def test_the_door_is_shut_for_websockets(keyed: httpx.Client) -> None:
    asked = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    assert keyed.get("/v1/who", headers=asked).status_code in (401, 403)
