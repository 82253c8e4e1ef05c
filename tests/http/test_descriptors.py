"""A server process at the limit of its open files: nothing is begun, and nothing is lost."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from f5serve.http.connections import MIN_IDLE_S
from tests.http.program import server

FILES = 256
KEPT = FILES // 4
JOB = {"text": "The tide was out, and the boats lay on the sand.", "return_word_timings": False}
HALF = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
JSON = b"Content-Type: application/json\r\n"


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    code = "from f5serve import process as p; print(p.raise_file_limit(), p.count_open_files())"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(hard, 500) if hard != resource.RLIM_INFINITY else 500
    told = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, most)),
        capture_output=True,
        text=True,
        check=True,
    )
    limit, count = map(int, told.stdout.split())
    assert limit == most
    assert 3 <= count < 50


def test_at_the_limit_of_open_files_nothing_is_begun_and_nothing_lost(tmp_path: Path) -> None:
    with server(tmp_path, max_files=FILES) as program, contextlib.ExitStack() as held:
        url = program.url()
        assert program.pings(url)[-1] == 200
        at = ("127.0.0.1", httpx.URL(url).port or 0)
        pid = program.process.pid

        # Connections that only wait: the oldest make room for whoever has something to say.
        for _ in range(FILES + 50):
            held.enter_context(socket.create_connection(at, timeout=20))
        assert open_files(pid) < FILES - KEPT // 2
        time.sleep(MIN_IDLE_S)
        running = httpx.post(f"{url}/v1/jobs", json=JOB, timeout=60)
        assert running.status_code == 202, running.text

        # Connections whose requests never end: they are not cut, so newcomers are told.
        until, refused = time.monotonic() + 60, None
        while refused is None and time.monotonic() < until:
            for _ in range(20):
                link = held.enter_context(socket.create_connection(at, timeout=20))
                with contextlib.suppress(ConnectionError):
                    link.sendall(HALF + JSON + b"\r\n{")
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{url}/v1/jobs", json=JOB, timeout=60)
                refused = answer if answer.status_code == 503 else None
        assert refused is not None
        assert refused.json()["error"]["code"] == "too_many_open_files"
        assert refused.headers["Retry-After"]
        assert open_files(pid) < FILES - KEPT // 2  # kept back for the records of what runs
        assert httpx.get(f"{url}/ping", timeout=60).status_code == 200

        # What was begun before ends as ever, and its records are written meanwhile.
        folder = tmp_path / "data"
        job = running.json()["job_id"]
        until = time.monotonic() + 60
        while not list(folder.glob(f"store/jobs/{job}/done.json")):
            assert time.monotonic() < until, program.logged()[-3000:]
            time.sleep(0.05)
        held.close()
        assert httpx.get(f"{url}/v1/jobs/{job}", timeout=60).json()["status"] == "COMPLETED"
        assert httpx.post(f"{url}/v1/jobs", json=JOB, timeout=60).status_code == 202
        assert "out of system resource" not in program.logged()
