"""How a server ends: by itself when it can serve no more, and well when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from f5serve.alignment.aligners import Aligners
from f5serve.errors import EngineFailed, F5Error, ModelUnavailable, StorageFailed
from f5serve.http.app import make_app
from f5serve.http.serve import (
    check_installed,
    effective_settings,
    listen,
    open_sockets,
    speaker_of,
    url_of,
)
from f5serve.http.server import Server, ServerOptions
from f5serve.http.state import AppState
from f5serve.service import ServiceOptions, SpeechService
from f5serve.settings import Settings
from f5serve.store.memory import MemoryStore
from f5serve.synthesis.synthesizer import Synthesizer
from f5serve.voices.library import VoiceLibrary
from tests.service.house import CountingTone

HELLO = {"model": "tts-1", "voice": "default", "input": "Hello there.", "response_format": "pcm"}


@dataclass
class Running:
    """A server in a thread, without the end of the process that comes after its own."""

    url: str
    health: str
    serving: Server
    tone: CountingTone
    store: MemoryStore
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    ended: list[F5Error | None]

    def stop(self) -> None:
        """Tell it to stop, as a signal would."""
        self.loop.call_soon_threadsafe(self.serving.stop)

    def end(self) -> F5Error | None:
        """What it ended with."""
        self.thread.join(60)
        return self.ended[0]


@contextlib.contextmanager
def running(
    folder: Path,
    load: Callable[[], Synthesizer] | None = None,
    checks: Sequence[Callable[[], None]] = (),
    shutdown_s: float = 8.0,
    tone: CountingTone | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> Iterator[Running]:
    """A server over a tone, with a port of its own for /ping."""
    tone, store, settings = tone or CountingTone(), MemoryStore(), Settings()
    voices = VoiceLibrary(store, folder)
    operations = SpeechService(
        store, voices, load or (lambda: Synthesizer(tone)), settings, ServiceOptions()
    )
    service = AppState(operations, store, voices, Aligners(), settings)
    app = make_app(service)
    options = ServerOptions(shutdown_s, checks, lambda *_: threading.Timer(0, print), on_ready)
    serving = Server(app, operations, service.lifecycle, options)
    main, health = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    loop, ended = asyncio.new_event_loop(), list[F5Error | None]()

    def live() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serving.run(main, health))
            ended.append(None)
        except F5Error as error:
            ended.append(error)

    thread = threading.Thread(target=live)
    urls = url_of(main, "127.0.0.1"), url_of(health, "127.0.0.1")
    thread.start()
    one = Running(*urls, serving, tone, store, thread, loop, ended)
    try:
        yield one
    finally:
        tone.release()
        if thread.is_alive():
            one.stop()
        thread.join(60)
        assert not thread.is_alive()


def speak(one: Running, **fields: Any) -> httpx.Response:
    return httpx.post(f"{one.url}/v1/audio/speech", json=HELLO | fields, timeout=60)


def wait_until(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_refused(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it was just being closed
        pass
    return False


def test_a_request_that_runs_is_answered_and_the_queue_is_kept(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.tone.hold()
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(speak(one)))
        asking.start()
        assert one.tone.at_work.wait(60)
        queued = httpx.post(f"{one.url}/v1/jobs", json={"text": "Later."}, timeout=60)
        assert queued.status_code == 202
        one.stop()
        wait_until(lambda: is_refused(f"{one.url}/ping"))
        refused = httpx.get(f"{one.health}/ping")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "shut_down"
        one.tone.release()
        assert one.end() is None
        asking.join(60)
        assert answers[0].status_code == 200
        assert len(answers[0].content) > 1000
        assert is_refused(f"{one.health}/ping")
        # Either it was done before the end, or the next server finds it.
        job_id = queued.json()["job_id"]
        kept = {entry.key for entry in one.store.list("")}
        assert {f"jobs/{job_id}/done.json", f"queue/{job_id}.json"} & kept


def test_a_request_that_takes_too_long_is_told_so(tmp_path: Path) -> None:
    class Slow(CountingTone):
        def _work(self, check: Callable[[], None] | None) -> None:
            for _ in range(6_000):
                assert check is not None
                check()
                time.sleep(0.02)

    with running(tmp_path, shutdown_s=2.4, tone=Slow()) as one:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(speak(one)))
        asking.start()
        assert one.tone.at_work.wait(60)
        began = time.monotonic()
        one.stop()
        assert one.end() is None
        assert time.monotonic() - began < 30  # the work takes two minutes
        asking.join(60)
        assert answers[0].status_code == 503
        assert answers[0].json()["error"]["code"] == "shut_down"


def test_a_caller_that_never_ends_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path, shutdown_s=0.8) as one:
        host, _, port = one.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as reader:
            reader.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            time.sleep(0.2)
            began = time.monotonic()
            one.stop()
            assert one.end() is None
            assert time.monotonic() - began < 30


def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path: Path) -> None:
    gone = threading.Event()

    def load() -> Synthesizer:
        gone.wait(60)
        raise ModelUnavailable("The model /a/b is damaged.", code="MODEL_DAMAGED")

    with running(tmp_path, load) as one:
        assert httpx.get(f"{one.url}/ping").status_code == 204
        assert httpx.get(f"{one.health}/ping").status_code == 204
        assert httpx.get(f"{one.url}/health").json()["status"] == "loading"
        gone.set()
        error = one.end()
        assert isinstance(error, ModelUnavailable)
        assert error.code == "MODEL_DAMAGED"


def test_a_fault_while_loading_ends_the_server(tmp_path: Path) -> None:
    def load() -> Synthesizer:
        raise ZeroDivisionError

    with running(tmp_path, load) as one:
        error = one.end()
        assert error is not None
        assert (error.code, error.exit_code) == ("INTERNAL", 1)
        assert "ZeroDivisionError" in error.message


def test_a_broken_device_ends_the_server(tmp_path: Path) -> None:
    class Breaking(CountingTone):
        broken = False

    tone, ready = Breaking(), list[int]()
    with running(tmp_path, lambda: Synthesizer(tone), on_ready=lambda: ready.append(1)) as one:
        wait_until(lambda: httpx.get(f"{one.health}/ping").status_code == 200)
        wait_until(lambda: ready == [1])
        tone.broken = True
        with contextlib.suppress(httpx.TransportError):  # it may have ended already
            broken = httpx.get(f"{one.health}/ping")
            assert (broken.status_code, broken.json()["error"]["code"]) == (503, "device_broken")
        error = one.end()
        assert isinstance(error, EngineFailed)
        assert error.exit_code == 6


def test_a_store_that_fails_at_the_start_ends_the_server(tmp_path: Path) -> None:
    def check() -> None:
        raise StorageFailed("The bucket is gone.", code="S3_NO_BUCKET")

    with running(tmp_path, checks=[check]) as one:
        error = one.end()
        assert error is not None
        assert error.code == "S3_NO_BUCKET"


def test_nobody_is_sent_here_before_the_checks_have_passed(tmp_path: Path) -> None:
    """A store that only seems to work ends the server; until then its model alone is no reason."""
    may_end, is_ready = threading.Event(), threading.Event()

    def check() -> None:
        assert may_end.wait(60)

    with running(tmp_path, checks=[check], on_ready=is_ready.set) as one:
        assert is_ready.wait(20)  # the model could speak
        for url in (one.url, one.health):
            assert httpx.get(f"{url}/ping").status_code == 204
        may_end.set()
        wait_until(lambda: httpx.get(f"{one.url}/ping").status_code == 200)
        assert httpx.get(f"{one.health}/ping").status_code == 200


def test_sockets(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(StorageFailed, match=f"Something listens on port {port} already") as no:
            open_sockets(replace(Settings(), host="127.0.0.1", port=0, health_port=port))
        assert "PORT_HEALTH" in no.value.hint
        assert url_of(first, "127.0.0.1") == f"http://127.0.0.1:{port}"
        assert url_of(first, "0.0.0.0") == f"http://127.0.0.1:{port}"
        assert url_of(first, "::") == f"http://[::1]:{port}"
        assert url_of(first, "::1") == f"http://[::1]:{port}"
    for host in ("300.1.1.1", "x" * 300, "no-such-host.invalid"):
        with pytest.raises(F5Error) as refused:
            listen(host, 0)
        assert refused.value.code == "BAD_HOST"
    alone = open_sockets(replace(Settings(), host="127.0.0.1", port=0, health_port=0))
    assert alone.health is None
    alone.close()


def test_what_goes_by_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    at_home = effective_settings(Settings())
    assert (at_home.host, at_home.port, at_home.max_answer_mb) == ("127.0.0.1", 8000, 0)
    assert effective_settings(Settings(), "::", 0).host == "::"
    assert effective_settings(Settings(), "::", 0).port == 0
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "e1")
    monkeypatch.setenv("RUNPOD_POD_ID", "w1")
    there = effective_settings(Settings())
    assert (there.host, there.max_answer_mb) == ("0.0.0.0", 30)
    assert effective_settings(replace(Settings(), host="127.0.0.1")).host == "127.0.0.1"
    assert "fetched" in speaker_of(there)


def test_who_speaks() -> None:
    nowhere = Path("/nowhere")
    told = speaker_of(replace(Settings(), models_dir=nowhere))
    assert "for F5-TTS run: f5serve models pull F5TTS_v1_Base" in told
    assert "as F5_ENGINE says" in speaker_of(replace(Settings(), engine="standin"))


def test_a_server_that_is_not_installed() -> None:
    check_installed()
    with pytest.raises(ModelUnavailable, match="no_such_package") as refused:
        check_installed(("uvicorn", "no_such_package"))
    assert refused.value.code == "SERVER_NOT_INSTALLED"
    assert refused.value.hint == "Run: pip install 'f5serve[serve]'"
