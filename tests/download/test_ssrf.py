"""No URL, redirect or DNS answer leads into the internal network.

The internal server plays it: it listens on every loopback address of both families, and is allowed
by port, so that nothing but the judgement of the address keeps a request away from it.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import random
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from f5serve.download.connection import NetworkPolicy
from f5serve.download.url import FetchLimits, fetch_url
from f5serve.errors import InvalidRequest
from tests.download.hostile_urls import INSIDE_V4, INSIDE_V6, cases
from tests.download.servers import (
    PRIVATE,
    PUBLIC,
    QUICK,
    SECRET,
    Server,
    answer,
    check_discreet,
    fetch,
    network_to,
    redirecting,
    saying,
)

CASES = cases()


class Canary:
    """Counts connections to one port on every address of this machine."""

    def __init__(self) -> None:
        self.hits = 0
        self._listener = socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
        )
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.hits += 1
                with connection:
                    connection.sendall(answer(b"inside"))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    running = Canary()
    yield running
    running.close()


def hostile_names(host: str, port: int) -> list[str]:
    """Numbers as the C library reads them; every name but one is inside."""
    if host == "files.example":
        return [PUBLIC]
    with contextlib.suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        return [str(entry[4][0]) for entry in found]
    return [PRIVATE]


def outside(canary: Canary, *ports: int) -> NetworkPolicy:
    return network_to(canary.port, *ports, resolve=hostile_names)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize("part", range(10))
def test_hostile_urls(canary: Canary, part: int) -> None:
    before = canary.hits
    network = outside(canary)
    for case in CASES[part::10]:
        url = case.replace("{port}", str(canary.port))
        with pytest.raises(InvalidRequest) as caught:
            pytest.fail(f"{url!r} gave {fetch_url(url, QUICK, what='voice', network=network)!r}")
        assert caught.value.code == "URL_NOT_ALLOWED", url
        assert not caught.value.retryable
        check_discreet(caught.value)
    assert canary.hits == before


def test_a_plain_client_reaches_the_canary(canary: Canary) -> None:
    """The control: the same table, by the standard library, where it stays on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    before = canary.hits
    for case in CASES:
        host = case.partition("://")[2].partition("/")[0]
        if "{port}" in host and any(inside in host for inside in ("127.", "0x7f", "[::1]", "[::]")):
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                url = case.replace("{port}", str(canary.port))
                if case.startswith("http://") and only_loopback(url):
                    opener.open(url, timeout=0.5).close()
    assert canary.hits - before >= 15


def only_loopback(url: str) -> bool:
    """Whether every address that the C library finds for the host is on this machine."""
    host = urllib.request.urlparse(url).hostname or ""
    found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    return all(str(entry[4][0]).startswith(("127.", "::")) for entry in found)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://0.0.0.0:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/", "http://127.1:{port}/", "http://2130706433:{port}/",
        "//127.0.0.1:{port}/", "///127.0.0.1:{port}/", "http:////127.0.0.1:{port}/",
        "http://localhost:{port}/", "http://inside.example:{port}/", "//inside.example:{port}",
        "http://169.254.169.254/latest/meta-data/iam/", "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/latest/", "http://168.63.129.16/", "http://100.100.100.200/",
        "http://files.example@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@files.example/",
        "\\\\127.0.0.1:{port}/", "/\\127.0.0.1:{port}/", "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/x", "data:text/plain,x", "http://files.example:22/", "http://a b/",
        "http://127.0.0.1:{port}/\tx", "HTTP://127.0.0.1:{port}", "http:127.0.0.1:{port}",
    ],
)  # fmt: skip
def test_redirects_inside(canary: Canary, location: str) -> None:
    before = canary.hits
    with Server(redirecting(location.replace("{port}", str(canary.port)))) as server:
        url = f"http://files.example:{server.port}/?{SECRET}"
        with pytest.raises(InvalidRequest) as caught:
            fetch_url(url, QUICK, what="voice", network=outside(canary, server.port))
        assert len(server.requests) <= 4  # "http:127.0.0.1" is a path of the server itself
    check_discreet(caught.value)
    assert "redirects" in caught.value.message
    assert "169" not in caught.value.message
    assert canary.hits == before


