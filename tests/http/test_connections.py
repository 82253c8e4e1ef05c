"""How many connections there are, which end first, and readers who take nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.loops.auto import auto_loop_factory

from f5serve.http.app import build_middleware
from f5serve.http.connections import (
    EXTRA_CONNECTIONS,
    IDLE_LIMIT_S,
    MIN_IDLE_S,
    Connections,
    LimitedHttpProtocol,
    protocol_class,
)
from f5serve.http.middleware.access_log import LogLimit
from f5serve.http.middleware.capacity import Capacity
from f5serve.http.server import UvicornServer
from f5serve.process import FileDescriptors
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from tests.http.house import house, running

GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
WITHIN_S = 20.0
STOP_WITHIN_S = 10.0


class Links(contextlib.ExitStack):
    """Connections to one server, closed at the end."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._at = ("127.0.0.1", httpx.URL(url).port or 0)

    def open(self, sent: bytes = b"", receive_bytes: int = 0) -> socket.socket:
        """A new one, on which this was sent."""
        link = self.enter_context(socket.socket())
        if receive_bytes:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        link.settimeout(WITHIN_S)
        link.connect(self._at)
        link.sendall(sent)
        return link


def head_of(link: socket.socket) -> bytes:
    """What is answered, as far as the end of its head; nothing where the connection has ended."""
    told = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in told and (part := link.recv(65_536)):
            told += part
    return told


def has_ended(link: socket.socket) -> bool:
    """Whether it ends, whatever comes before."""
    with contextlib.suppress(ConnectionError):
        while link.recv(1 << 20):
            pass
    return True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def serving(app: ASGIApp, connections: Connections) -> Iterator[Links]:
    with running(app, protocol=protocol_class(connections)) as url, Links(url) as links:
        yield links


class Listener:
    """Answers when it has heard all of a request."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("hello")(scope, receive, send)


def guarded(app: ASGIApp, connections: Connections) -> ASGIApp:
    return build_middleware(app, Settings(), capacity=Capacity(FileDescriptors(), connections))


def test_the_longest_idle_makes_room() -> None:
    connections = Connections(max_connections=4)
    with serving(guarded(Listener(), connections), connections) as links:
        opened = []
        for _ in range(6):
            opened.append(links.open(GET))
            assert b" 200 " in head_of(opened[-1])
            time.sleep(MIN_IDLE_S / 3)
        assert has_ended(opened[0])
        assert has_ended(opened[1])
        for link in opened[2:]:
            link.sendall(GET)
            assert b" 200 " in head_of(link)
        assert len(connections) == 4


def test_busy_connections_stay_and_newcomers_are_told() -> None:
    connections, app = Connections(max_connections=3), Listener()
    with serving(guarded(app, connections), connections) as links:
        busy = [links.open(POST) for _ in range(3)]
        until(lambda: app.asked == 3)
        refused = links.open(POST + b"123456789")
        told = head_of(refused)
        assert b" 503 " in told
        assert b"retry-after" in told.lower()
        assert b"connection: close" in told.lower()
        assert has_ended(refused)
        assert b" 200 " in head_of(links.open(GET))  # how the server is can be asked
        for link in busy:
            link.sendall(b"123456789")
            assert b" 200 " in head_of(link)


def test_far_too_many_are_cut_off() -> None:
    connections, app = Connections(max_connections=2), Listener()
    ping = POST.replace(b"/v1/x", b"/ping")
    with serving(guarded(app, connections), connections) as links:
        for _ in range(2 + EXTRA_CONNECTIONS):
            links.open(ping)
        until(lambda: app.asked == 2 + EXTRA_CONNECTIONS)
        assert head_of(links.open(GET)) == b""


class Big:
    """Answers 60 MB, at once or in parts."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self.ended = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"x" * (60_000_000 // self._parts)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self._parts):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.ended.set()


@pytest.mark.parametrize("parts", [1, 100])
def test_a_reader_who_takes_nothing_is_cut_off(parts: int) -> None:
    connections = Connections(stall_s=0.4)
    app = Big(parts)
    with serving(app, connections) as links:
        links.open(GET, receive_bytes=4096)
        until(lambda: len(connections) == 1)
        until(lambda: len(connections) == 0)
        assert app.ended.wait(WITHIN_S)


def test_a_slow_reader_is_not() -> None:
    connections = Connections(stall_s=2.0)
    with serving(Big(100), connections) as links:
        link = links.open(GET, receive_bytes=65_536)
        size = 0
        for _ in range(40):  # for twice as long as it may take nothing
            size += len(link.recv(1 << 20, socket.MSG_WAITALL))
            time.sleep(0.1)
        while size < 60_000_000 and (part := link.recv(1 << 20)):
            size += len(part)
        assert size >= 60_000_000


class Asked(MemoryStore):
    """Counts how much is read of it in parts."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def get_part(self, key: str, start: int, size: int) -> bytes:
        """As the store's own."""
        self.sizes.append(size)
        return super().get_part(key, start, size)


