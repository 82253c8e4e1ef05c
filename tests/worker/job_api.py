"""RunPod's job API on loopback, as the SDK sees it: take, take-batch, stop, stream, done, run.

Jobs flow in through `submit` (or POST /v2/ID/run), what workers post is found in `answers`,
`progress` and `pings`. Faults are switched on by `take_status`, `done_status` and `run_status`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ENDPOINT = "ep1"


class JobApi:
    """One endpoint's queue.

    Attributes:
        answers: bodies posted for each job, progress left out.
        streamed: (seconds, bytes of the body, item) of each job whose answer comes in pieces.
        posts: (seconds, job id, is progress) in the order of arrival.
        takes: when workers asked for jobs.
        hold_s: how long a poll is held open when there is nothing.
        take_status, done_status, run_status: when not 0, answered instead of doing the work.
    """

    def __init__(self, hold_s: float = 20.0) -> None:
        self.hold_s = hold_s
        self.take_status = 0
        self.done_status = 0
        self.run_status = 0
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.streamed: dict[str, list[tuple[float, int, Any]]] = defaultdict(list)
        self.posts: list[tuple[float, str, bool]] = []
        self.progress: dict[str, list[Any]] = defaultdict(list)
        self.handed_out: list[tuple[float, str]] = []
        self.takes: list[float] = []
        self.done_tries: list[str] = []
        self.pings: list[tuple[float, dict[str, list[str]]]] = []
        self.keys: set[str] = set()
        self._news = threading.Condition()
        self._queue: list[dict[str, Any]] = []
        self._stops: list[str] = []
        self._numbers = itertools.count(1)
        self._closing = False
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def base(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environ(self, worker: str = "w1", ping_ms: int = 1000) -> dict[str, str]:
        """What RunPod would set in a worker's environment."""
        at = f"{self.base}/v2/{ENDPOINT}"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{at}/job-take/$ID?gpu=L4",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{at}/job-done/$RUNPOD_POD_ID/$ID?gpu=L4",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{at}/job-stream/$RUNPOD_POD_ID/$ID?gpu=L4",
            "RUNPOD_WEBHOOK_PING": f"{at}/ping/$RUNPOD_POD_ID",
            "RUNPOD_AI_API_KEY": "worker-key-of-the-tests",
            "RUNPOD_POD_ID": worker,
            "RUNPOD_ENDPOINT_ID": ENDPOINT,
            "RUNPOD_PING_INTERVAL": str(ping_ms),
            "RUNPOD_SKIP_GPU_CHECK": "true",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "F5_RUNPOD_API": f"{self.base}/v2",
        }

    def submit(self, payload: Any, job_id: str = "") -> str:
        """Queue a job; returns its id."""
        job_id = job_id or f"job-{next(self._numbers)}-u1"
        self.submit_raw({"id": job_id, "input": payload})
        return job_id

    def submit_raw(self, job: dict[str, Any]) -> None:
        """Queue a job exactly so."""
        self.note(lambda: self._queue.append(job))

    def stop_job(self, job_id: str) -> None:
        """Tell the workers that a job is cancelled."""
        with self._news:
            self._stops.append(job_id)
            self._news.notify_all()

    def wait_answer(self, job_id: str, timeout_s: float = 60.0, count: int = 1) -> dict[str, Any]:
        """The last body posted for a job, once there are `count`."""
        with self._news:
            came = self._news.wait_for(lambda: len(self.answers[job_id]) >= count, timeout_s)
            assert came, f"no answer to {job_id} in {timeout_s} s"
            return self.answers[job_id][-1]

    def wait_streamed(self, job_id: str, count: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until so many pieces of the answer have come."""
        with self._news:
            came = self._news.wait_for(lambda: len(self.streamed[job_id]) >= count, timeout_s)
            assert came, f"no {count} pieces of {job_id} in {timeout_s} s"

    def wait_taken(self, job_id: str, timeout_s: float = 60.0) -> None:
        """Wait until a worker holds the job."""
        with self._news:
            taken = self._news.wait_for(
                lambda: any(job_id == got for _, got in self.handed_out), timeout_s
            )
            assert taken, f"nobody took {job_id} in {timeout_s} s"

    def wait_poll(self, timeout_s: float = 60.0) -> None:
        """Wait until some worker has asked for a job after now."""
        with self._news:
            seen = len(self.takes)
            assert self._news.wait_for(lambda: len(self.takes) > seen, timeout_s), "no poll"

    def close(self) -> None:
        """Stop listening; polls that are held end."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def open(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def note(self, act: Any) -> None:
        """Do something under the lock and wake who waits."""
        with self._news:
            act()
            self._news.notify_all()

    def take(self, count: int, peer: socket.socket) -> list[dict[str, Any]]:
        """Up to `count` jobs, once there is one and the asker is still there; else none."""
        until = time.monotonic() + self.hold_s
        with self._news:
            self.takes.append(time.monotonic())
            self._news.notify_all()
            while not self._closing and (left := until - time.monotonic()) > 0:
                if _hung_up(peer):
                    return []
                if self._queue:
                    jobs, self._queue = self._queue[:count], self._queue[count:]
                    self.handed_out += [(time.monotonic(), job.get("id", "")) for job in jobs]
                    self._news.notify_all()
                    return jobs
                self._news.wait(min(left, 0.05))
        return []

    def stops(self, peer: socket.socket) -> list[str]:
        """Ids to stop, once there are some."""
        until = time.monotonic() + self.hold_s
        with self._news:
            while not self._closing and (left := until - time.monotonic()) > 0:
                if _hung_up(peer):
                    return []
                if self._stops:
                    stops, self._stops = self._stops, []
                    return stops
                self._news.wait(min(left, 0.05))
        return []


@contextmanager
def job_api(hold_s: float = 20.0) -> Iterator[JobApi]:
    """A job API that listens until the end of the block."""
    api = JobApi(hold_s)
    api.open()
    try:
        yield api
    finally:
        api.close()


def standing(api: JobApi, job: str) -> str:
    """What a worker tells about a job; QUEUED while the queue alone knows it."""
    body = api.wait_answer(api.submit({"endpoint": "status", "job_id": job}))
    if body.get("error") == "Invalid job_id.":
        return "QUEUED"
    return str(body["output"]["status"])


def _hung_up(peer: socket.socket) -> bool:
    readable, _, _ = select.select([peer], [], [], 0)
    return bool(readable) and not peer.recv(1, socket.MSG_PEEK)


class _Handler(BaseHTTPRequestHandler):
    api: JobApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        self.api.keys.add(self.headers.get("Authorization", ""))
        calls = {
            "ping": self._ping,
            "job-take": self._take,
            "job-take-batch": self._take_batch,
            "job-stop": self._stop,
        }
        calls[url.path.split("/")[3]](query)

    def do_POST(self) -> None:
        parts = urlsplit(self.path).path.split("/")
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        if parts[3] == "run":
            self.api.keys.add(self.headers.get("Authorization", ""))
            if self.api.run_status:
                self._say(self.api.run_status, {"error": "as the test wants"})
            else:
                self._say(200, {"id": self.api.submit(body["input"]), "status": "IN_QUEUE"})
        elif parts[3] == "job-stream":
            come = (time.monotonic(), len(data), body["output"])
            self.api.note(lambda: self.api.streamed[parts[5]].append(come))
            self._say(200, {})
        else:
            self._done(parts[5], body)

    def _ping(self, query: dict[str, list[str]]) -> None:
        self.api.note(lambda: self.api.pings.append((time.monotonic(), query)))
        self._say(200, {})

    def _take(self, query: dict[str, list[str]]) -> None:
        jobs = self._taken(1)
        if jobs is not None:
            self._say(200, jobs[0]) if jobs else self._say(204)

    def _take_batch(self, query: dict[str, list[str]]) -> None:
        jobs = self._taken(int(query["batch_size"][0]))
        if jobs is not None:
            self._say(200, jobs) if jobs else self._say(204)

    def _taken(self, count: int) -> list[dict[str, Any]] | None:
        if not self.api.take_status:
            return self.api.take(count, self.connection)
        self.api.note(lambda: self.api.takes.append(time.monotonic()))
        self._say(self.api.take_status, {"error": "as the test wants"})
        return None

    def _stop(self, query: dict[str, list[str]]) -> None:
        stops = self.api.stops(self.connection)
        self._say(200, {"jobsToStop": stops}) if stops else self._say(204)

    def _done(self, job_id: str, body: dict[str, Any]) -> None:
        api = self.api
        if api.done_status:
            api.note(lambda: api.done_tries.append(job_id))
            self._say(api.done_status, {"error": "as the test wants"})
            return
        under_way = body.get("status") == "IN_PROGRESS"

        def keep() -> None:
            api.posts.append((time.monotonic(), job_id, under_way))
            (api.progress if under_way else api.answers)[job_id].append(body)

        api.note(keep)
        self._say(200, {})

    def _say(self, status: int, body: Any = None) -> None:
        self.send_response(status)
        if status != 204:
            data = json.dumps(body).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the worker went away
            super().handle()
