"""Downloads over TLS: SNI and certificate are those of the name, not of the address."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import trustme

from f5serve.download.url import fetch_url
from f5serve.errors import InvalidRequest, StorageFailed
from tests.download.servers import (
    IMPATIENT,
    PUBLIC,
    QUICK,
    Server,
    answer,
    check_discreet,
    network_to,
    redirecting,
    saying,
)


class Authority:
    """A certificate authority, and the names that clients asked its servers for."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.asked: list[str | None] = []

    def server(self, *hosts: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*hosts).configure_cert(context)
        context.sni_callback = lambda _, name, __: self.asked.append(name)
        return context

    def tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def fetch_tls(
    server: Server, tls_context: Callable[[], ssl.SSLContext] | None, timeout_s: float = 5.0
) -> bytes:
    network = (
        network_to(server.port, tls_context=tls_context) if tls_context else network_to(server.port)
    )
    url = f"https://files.example:{server.port}/a.wav"
    limits = replace(QUICK, allow_http=False, timeout_s=timeout_s)
    return fetch_url(url, limits, what="voice", network=network)


def test_tls_keeps_the_name(authority: Authority) -> None:
    with Server(saying(answer(b"x" * 9_999)), tls=authority.server("files.example")) as server:
        assert fetch_tls(server, authority.tls_context) == b"x" * 9_999
        assert f"Host: files.example:{server.port}".encode() in server.requests[0]
    assert authority.asked[-1] == "files.example"


@pytest.mark.parametrize(
    ("names", "known"), [(("other.example",), True), (("files.example",), False)]
)
def test_tls_refuses_certificates(
    authority: Authority, names: tuple[str, ...], known: bool
) -> None:
    """Of another host, not even of the address that it has; or of an unknown authority."""
    tls = authority.server(*names, PUBLIC)
    with Server(saying(answer(b"x")), tls=tls) as server, pytest.raises(InvalidRequest) as caught:
        fetch_tls(server, authority.tls_context if known else None)
    assert caught.value.code == "URL_FAILED"
    assert "no valid certificate" in caught.value.message
    check_discreet(caught.value)
    assert server.requests == []


def test_tls_downgrade_is_refused(authority: Authority) -> None:
    reply = redirecting("http://files.example/a.wav")
    refused = pytest.raises(InvalidRequest, match="redirects to a place")
    with Server(reply, tls=authority.server("files.example")) as server, refused:
        fetch_tls(server, authority.tls_context)


def test_tls_to_a_server_without(authority: Authority) -> None:
    with Server(saying(answer(b"x"))) as server, pytest.raises(StorageFailed) as caught:
        fetch_tls(server, authority.tls_context, timeout_s=0.3)  # it waits for the end of a request
    assert caught.value.code == "URL_TIMEOUT"
    check_discreet(caught.value)


def test_tls_handshake_that_never_comes(authority: Authority) -> None:
    with socket.create_server((PUBLIC, 0)) as deaf:
        port = deaf.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(StorageFailed) as caught:
            fetch_url(
                f"https://files.example:{port}/",
                IMPATIENT,
                what="voice",
                network=network_to(port, tls_context=authority.tls_context),
            )
    assert caught.value.code == "URL_TIMEOUT"
    assert time.monotonic() - start < 15