def test_rebinding_is_asked_once_and_pinned(canary: Canary) -> None:
    asked = 0

    def rebinding(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return [PUBLIC] if asked == 1 else [PRIVATE]

    with Server(saying(answer(b"outside"))) as server:
        # The canary would answer on this port too, were the name looked up again.
        url = f"http://rebind.example:{server.port}/"
        network = network_to(server.port, resolve=rebinding)
        assert fetch_url(url, QUICK, what="voice", network=network) == b"outside"
        assert asked == 1
        with pytest.raises(InvalidRequest) as caught:
            fetch_url(url, QUICK, what="voice", network=network)
    assert caught.value.code == "URL_NOT_ALLOWED"


def test_rebinding_between_redirects(canary: Canary) -> None:
    answers = itertools.chain([[PUBLIC]], itertools.repeat([PRIVATE]))
    before = canary.hits
    with Server(redirecting(f"http://rebind.example:{canary.port}/")) as server:
        network = network_to(server.port, canary.port, resolve=lambda host, port: next(answers))
        with pytest.raises(InvalidRequest, match="redirects to a place"):
            fetch_url(f"http://rebind.example:{server.port}/", QUICK, network=network)
        assert len(server.requests) == 1
    assert canary.hits == before


def test_rebinding_races(canary: Canary) -> None:
    """A name that changes with every look, 200 times: either outside was asked or nobody."""
    choose = random.Random(3)
    answers = [[PUBLIC], [PRIVATE], [PUBLIC, PRIVATE], [PRIVATE, PUBLIC], ["::1"], []]
    given: list[list[str]] = []

    def changing(host: str, port: int) -> list[str]:
        given.append(choose.choice(answers))
        return given[-1]

    before = canary.hits
    fetched = 0
    with Server(redirecting("/again")) as server:
        network = network_to(server.port, resolve=changing)
        for _ in range(200):
            with pytest.raises(InvalidRequest):
                fetch_url(f"http://rebind.example:{server.port}/", QUICK, network=network)
        fetched = server.connections
    assert canary.hits == before
    assert fetched == sum(found == [PUBLIC] for found in given) > 20


@pytest.mark.parametrize(
    "mixed", [[PUBLIC, PRIVATE], [PRIVATE, PUBLIC], ["8.8.8.8", "::1"], ["", PUBLIC], []]
)
def test_one_address_inside_is_enough(mixed: list[str]) -> None:
    with Server(saying(answer(b"x"))) as server:
        network = network_to(server.port, names={"mixed.example": mixed})
        with pytest.raises(InvalidRequest, match="not on the public internet") as caught:
            fetch_url(f"http://mixed.example:{server.port}/", QUICK, what="voice", network=network)
        check_discreet(caught.value)
        assert server.connections == 0


def test_names_of_every_inside_address() -> None:
    """The real policy with its real ports; nothing may be sent, so nothing needs to listen."""
    for address in (*INSIDE_V4, *INSIDE_V6):
        network = NetworkPolicy(resolve=lambda host, port, address=address: [address])
        with pytest.raises(InvalidRequest) as caught:
            fetch_url("https://inside.example/a.wav", FetchLimits(timeout_s=2), network=network)
        assert caught.value.code == "URL_NOT_ALLOWED", address


def test_private_and_unknown_names_cannot_be_told_apart() -> None:
    network = network_to(names={"secret.example": ["10.0.0.7"]})
    told = set()
    for name in ("secret.example", "unknown.example"):
        with pytest.raises(InvalidRequest) as caught:
            fetch_url(f"https://{name}/", QUICK, what="voice", network=network)
        check_discreet(caught.value)
        told.add(str(caught.value.as_dict()))
    assert len(told) == 1


def test_proxies_of_the_environment_are_not_asked(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = canary.hits
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    with Server(saying(answer(b"x"))) as server:
        assert fetch(server) == b"x"
    assert canary.hits == before


def test_the_request_says_no_more_than_it_must() -> None:
    first = answer(status="302 Found", location="/b", set_cookie="a=b", content_length="0")
    replies = iter([first, answer(b"x")])
    with Server(lambda connection, request: connection.sendall(next(replies))) as server:
        assert fetch(server, "/a?b=c#d") == b"x"
        lines = [request.decode().split("\r\n") for request in server.requests]
    assert [request[0] for request in lines] == ["GET /a?b=c HTTP/1.1", "GET /b HTTP/1.1"]
    for request in lines:
        names = [line.partition(":")[0] for line in request[1:] if line]
        assert names == ["Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"]
        assert f"Host: files.example:{server.port}" in request
        assert "Accept-Encoding: identity" in request


def test_http_by_permission_only() -> None:
    with Server(saying(answer(b"x"))) as server:
        with pytest.raises(InvalidRequest, match="http is off"):
            fetch(server, limits=replace(QUICK, allow_http=False))
        assert server.connections == 0
        assert fetch(server) == b"x"
