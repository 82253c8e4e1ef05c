"""The rate-limited proxy that benchmarks use: its bytes and its rate."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.store.slow_link import SlowLink

BODY = bytes(range(256)) * 4000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> str:  # type: ignore[misc]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{one.server_address[1]}"
        one.shutdown()
        thread.join()


def get(url: str) -> bytes:
    with build_opener(ProxyHandler({})).open(url, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("rate", [0.0, 2e6])
def test_what_comes_through_is_what_was_sent(server: str, rate: float) -> None:
    with SlowLink(server, rate) as link:
        assert get(link.url) == BODY
        assert link.passed > len(BODY)


def test_connections_share_the_line(server: str) -> None:
    with SlowLink(server, 4e6) as link:
        began = time.monotonic()
        threads = [threading.Thread(target=get, args=(link.url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began >= 0.9 * (2 * len(BODY) / 4e6 - 0.05)
