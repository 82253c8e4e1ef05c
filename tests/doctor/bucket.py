"""A bucket in memory on loopback that can be wrong in the ways a doctor should notice."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Bucket:
    """What the server holds and does.

    Attributes:
        clock_s: how far its clock is ahead.
        refuses: method -> S3 code that it answers with, and 403.
        forgets: returns other bytes than were put.
        signed_status: of requests by signed URL, when not 200.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    clock_s: float = 0.0
    refuses: dict[str, str] = field(default_factory=dict)
    forgets: bool = False
    signed_status: int = 200


class _Server(ThreadingHTTPServer):
    def __init__(self, bucket: Bucket) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bucket = bucket


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.server.bucket.clock_s, usegmt=True)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refused(self) -> bool:
        code = self.server.bucket.refuses.get(self.command)
        if code:
            self.answer(403, f"<Error><Code>{code}</Code></Error>".encode())
        return bool(code)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self.refused():
            self.server.bucket.objects[urlsplit(self.path).path] = data
            self.answer(200)

    def do_DELETE(self) -> None:
        if not self.refused():
            self.server.bucket.objects.pop(urlsplit(self.path).path, None)
            self.answer(204)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        bucket, parts = self.server.bucket, urlsplit(self.path)
        if self.refused():
            return
        asked = parse_qs(parts.query)
        if "list-type" in asked:
            self.answer(200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
        elif "X-Amz-Signature" in asked and bucket.signed_status != 200:
            self.answer(bucket.signed_status)
        elif parts.path in bucket.objects:
            data = bucket.objects[parts.path]
            self.answer(200, b"x" * len(data) if bucket.forgets else data)
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")


@contextlib.contextmanager
def serving() -> Iterator[Bucket]:
    """A bucket at its `url`, gone at the end of the block."""
    bucket = Bucket()
    server = _Server(bucket)
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
