"""A model hub on loopback, with the routes and headers that huggingface_hub needs, and its faults.

It holds repositories given as data, notes every request, and misbehaves where `Faults` says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_BLOCK = 16 << 10


@dataclass
class Repo:
    """One repository: its newest commit and its files; those in `lfs` go by their sha256."""

    sha: str
    files: dict[str, bytes]
    lfs: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)
    _etags: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def etag(self, path: str) -> str:
        data = self.files[path]
        known, etag = self._etags.get(path, (None, ""))
        if known is not data:  # hashing a large file takes a while
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest
            etag = hashlib.sha256(data).hexdigest() if path in self.lfs else blob()
            self._etags[path] = (data, etag)
        return etag


@dataclass
class Faults:
    """What the hub does wrong, until it is told otherwise."""

    status: int = 0  # answers every request with it
    fail_first: int = 0  # answers that many requests with 503
    hang: str = ""  # says nothing when asked with this method, or for bodies: "BODY"
    hang_at: int = 0  # where a body stops when hang is BODY
    cuts: list[int] = field(default_factory=list)  # next bodies break off after so many bytes
    drip_s: float = 0  # a byte each so many seconds
    drip_head: str = ""  # heads of answers to this method come by drops and never end
    pause_s: float = 0  # between blocks
    no_length: bool = False  # neither HEAD nor body says how long a file is
    no_etag: bool = False
    ignore_range: bool = False
    to_another_host: bool = False  # large files lie elsewhere, as they do on the public hub
    tamper: Callable[[bytes], bytes] = bytes  # what is sent in place of a file


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


class Hub:
    """Serves `repos`; `with Hub(repos) as hub:` and then `hub.endpoint`."""

    def __init__(self, repos: dict[str, Repo], *, token: str = "") -> None:
        self.repos = repos
        self.token = token
        self.faults = Faults()
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ranges(self) -> list[str]:
        """Range headers of the bodies that were asked for."""
        return [r.headers["range"] for r in self.requests if "range" in r.headers]

    def count(self, method: str) -> int:
        return sum(r.method == method for r in self.requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append(Request(self.command, path, headers))
        faults = hub.faults
        if faults.hang == self.command:
            hub.closing.wait(60)
            self.close_connection = True
        elif faults.drip_head == self.command:
            self._drip_head()
        elif faults.fail_first > 0:
            faults.fail_first -= 1
            self._json(503, {"error": "busy"})
        elif faults.status:
            self._json(faults.status, {"error": "refused"})
        elif path.startswith("/elsewhere/"):
            self._stored(path, headers)
        elif hub.token and headers.get("authorization") != f"Bearer {hub.token}":
            self._json(401, {"error": "Invalid username or password."}, "GatedRepo")
        elif path.startswith("/api/models/"):
            self._info(path)
        elif path.count("/") < 5:
            self._json(404, {"error": "not found"})
        else:
            self._resolve(path, headers)

    def _drip_head(self) -> None:
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not self.server.hub.closing.wait(0.05):
                self.wfile.write(b"x")

    def _info(self, path: str) -> None:
        hub = self.server.hub
        owner, name = path.split("/")[3:5]
        repo = hub.repos.get(f"{owner}/{name}")
        if repo is None:
            self._json(404, {"error": "Repository not found"}, "RepoNotFound")
            return
        siblings = [{"rfilename": p} for p in repo.files]
        self._json(200, {"id": f"{owner}/{name}", "sha": repo.sha, "siblings": siblings})

    def _resolve(self, path: str, headers: dict[str, str]) -> None:
        hub = self.server.hub
        _, owner, name, _, revision, file = path.split("/", 5)
        repo = hub.repos.get(f"{owner}/{name}")
        if repo is None:
            self._json(404, {"error": "Repository not found"}, "RepoNotFound")
        elif revision not in {repo.sha, *repo.older}:
            self._json(404, {"error": "Invalid rev id"}, "RevisionNotFound")
        elif file not in repo.files:
            self._json(404, {"error": "Entry not found"}, "EntryNotFound")
        else:
            self._file(repo, revision, file, headers)

    def _file(self, repo: Repo, revision: str, file: str, headers: dict[str, str]) -> None:
        hub = self.server.hub
        faults = hub.faults
        if faults.to_another_host and file in repo.lfs:
            self._redirect(repo, revision, file)
            return
        whole = faults.tamper(repo.files[file])
        start = 0
        if "range" in headers and not faults.ignore_range:
            start = int(headers["range"].removeprefix("bytes=").rstrip("-"))
        body = whole[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        if not faults.no_etag:
            self.send_header("ETag", f'"{repo.etag(file)}"')
        self.send_header("X-Repo-Commit", revision)
        if faults.no_length:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self._body(body)

    def _redirect(self, repo: Repo, revision: str, file: str) -> None:
        port = self.server.server_address[1]
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{port}/elsewhere/{repo.etag(file)}")
        self.send_header("X-Repo-Commit", revision)
        self.send_header("X-Linked-Etag", f'"{repo.etag(file)}"')
        self.send_header("X-Linked-Size", str(len(repo.files[file])))
        self.send_header("X-Xet-Hash", "f" * 64)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _stored(self, path: str, headers: dict[str, str]) -> None:
        """A large file by its hash alone, with an ETag of its own, as a store of objects does."""
        for repo in self.server.hub.repos.values():
            for file in repo.lfs:
                if path.endswith(repo.etag(file)):
                    body = repo.files[file]
                    start = int(headers.get("range", "bytes=0-")[6:-1])
                    self.send_response(206 if start else 200)
                    self.send_header("ETag", '"of-the-store"')
                    self.send_header("Content-Length", str(len(body) - start))
                    self.end_headers()
                    self._body(body[start:])
                    return
        self._json(404, {"error": "no such object"})

    def _body(self, body: bytes) -> None:
        hub = self.server.hub
        faults = hub.faults
        end = faults.cuts.pop(0) if faults.cuts else len(body)
        if faults.hang == "BODY":
            end = faults.hang_at
        block = 1 if faults.drip_s else _BLOCK
        try:
            for at in range(0, min(end, len(body)), block):
                piece = body[at : min(at + block, end)]
                if faults.no_length:
                    piece = b"%x\r\n%s\r\n" % (len(piece), piece)
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(faults.drip_s or faults.pause_s)
            if faults.hang == "BODY":
                hub.closing.wait(60)
            elif end >= len(body) and faults.no_length:
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        if end < len(body):
            self.close_connection = True

    def _json(self, status: int, data: object, code: str = "") -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
