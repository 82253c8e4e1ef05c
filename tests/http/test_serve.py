"""`f5serve serve` as people and platforms meet it: started, asked, told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from f5serve.secrets import digest
from tests.http.program import free_port, server

LONG = "This sentence takes the speaker a while to say. The next one does so, too."
BYTES_PER_S = 48_000
ON_RUNPOD = {
    "F5_MODE": "serve",
    "F5_AUTH": "none",
    "RUNPOD_ENDPOINT_ID": "e1",
    "RUNPOD_POD_ID": "w1",
}


def speak(url: str, text: str) -> httpx.Response:
    body = {"model": "tts-1", "voice": "default", "input": text, "response_format": "pcm"}
    return httpx.post(f"{url}/v1/audio/speech", json=body, timeout=120)


def test_it_listens_at_once_speaks_and_ends_well(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    health = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    # PORT is not judged, as --port stands for it.
    environ = {"PORT_HEALTH": health.rpartition(":")[2], "PORT": "abc", "F5_SHUTDOWN_S": "200"}
    with server(tmp_path, **environ) as program:
        url = program.url()
        record_property("listens_s", time.monotonic() - began)
        assert program.pings(url) in ([204, 200], [200])  # the latter on a machine in a hurry
        record_property("ready_s", time.monotonic() - began)
        said = program.said()
        for piece in ("the built-in speaker", "none is required", f"{url}/docs", f"{health}/ping"):
            assert piece in said
        assert httpx.get(f"{health}/ping").json() == {"status": "ready"}
        assert httpx.get(f"{health}/v1/models").status_code == 404

        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(speak(url, LONG)))
        asking.start()
        _wait_until_busy(url, "waiting")
        program.process.send_signal(signal.SIGTERM)
        ended = _wait_until_refused(url)
        assert httpx.get(f"{health}/ping").status_code == 503
        assert not answers
        assert asking.is_alive()
        asking.join(200)
        assert program.process.wait(60) == 0
        record_property("from_answer_to_end_s", time.monotonic() - ended)
        assert answers[0].status_code == 200
        assert len(answers[0].content) / BYTES_PER_S > 3
        messages = [line["message"] for line in program.lines()]
        assert messages[0].startswith("f5serve server: version ")
        assert messages[-1] == "stopped"
        assert any("stop signal, 1 requests running" in message for message in messages)


def _wait_until_busy(url: str, field: str) -> None:
    until = time.monotonic() + 30
    while not httpx.get(f"{url}/health", timeout=30).json()["queue"][field]:
        assert time.monotonic() < until
        time.sleep(0.02)


def _wait_until_refused(url: str) -> float:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            httpx.get(f"{url}/ping", timeout=5)
        except httpx.ConnectError:
            return time.monotonic()
        except httpx.TransportError:  # it was just being closed
            pass
        time.sleep(0.02)
    raise AssertionError("it still listens")


def test_a_worker_behind_a_load_balancer(tmp_path: Path) -> None:
    port = str(free_port())
    with server(tmp_path, ["start"], PORT=port, **ON_RUNPOD) as program:
        assert program.url() == f"http://127.0.0.1:{port}"
        assert program.pings(f"http://127.0.0.1:{port}")[-1] == 200
        listeners = Path("/proc/net/tcp").read_text()
        assert f"00000000:{int(port):04X} 00000000:0000 0A" in listeners  # all addresses
        found = httpx.get(f"http://127.0.0.1:{port}/health", timeout=30).json()
        assert found["status"] == "ok"
        codes = {one["code"] for one in found["doctor"]}
        assert "PORT_TAKEN" not in codes  # by itself
        assert "STORE_NOT_SHARED" in codes
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
        assert program.said() == ""
        messages = [line["message"] for line in program.lines()]
        assert messages[0].startswith("f5serve server: version ")
        assert any("ready in" in message for message in messages)


def test_told_to_stop_while_it_starts(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        program.wait_for("(f5serve server: version)")
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
        assert "Traceback" not in program.logged()


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        url = program.url()
        asking = threading.Thread(target=_speak_in_vain, args=(url,))
        asking.start()
        _wait_until_busy(url, "jobs")
        program.process.send_signal(signal.SIGINT)
        program.wait_for("(stop signal)")
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(60) == 128 + signal.SIGINT
        asking.join(60)
        assert "second stop signal" in program.logged()


def _speak_in_vain(url: str) -> None:
    with pytest.raises(httpx.HTTPError):
        speak(url, LONG)


@pytest.mark.parametrize(
    ("arguments", "environ", "exit_code", "told"),
    [
        (["serve", "--host", "300.1.1.1"], {}, 3, "'300.1.1.1' is no address of this machine."),
        (["serve"], {"F5_CONCURRENCY": "many"}, 3, "F5_CONCURRENCY is 'many'."),
        (["serve"], {"F5_ENGINE": "f5", "F5_FETCH_MODELS": "never"}, 4, "f5serve models pull"),
        (["start"], {"F5_MODE": "serve", "F5_HOST": "0.0.0.0"}, 3, "KEYS_NEEDED: Everybody"),
        (["serve", "--port", "-1"], {}, 2, "invalid port value"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(
    arguments: list[str],
    environ: dict[str, str],
    exit_code: int,
    told: str,
    tmp_path: Path,
) -> None:
    environ = {"PORT": "0"} | environ
    with server(tmp_path, arguments, **environ) as program:
        assert program.process.wait(60) == exit_code
        assert told in program.logged()
        assert "Traceback" not in program.logged()
        assert program.said() == ""


def test_a_port_that_is_taken_is_told_to_a_person_at_a_terminal(tmp_path: Path) -> None:
    screen, terminal = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with server(tmp_path, ["serve", "--port", port], stderr=terminal) as program:
            assert program.process.wait(60) == 5
    os.close(terminal)
    first, *rest = os.read(screen, 65_536).decode().splitlines()
    os.close(screen)
    assert "f5serve server: version " in first
    assert not first.startswith("{")
    assert rest[-2:] == [
        f"error: Something listens on port {port} already.",
        "hint: End it, or choose another port by --port.",
    ]


def test_a_key_writes_into_the_part_of_its_tenant(tmp_path: Path) -> None:
    clear = {"acme/laptop": "the-key-of-acme-1234", "ops": "the-key-of-ops-1234"}
    keys = ",".join(f"{name}:{digest(key.encode()).hex()}" for name, key in clear.items())
    rules = {"rules": [{"text": "F5", "alias": "eff five"}]}
    with server(tmp_path, F5_API_KEYS=keys, F5_TENANT="main") as program:
        at = f"{program.url()}/v1/lexicons/library"
        for key in clear.values():
            assert httpx.put(at, json=rules, headers={"X-API-Key": key}).status_code == 200
    store = tmp_path / "data" / "store"
    assert sorted(path.parts[-3] for path in store.rglob("library.json")) == ["acme", "main"]
    assert {path.name for path in store.iterdir()} <= {"tenants", "_meta", ".tmp"}