def test_a_file_is_read_as_its_reader_takes_it(tmp_path: Path) -> None:
    store = Asked()
    with house(tmp_path, store=store, max_text_chars=60_000) as home:
        new = {"text": "Hello there. " * 1_500, "return_word_timings": False}
        at = home.client.post("/v1/jobs", json=new).json()["links"]["self"]
        until(lambda: home.client.get(at).json()["status"] == "COMPLETED")
        size = int(home.client.head(f"{at}/audio").headers["Content-Length"])
        assert size > 20_000_000
        store.sizes.clear()
        with Links(home.url) as links:
            get = f"GET {at}/audio HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            links.open(get, receive_bytes=4096)
            until(lambda: len(store.sizes) > 0)
            time.sleep(0.5)
            assert max(store.sizes) <= 256 << 10
            assert sum(store.sizes) < 8_000_000  # what the kernel holds, and two parts
        assert len(home.client.get(f"{at}/audio").content) == size


class Silent:
    """A connection on which only time passes."""

    def __init__(self) -> None:
        self.was_cut = False
        self.waiting = 0

    def buffered(self) -> tuple[int, int]:
        """What waits for its reader."""
        return self.waiting, 0

    def close_now(self) -> None:
        """It ends."""
        self.was_cut = True


def test_bytes_that_belong_to_no_request_keep_nobody() -> None:
    connections, one = Connections(), Silent()
    connections.made(one)
    connections.look(time.monotonic() + IDLE_LIMIT_S / 2)
    assert not one.was_cut
    connections.busy(one)
    connections.look(time.monotonic() + IDLE_LIMIT_S * 2)  # a long answer is no silence
    assert not one.was_cut
    connections.idle(one)
    now = time.monotonic() + IDLE_LIMIT_S * 2
    for second in range(3):  # the rest of an answer, which is being taken
        one.waiting = 3 - second
        connections.look(now + second)
    assert not one.was_cut
    one.waiting = 0
    connections.look(now)
    assert one.was_cut


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\nbad\r\n\r\n"])
def test_what_is_no_http_is_told_as_errors_are(sent: bytes) -> None:
    with (
        running(PlainTextResponse("hello"), protocol=LimitedHttpProtocol) as url,
        Links(url) as links,
    ):
        link = links.open(sent)
        told = head_of(link)
        while part := link.recv(4096):
            told += part
    head, _, body = told.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "bad_request"


def test_strangers_cannot_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "a-key-of-sixteen-or-more"
    with (
        caplog.at_level(logging.INFO),
        house(tmp_path, api_keys=key, wrong_keys_per_minute=10_000) as home,
        Links(home.url) as links,
    ):
        for number in range(150):
            home.client.get("/v1/jobs", headers={"X-API-Key": f"wrong-{number}"})
        for _ in range(100):
            assert b" 400 " in head_of(links.open(b"no HTTP\r\n\r\n"))
        before = len([r for r in caplog.records if r.name.endswith("access_log")])
        for _ in range(10):
            home.client.get("/v1/jobs", headers={"X-API-Key": key})
        told = home.client.get("/metrics", headers={"X-API-Key": key}).text
    lines = [r for r in caplog.records if r.name.endswith("access_log")]
    assert 60 <= before < 100
    assert len(lines) >= before + 10  # who has a key is told of whole
    assert len([r for r in caplog.records if r.name == "uvicorn.error"]) < 100
    assert int(re.search(r"f5_log_lines_left_out_total (\d+)", told)[1]) > 40  # type: ignore[index]


class BrokenOnce(LimitedHttpProtocol):
    """A kind of connection whose first one cannot be made."""

    all_connections = Connections()
    made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        BrokenOnce.made += 1
        if BrokenOnce.made == 1:
            raise RuntimeError("broken once")


def test_a_fault_while_one_is_taken_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with running(PlainTextResponse("hello"), protocol=BrokenOnce) as url, Links(url) as links:
        assert has_ended(links.open(GET))
        assert b" 200 " in head_of(links.open(GET))
    assert "broken once" in caplog.text


@pytest.mark.parametrize(
    "new_loop", [auto_loop_factory(), asyncio.SelectorEventLoop], ids=["the server's", "asyncio"]
)
def test_a_connection_made_in_the_moment_of_the_stop_ends_with_the_server(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(stopped_by_a_connection(listening))


async def stopped_by_a_connection(listening: socket.socket) -> None:
    kind = protocol_class(Connections(), LogLimit())

    class Stopping(kind):  # type: ignore[misc,valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            server.should_exit = True
            taking.stop()

    server = UvicornServer(PlainTextResponse("hello"), Stopping)
    taking = server._taking
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        await asyncio.wait({serving}, timeout=STOP_WITHIN_S)
        assert serving.done(), "it waits for a connection that has ended"
        assert not server.server_state.connections
        assert await reader.read() == b""
    finally:
        server.force_exit = True
        await serving
        writer.close()
        await writer.wait_closed()
