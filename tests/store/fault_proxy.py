"""An HTTP proxy on loopback that injects faults between a store and its server.

Every request is passed on as it came, so signatures stay valid, unless a fault is waiting for it.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass
class Fault:
    """What happens to requests whose "METHOD path" the pattern `on` finds, `times` of them.

    kind: answer (an S3 error with `status`, `code`, `words`), html, reset (before an answer), lost
    (after the server did it), cut (at byte `at` of the body), stall (likewise), drip (`rate` bytes
    a second), flip (the bit at byte `at`), flip_up (likewise of what is sent), slow_up (read at
    `rate`), deaf (never read nor answered), rewrite (the body, and the status to 200).
    """

    kind: str
    on: str = ""
    times: int = 1_000_000
    status: int = 500
    code: str = ""
    words: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    at: int = 0
    rate: int = 1
    rewrite: Callable[[bytes], bytes] = bytes


@dataclass(frozen=True)
class Seen:
    """A request that came: "METHOD path?query", and its Range header."""

    line: str
    range: str


class FaultProxy:
    """A proxy in front of `upstream`, an http URL. `faults` are looked through in order."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def take(self, line: str, byte_range: str) -> Fault | None:
        """Note a request and return the fault that waits for it."""
        with self._lock:
            self.seen.append(Seen(line, byte_range))
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.on, line):
                    fault.times -= 1
                    return fault
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def _serve(self) -> None:
        line = f"{self.command} {self.path}"
        fault = self.server.proxy.take(line, self.headers.get("Range", ""))
        kind = fault.kind if fault else ""
        if fault and kind == "deaf":
            self._hang()
            return
        body = self._read_body(fault if kind == "slow_up" else None)
        if fault and kind in ("answer", "html"):
            self._refuse(fault)
        elif kind == "reset":
            self._reset()
        else:
            if fault and kind == "flip_up":
                body = _flipped(body, fault.at)
            status, headers, answer = self._forward(body)
            self._answer(status, headers, answer, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _read_body(self, slow: Fault | None) -> bytes:
        left = int(self.headers.get("Content-Length", 0))
        body = b""
        while left:
            block = self.rfile.read(min(left, slow.rate // 20 if slow else left))
            if slow:
                time.sleep(0.05)
            body += block
            left -= len(block)
        return body

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self.server.proxy.upstream
        connection = http.client.HTTPConnection(str(upstream.hostname), upstream.port, timeout=30)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, fault: Fault) -> None:
        if fault.kind == "html":
            body = b"<html><body><p>Something<br>else</body></html>"
            headers = [("Content-Type", "text/html")]
        else:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>'
                f"<Error><Code>{fault.code}</Code><Message>{fault.words}</Message></Error>"
            ).encode()
            headers = [("Content-Type", "application/xml")]
        headers.append(("Date", self.date_time_string()))
        self._answer(fault.status, headers, body, fault)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault | None
    ) -> None:
        kind = fault.kind if fault else ""
        if fault and kind == "rewrite":
            status, body = 200, fault.rewrite(body)
        if fault and kind == "flip":
            body = _flipped(body, fault.at)
        if kind == "lost":
            self._reset()
            return
        self._send_head(status, headers, len(body), fault)
        if self.command == "HEAD":
            return
        if fault and kind in ("cut", "stall"):
            self.wfile.write(body[: fault.at])
            self.wfile.flush()
            if kind == "stall":
                self._hang()
            self.close_connection = True
        elif fault and kind == "drip":
            self._drip(body, fault.rate)
        else:
            self.wfile.write(body)

    def _send_head(
        self, status: int, headers: list[tuple[str, str]], length: int, fault: Fault | None
    ) -> None:
        more = dict(fault.headers) if fault else {}
        replaced = {"content-length", "connection", "transfer-encoding", *map(str.lower, more)}
        self.send_response_only(status)
        for name, value in [*(h for h in headers if h[0].lower() not in replaced), *more.items()]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _drip(self, body: bytes, rate: int) -> None:
        step = max(1, rate // 20)
        for start in range(0, len(body), step):
            if self.server.proxy.ended.wait(0.05 if rate >= 20 else 1 / rate):
                break
            self.wfile.write(body[start : start + step])

    def _hang(self) -> None:
        self.server.proxy.ended.wait(60)
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def _flipped(body: bytes, at: int) -> bytes:
    if at >= len(body):
        return body
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
