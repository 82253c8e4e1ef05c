"""Heads of requests that never end, or never come."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import PlainTextResponse

from f5serve.http.connections import MAX_HEAD_BYTES, LimitedHttpProtocol
from tests.http.house import running

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Hasty(LimitedHttpProtocol):
    """A connection that waits for less than a second."""

    header_timeout_s = 0.3
    idle_timeout_s = 0.6


@contextlib.contextmanager
def link(protocol: type[LimitedHttpProtocol] = LimitedHttpProtocol) -> Iterator[socket.socket]:
    with (
        running(PlainTextResponse("hello"), protocol=protocol) as url,
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=60) as made,
    ):
        yield made


def heard(made: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := made.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("line", [b"a: " + b"x" * 4096 + b"\r\n", b"x" * 4096])
def test_a_head_without_end_is_cut_off(line: bytes) -> None:
    sent = 0
    with link() as made, contextlib.suppress(ConnectionError):
        made.sendall(HEAD)
        for _ in range(10_000):
            made.sendall(b"b: " + line if not sent else line)
            sent += len(line)
            time.sleep(0.0005)
    assert MAX_HEAD_BYTES <= sent < 40_000_000  # what lies in the kernel included


def test_a_large_head_and_a_large_body_after_it_pass() -> None:
    with link() as made:
        made.sendall(HEAD + b"a: " + b"x" * 30_000 + b"\r\nContent-Length: 300000\r\n\r\n")
        made.sendall(b"y" * 300_000 + HEAD + b"Connection: close\r\n\r\n")
        assert heard(made).count(b"hello") == 2


@pytest.mark.parametrize(("sent", "least_s"), [(b"", 0.5), (HEAD[:20], 0.2)])
def test_a_head_that_does_not_come_is_given_up(sent: bytes, least_s: float) -> None:
    with link(Hasty) as made:
        began = time.monotonic()
        made.sendall(sent)
        assert heard(made) == b""
        assert least_s < time.monotonic() - began < 15


def test_a_connection_that_is_kept_is_not_hurried() -> None:
    with link(Hasty) as made:
        for _ in range(2):
            made.sendall(HEAD + b"\r\n")
            told = b""
            while not told.endswith(b"hello"):
                told += made.recv(65_536)
            time.sleep(0.8)
