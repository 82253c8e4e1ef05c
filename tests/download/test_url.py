"""Limits of a download, and its errors."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from dataclasses import replace

import pytest

from f5serve.download.url import fetch_url
from f5serve.errors import F5Error, InvalidRequest, StorageFailed
from f5serve.settings import Settings
from tests.download.servers import (
    IMPATIENT,
    PUBLIC,
    PUBLIC_BUT_DOWN,
    QUICK,
    SECRET,
    Reply,
    Server,
    answer,
    check_discreet,
    fetch,
    network_to,
    redirecting,
    saying,
)


def refusal(reply: Reply, limits: object = QUICK) -> F5Error:
    """What is raised when a server does `reply`; it must come within the limits."""
    start = time.monotonic()
    with Server(reply) as server, pytest.raises(F5Error) as caught:
        fetch(server, f"/a.wav?{SECRET}", limits)  # type: ignore[arg-type]
    assert time.monotonic() - start < 15
    check_discreet(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "sent",
    [
        answer(b"RIFF..."),
        answer(b"RIFF...", content_length=""),
        answer(b"RIFF...", content_length="nonsense"),
        answer(b"RIFF... and more that was not announced", content_length="7"),
        answer(b"4\r\nRIFF\r\n3;ext=1\r\n...\r\n0\r\n\r\n", content_length="",
        transfer_encoding="chunked"),
        answer(b"RIFF...", content_encoding="identity"),
        answer(b"RIFF...", content_encoding="aws-chunked"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"RIFF..."),
        b"HTTP/1.0 200 OK\r\n\r\nRIFF...",
    ],
)  # fmt: skip
def test_whole_bodies(sent: bytes) -> None:
    with Server(saying(sent)) as server:
        assert fetch(server) == b"RIFF..."


def test_a_body_in_many_pieces() -> None:
    body = bytes(range(256)) * 39
    pieces = [answer(content_length=str(len(body)))]
    pieces += [body[at : at + 97] for at in range(0, len(body), 97)]
    with Server(saying(*pieces)) as server:
        assert fetch(server) == body


def test_a_server_that_keeps_the_connection_open_is_not_waited_for() -> None:
    release = threading.Event()

    def reply(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer(b"RIFF"))
        release.wait(60)

    with Server(reply) as server:
        start = time.monotonic()
        assert fetch(server) == b"RIFF"
        assert time.monotonic() - start < 15
        release.set()


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(400, InvalidRequest, False), (401, InvalidRequest, False), (403, InvalidRequest, False),
     (404, InvalidRequest, False), (410, InvalidRequest, False), (408, StorageFailed, True),
     (429, StorageFailed, True), (500, StorageFailed, True), (503, StorageFailed, True),
     (204, StorageFailed, True), (206, StorageFailed, True), (304, StorageFailed, True)],
)  # fmt: skip
def test_status(status: int, kind: type[F5Error], retryable: bool) -> None:
    error = refusal(saying(answer(b"inside: 127.0.0.1", status=f"{status} 127.0.0.1")))
    assert type(error) is kind
    assert (error.code, error.retryable) == ("URL_FAILED", retryable)
    assert f"HTTP status {status}" in error.message


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n", b"hello\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
     b"\x16\x03\x01\x02",
     b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n",
     b"HTTP/1.1 200 OK\r\na: " + b"x" * 100_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le",
     answer(b"half", content_length="8"), answer(status="302 Found"),
     answer(b"4\r\nRI", content_length="", transfer_encoding="chunked"),
     answer(b"zz\r\nRI", content_length="", transfer_encoding="chunked"),
     answer(b"RIFF", transfer_encoding="gzip, chunked")],
)  # fmt: skip
def test_answers_that_are_none(sent: bytes) -> None:
    error = refusal(saying(sent))
    assert isinstance(error, StorageFailed)
    assert error.code == "URL_FAILED"


def test_a_cut_body_says_how_much_came() -> None:
    error = refusal(saying(answer(b"half", content_length="8")))
    assert "broke off after 4 of 8 bytes" in error.message


def test_size_limit() -> None:
    small = replace(QUICK, max_bytes=100)
    with Server(saying(answer(b"x" * 100))) as server:
        assert fetch(server, limits=small) == b"x" * 100
    with Server(saying(answer(b"x" * 100, content_length=""))) as server:
        assert fetch(server, limits=small) == b"x" * 100
    for sent in (
        answer(b"x" * 101),
        answer(b"x" * 101, content_length=""),
        answer(b"x" * 101, content_length="99999999999999999999999999"),
        answer(b"65\r\n" + b"x" * 101, content_length="", transfer_encoding="chunked"),
    ):
        error = refusal(saying(sent), small)
        assert isinstance(error, InvalidRequest)
        assert error.code == "URL_TOO_LARGE"
        assert "limit of 100 bytes" in error.message


def test_an_announced_size_above_the_limit_is_not_waited_for() -> None:
    def reply(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer(content_length="10001"))
        threading.Event().wait(1)

    assert refusal(reply).code == "URL_TOO_LARGE"  # waiting would end in "broke off"


def test_an_endless_body_is_cut_at_the_limit() -> None:
    sent = 0

    def reply(connection: socket.socket, request: bytes) -> None:
        nonlocal sent
        connection.sendall(answer(content_length=""))
        for _ in range(10_000):
            sent += connection.send(b"x" * 65_536)

    assert refusal(reply).code == "URL_TOO_LARGE"
    assert sent < 50_000_000  # what fits into socket buffers, not what the server had to give


def test_nothing_is_decompressed() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    roomy = replace(QUICK, max_bytes=1_000_000)
    for coding in ("gzip", "GZIP", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip"):
        error = refusal(saying(answer(bomb, content_encoding=coding)), roomy)
        assert (error.code, type(error)) == ("URL_FAILED", InvalidRequest)
        assert "compressed" in error.message
    with Server(saying(answer(bomb))) as server:
        assert fetch(server, limits=roomy) == bomb


def test_slow_in_every_phase() -> None:
    head, pause_s = answer(content_length="5000"), 0.02

    def silent(connection: socket.socket, request: bytes) -> None:
        threading.Event().wait(1)

    def silent_later(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head + b"x")
        threading.Event().wait(1)

    slow: list[Reply] = [
        silent,
        silent_later,
        saying(*(bytes([b]) for b in head * 3), pause_s=pause_s),
        saying(head, *[b"x"] * 100, pause_s=pause_s),
        saying(answer(content_length=""), *[b"x"] * 100, pause_s=pause_s),
        saying(
            answer(content_length="", transfer_encoding="chunked"),
            *[b"1\r\nx\r\n"] * 100,
            pause_s=pause_s,
        ),
        saying(
            answer(content_length="", transfer_encoding="chunked"),
            b"1;",
            *[b"x"] * 100,
            pause_s=pause_s,
        ),
        saying(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 100, pause_s=pause_s),
    ]
    for reply in slow:
        start = time.monotonic()
        error = refusal(reply, IMPATIENT)
        assert error.code == "URL_TIMEOUT", error
        assert error.retryable
        assert 0.25 < time.monotonic() - start < 15


def test_a_slow_body_that_keeps_the_rate_is_taken() -> None:
    steady = saying(answer(content_length="400"), *[b"x" * 20] * 20, pause_s=0.02)
    with Server(steady) as server:
        assert (
            fetch(server, limits=replace(IMPATIENT, timeout_s=60.0, idle_timeout_s=20.0))
            == b"x" * 400
        )


def test_the_rate_is_looked_at_before_the_deadline() -> None:
    drip = saying(answer(content_length="400"), *[b"x"] * 200, pause_s=0.02)
    start = time.monotonic()
    error = refusal(drip, replace(IMPATIENT, timeout_s=60.0, idle_timeout_s=1.0))
    assert error.message.endswith("the server sends it too slowly.")
    assert time.monotonic() - start < 15


def test_redirects_share_one_deadline() -> None:
    def reply(connection: socket.socket, request: bytes) -> None:
        time.sleep(0.25)
        connection.sendall(answer(status="302 Found", location="/"))

    assert refusal(reply, IMPATIENT).code == "URL_TIMEOUT"


def test_a_resolver_that_hangs() -> None:
    release = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        release.wait(60)
        return [PUBLIC]

    start = time.monotonic()
    with pytest.raises(StorageFailed) as caught:
        fetch_url(
            "http://files.example/", IMPATIENT, what="voice", network=network_to(resolve=hanging)
        )
    release.set()
    assert caught.value.code == "URL_TIMEOUT"
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "try again 127.0.0.53"), "URL_FAILED"),
        (socket.gaierror(socket.EAI_NONAME, "not known 127.0.0.53"), "URL_NOT_ALLOWED"),
        (OSError(5, "resolver broken"), "URL_FAILED"),
        (UnicodeError("label too long"), "URL_NOT_ALLOWED"),
    ],
)
def test_a_resolver_that_fails(error: Exception, code: str) -> None:
    def failing(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(F5Error) as caught:
        fetch_url(
            "https://files.example/", QUICK, what="voice", network=network_to(resolve=failing)
        )
    assert caught.value.code == code
    check_discreet(caught.value)


def test_redirects_up_to_the_limit() -> None:
    def chain(length: int) -> Reply:
        def reply(connection: socket.socket, request: bytes) -> None:
            at = int(request.split()[1].rpartition(b"/")[2])
            if at < length:
                connection.sendall(answer(status="307 Temporary Redirect", location=str(at + 1)))
            else:
                connection.sendall(answer(b"end"))

        return reply

    for length in range(4):
        with Server(chain(length)) as server:
            assert fetch(server, "/x/0") == b"end"
            assert len(server.requests) == length + 1
    with Server(chain(4)) as server, pytest.raises(InvalidRequest) as caught:
        fetch(server, "/x/0")
    assert caught.value.code == "URL_FAILED"
    assert "redirects more than 3 times" in caught.value.message
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_redirect_to_another_server(status: str) -> None:
    with Server(saying(answer(b"there"))) as there:
        location = f"http://other.example:{there.port}/"
        with Server(redirecting(location, status)) as here:
            network = network_to(here.port, there.port, names={"other.example": [PUBLIC]})
            url = f"http://files.example:{here.port}/"
            assert fetch_url(url, QUICK, network=network) == b"there"


def test_the_next_address_is_tried() -> None:
    with Server(saying(answer(b"x"))) as server:
        network = network_to(server.port, names={"two.example": [PUBLIC_BUT_DOWN, PUBLIC]})
        assert fetch_url(f"http://two.example:{server.port}/", QUICK, network=network) == b"x"


def test_nobody_listens() -> None:
    with socket.create_server((PUBLIC, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StorageFailed) as caught:
        fetch_url(f"http://files.example:{port}/", QUICK, what="voice", network=network_to(port))
    assert caught.value.code == "URL_FAILED"
    check_discreet(caught.value)
    assert "cannot be reached" in caught.value.message


def test_nothing_stays_open() -> None:
    """Warnings are errors here: an unclosed socket would show at collection."""
    import gc

    for reply in (saying(answer(b"x")), saying(answer(b"x" * 20_000)), saying(b"junk\r\n\r\n")):
        with Server(reply) as server, contextlib.suppress(F5Error):
            fetch(server)
    gc.collect()


def test_the_setting() -> None:
    assert not Settings.from_environ({}).allow_http_urls
    assert Settings.from_environ({"F5_ALLOW_HTTP_URLS": "1"}).allow_http_urls
