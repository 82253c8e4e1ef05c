"""`f5serve wyoming`, and `f5serve serve` with F5_WYOMING, as a person starts and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from f5serve.errors import InvalidRequest
from f5serve.settings import Settings, read_address
from tests.http.program import free_port, server
from tests.wyoming.house import TEXT, kinds, until

START_S = 120.0
PORT = r"tcp://127\.0\.0\.1:(\d+)"


def answers(port: int, last: str, *events: Event) -> list[Event]:
    async def story() -> list[Event]:
        client = AsyncTcpClient("127.0.0.1", port, read_timeout=START_S)
        await client.connect()
        for event in events:
            await client.write_event(event)
        found = await until(client, last)
        with contextlib.suppress(ConnectionError):
            await client.disconnect()
        return found

    return asyncio.run(story())


@pytest.mark.parametrize("arguments", [("wyoming", "--port", "0"), ("serve", "--port", "0")])
def test_it_speaks_and_ends(tmp_path: Path, arguments: Sequence[str]) -> None:
    port = free_port()
    with server(tmp_path, arguments, F5_WYOMING=f"127.0.0.1:{port}") as program:
        found = int(program.wait_for(PORT))
        assert (found == port) == (arguments[0] == "serve")  # --port goes before
        (info,) = answers(found, "info", Describe().event())
        assert info.data["tts"][0]["voices"][0]["name"] == "default"
        assert kinds(answers(found, "audio-stop", Synthesize(TEXT).event()))[-1] == "audio-stop"
        streamed = answers(
            *(found, "synthesize-stopped", SynthesizeStart().event()),
            *(SynthesizeChunk(TEXT).event(), SynthesizeStop().event()),
        )
        assert kinds(streamed)[-1] == "synthesize-stopped"
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
        assert "Traceback" not in program.logged()


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with server(tmp_path / "a", ["wyoming", "--port", "0"]) as program:
        taken = program.wait_for(PORT)
        for number, arguments in enumerate(
            [["wyoming", "--port", taken], ["serve", "--port", "0"]]
        ):
            home = tmp_path / str(number)
            with server(home, arguments, F5_WYOMING=f"127.0.0.1:{taken}") as other:
                assert other.process.wait(60) == 5
                assert f"port {taken}" in other.logged()


def test_whoever_listens_for_all_is_told_what_that_means(tmp_path: Path) -> None:
    with server(tmp_path, ["wyoming", "--host", "0.0.0.0", "--port", "0"]) as program:
        program.wait_for(r"tcp://0\.0\.0\.0:(\d+); whoever reaches it may use every voice")


def test_addresses() -> None:
    assert read_address("127.0.0.1:10200") == ("127.0.0.1", 10_200)
    assert read_address("[::1]:0") == ("::1", 0)
    assert read_address("home.example:65535") == ("home.example", 65_535)
    assert Settings.from_environ({"F5_WYOMING": ""}).wyoming == ""
    wrong = [
        "10200",
        ":10200",
        "::1:10200",
        "a:",
        "a:65536",
        "a:-1",
        "a:1_0",
        "a:1" + "0" * 9,
        "[]:1",
    ]
    for text in wrong:
        with pytest.raises(InvalidRequest) as caught:
            Settings.from_environ({"F5_WYOMING": text})
        assert caught.value.code == "BAD_SETTING"
