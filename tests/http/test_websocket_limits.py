"""Who may open a WebSocket, how much may be sent over it, and how it ends."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from f5serve.http.app import build_middleware
from f5serve.http.connections import Connections, protocol_class
from f5serve.http.sockets import SocketLimits
from f5serve.http.websocket_protocol import FIRST_MESSAGE_BYTES, MAX_FRAGMENTS
from f5serve.secrets import SPEAK, VOICES, digest
from f5serve.settings import Settings
from tests.http.house import HELLO, House, house, running
from tests.http.sockets import (
    CONFIG,
    FIRST,
    PATH,
    SECOND,
    Caller,
    calling,
    error_in,
    kinds,
    refused,
    sound_in,
)
from tests.http.test_streaming import until

ANA, BEN = "key-of-ana-who-speaks", "key-of-ben-who-uploads"
KEYS = ",".join(
    f"{name}:{digest(key.encode()).hex()}:{scope}"
    for name, key, scope in (("ana", ANA, SPEAK), ("ben", BEN, VOICES))
)
ELEVENLABS = "/v1/text-to-speech/default/stream-input"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk")) as made:
        yield made


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("disk"), api_keys=KEYS) as made:
        yield made


def speaks(caller: Caller) -> bool:
    """Whether a text is spoken over the socket."""
    caller.write("Hello there.")
    caller.done()
    return bool(sound_in(caller.until("session.done")))


def metric(home: House, name: str, **labels: str) -> float:
    """A value of GET /metrics, 0 if it is not there."""
    listed = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    wanted = f"{name}{{{listed}}}" if labels else name
    for line in home.client.get("/metrics", headers={"X-API-Key": ANA}).text.splitlines():
        if line.rpartition(" ")[0] == wanted:
            return float(line.rpartition(" ")[2])
    return 0.0


@pytest.mark.parametrize("path", ["/", "/v1/audio/speech", "/v1/nothing", "/v1/jobs/x"])
def test_other_paths_have_no_socket(home: House, path: str) -> None:
    status, error = refused(home, path)
    assert (status, error["code"]) == (404, "no_such_route")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {"X-API-Key": ANA}),
        (PATH, {"xi-api-key": ANA}),
        (PATH, {"Authorization": f"Bearer {ANA}"}),
        (f"{PATH}?api_key={ANA}", {}),
        (f"{PATH}?xi-api-key={ANA}", {}),
        (PATH, {}),
    ],
)
def test_a_key_comes_in_a_header_the_url_or_the_first_message(
    locked: House, path: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with calling(locked, path, additional_headers=headers) as caller:
        caller.configure(**({} if headers or "?" in path else {"api_key": ANA}))
        assert speaks(caller)
        caller.send(type="session.close")
        assert caller.ended()[1] == 1000
    until(lambda: "closed with 1000" in caplog.text)
    ours = "\n".join(r.getMessage() for r in caplog.records if r.threadName == "server")
    assert "key ana" in ours
    assert ANA not in ours


@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        ({"X-API-Key": "wrong"}, PATH, 401, "invalid_api_key"),
        ({}, f"{PATH}?api_key=wrong", 401, "invalid_api_key"),
        ({"X-API-Key": BEN}, PATH, 403, "missing_scope"),
        ({}, "/v1/other", 401, "missing_api_key"),
    ],
)
def test_without_a_right_key_no_socket_opens(
    locked: House, headers: dict[str, str], path: str, status: int, code: str
) -> None:
    found, error = refused(locked, path, additional_headers=headers)
    assert (found, error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (CONFIG, "missing_api_key"),
        ({**CONFIG, "api_key": "wrong"}, "invalid_api_key"),
        ({**CONFIG, "api_key": BEN}, "missing_scope"),
        ({"type": "input.text", "text": "Hello."}, "bad_message"),
    ],
)
def test_a_first_message_without_a_right_key_ends_the_socket(
    locked: House, message: dict[str, Any], code: str
) -> None:
    with calling(locked) as caller:
        caller.send(**message)
        messages, closed = caller.ended()
    assert (error_in(messages)["code"], closed) == (code, 1008)
    with calling(locked, ELEVENLABS) as caller:
        caller.send(text=" ", xi_api_key=message.get("api_key"))
        problem = caller.next()
        assert isinstance(problem, dict)
        expected = "missing_api_key" if code == "bad_message" else code
        assert (problem["error"], problem["code"]) == (expected, 1008)
        assert caller.ended()[1] == 1008


def test_requests_still_take_no_key_in_the_url(locked: House) -> None:
    answer = locked.client.post("/v1/audio/speech", params={"api_key": ANA}, json=HELLO)
    locked.refused(answer, 401, "api_key_in_url")


def test_pages_of_other_sites_open_no_socket(home: House) -> None:
    for headers, code in [
        ({"Origin": "https://evil.example"}, "origin_not_allowed"),
        ({"Sec-Fetch-Site": "cross-site"}, "origin_not_allowed"),
        ({"Origin": "null"}, "origin_not_allowed"),
    ]:
        status, error = refused(home, additional_headers=headers)
        assert (status, error["code"]) == (403, code)
    with calling(home, additional_headers={"Origin": home.url}) as caller:
        caller.configure()
        assert speaks(caller)
    place = urlsplit(home.url)
    with socket.create_connection((place.hostname, place.port)) as link:
        status, error = refused_at("ws://rebound.example" + PATH, link)
    assert (status, error["code"]) == (403, "host_not_allowed")


def refused_at(url: str, link: socket.socket) -> tuple[int, dict[str, Any]]:
    """As `refused`, over a connection to another address than the URL says."""
    here = House(url.removesuffix(PATH).replace("ws", "http", 1), None, None, None, None)  # type: ignore[arg-type]
    return refused(here, sock=link)


def test_texts_count_as_requests_of_their_key(tmp_path: Path) -> None:
    with house(tmp_path, api_keys=KEYS, key_concurrency=1, rate_per_minute=4) as home:
        home.tone.hold()
        with ExitStack() as stack:
            first, second = (
                stack.enter_context(calling(home, f"{PATH}?api_key={ANA}")) for _ in range(2)
            )
            first.configure()
            first.write("Hello there.")
            first.done()
            assert home.tone.at_work.wait(60)
            second.configure()
            second.write("Hello there, all of you.")
            assert error_in([second.next()])["code"] == "too_many_requests"
            home.tone.release()
            first.until("session.done")
            second.done()
            assert kinds(second.until("session.done")) == ["session.done"]
            second.write("Hello there.")
            second.done()
            assert sound_in(second.until("session.done"))
            first.write("Once")
            assert error_in([first.next()])["code"] == "rate_limited"
        status, error = refused(home, f"{PATH}?api_key={ANA}")
        assert (status, error["code"]) == (429, "rate_limited")


def test_sockets_leave_room_for_requests(home: House) -> None:
    app = build_middleware(home.app, Settings())
    with (
        running(app, protocol=protocol_class(Connections(4))) as url,
        ExitStack() as stack,
    ):
        here = replace(home, url=url)
        for _ in range(3):
            stack.enter_context(calling(here))
        status, error = refused(here)
        assert (status, error["code"]) == (503, "too_many_open_files")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([Frame(Opcode.TEXT, b"\xff")], 1007),
        (
            [
                Frame(Opcode.TEXT, b"", fin=False),
                *[Frame(Opcode.CONT, b"", fin=False)] * (MAX_FRAGMENTS + 1),
            ],
            1009,
        ),
        ([Frame(Opcode.CONT, b"more")], 1002),
        ([Frame(Opcode.PING, b"x" * 125), Frame(Opcode.CONT, b"more")], 1002),
    ],
)
def test_frames_that_break_the_protocol_end_the_socket(
    home: House, frames: list[Frame], code: int
) -> None:
    with calling(home) as caller:
        data = b"".join(frame.serialize(mask=True) for frame in frames)
        with suppress(OSError):
            caller.link.socket.sendall(data)
        assert caller.ended() == ([], code)


def test_a_first_message_that_has_to_hold_the_key_is_short(tmp_path: Path) -> None:
    with house(tmp_path, api_keys="a-key-of-sixteen-letters") as home, calling(home) as caller:
        with suppress(ConnectionClosed):
            caller.configure(ref_audio="A" * FIRST_MESSAGE_BYTES)
        assert caller.ended() == ([], 1009)


def test_large_messages_are_for_callers_who_are_known(tmp_path: Path) -> None:
    with house(tmp_path, max_body_mb=3) as home, calling(home) as caller:
        caller.configure(ref_audio="A" * 1_000_000)  # it takes a recording
        caller.write("Hello there.")
        caller.done()
        assert "error" in kinds(caller.until("session.done"))  # which this is not
        with suppress(ConnectionClosed):
            caller.configure(ref_audio="A" * 3_000_000)
        assert caller.ended() == ([], 1009)


@pytest.mark.parametrize(
    ("limits", "path", "sent", "code"),
    [
        (SocketLimits(first_message_s=0.3), PATH, None, "no_message"),
        (SocketLimits(first_message_s=0.3), ELEVENLABS, None, "no_message"),
        (SocketLimits(idle_s=0.3), PATH, CONFIG, "idle_too_long"),
        (SocketLimits(idle_s=0.3), ELEVENLABS, {"text": " "}, "idle_too_long"),
    ],
)
def test_a_socket_that_is_quiet_is_closed(
    home: House, limits: SocketLimits, path: str, sent: dict[str, Any] | None, code: str
) -> None:
    home.app.state.socket_limits = limits
    try:
        with calling(home, path) as caller:
            if sent:
                caller.send(**sent)
            messages, closed = caller.ended()
    finally:
        home.app.state.socket_limits = SocketLimits()
    problem = messages[-1]
    assert isinstance(problem, dict)
    assert code in (problem.get("error"), problem.get("code"))
    assert closed == 1008


def test_what_is_spoken_is_not_idle(home: House) -> None:
    home.app.state.socket_limits = SocketLimits(idle_s=0.2, lifetime_s=0.4)
    try:
        with calling(home) as caller:
            caller.configure(response_format="pcm")
            home.tone.hold()
            caller.write(FIRST + SECOND)
            caller.done()
            assert home.tone.at_work.wait(60)
            time.sleep(0.5)  # longer than a socket may be quiet, or live
            home.tone.release()
            messages, closed = caller.ended()
    finally:
        home.app.state.socket_limits = SocketLimits()
    assert kinds(messages) == ["audio.start", "sound", "audio.done", "session.done"]
    assert closed == 1001


def test_a_shutdown_closes_idle_sockets_and_lets_others_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with house(tmp_path) as home:
            idle, unready, busy, elevenlabs = (
                stack.enter_context(calling(home, path)) for path in (PATH, PATH, PATH, ELEVENLABS)
            )
            idle.configure()
            assert speaks(idle)
            home.tone.hold()
            busy.configure()
            busy.write(FIRST + SECOND)
            busy.done()
            assert home.tone.at_work.wait(60)
            elevenlabs.send(text=FIRST)
            elevenlabs.send(text="")
            until(lambda: len(home.service.operations._registry) == 2)
        assert idle.ended() == ([], 1012)
        assert unready.ended() == ([], 1012)
        messages, closed = busy.ended()
        assert kinds(messages) == ["audio.start", "sound", "audio.done", "session.done"]
        assert closed == 1012
        messages, closed = elevenlabs.ended()
        assert isinstance(messages[-1], dict)
        assert messages[-1]["isFinal"] is True
        assert closed == 1000


def test_sockets_are_counted(home: House) -> None:
    labels = {"route": PATH, "code": "1000"}
    before = metric(home, "f5_websockets_closed_total", **labels)
    with calling(home) as caller:
        caller.configure()
        assert speaks(caller)
        until(lambda: metric(home, "f5_websockets_open") == 1)
        assert metric(home, "f5_http_requests_in_flight") == 1  # the scrape itself
    until(lambda: metric(home, "f5_websockets_closed_total", **labels) == before + 1)
    assert metric(home, "f5_websockets_open") == 0
    assert metric(home, "f5_http_requests_total", method="GET", route=PATH, status="101") >= 1


def test_a_request_that_is_no_handshake_gets_an_error(home: House) -> None:
    place = urlsplit(home.url)
    head = f"GET {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    for more, status, code in [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400, "bad_request"),
        ("\r\n", 404, "no_such_route"),
    ]:
        with socket.create_connection((place.hostname, place.port), 60) as link:
            link.sendall((head + "Connection: close\r\n" * (more == "\r\n") + more).encode())
            data = b""
            while part := link.recv(65_536):
                data += part
        top, _, body = data.partition(b"\r\n\r\n")
        assert top.startswith(f"HTTP/1.1 {status}".encode())
        assert json.loads(body)["error"]["code"] == code


def test_too_many_headers_are_refused(home: House) -> None:
    headers = {f"X-Header-{number}": "x" for number in range(150)}
    status, error = refused(home, additional_headers=headers)
    assert (status, error["code"]) == (431, "too_many_headers")


def test_each_tenant_has_a_state_of_its_own(tmp_path: Path) -> None:
    names = {"acme/ana": ANA, "other/ben": BEN}
    keys = ",".join(f"{name}:{digest(key.encode()).hex()}" for name, key in names.items())
    with house(tmp_path, api_keys=keys) as home:
        with calling(home) as caller:
            caller.configure(api_key=ANA)
            assert speaks(caller)
        counts = {
            key: len(home.client.get("/v1/jobs", headers={"X-API-Key": key}).json()["jobs"])
            for key in (ANA, BEN)
        }
    assert counts == {ANA: 1, BEN: 0}
