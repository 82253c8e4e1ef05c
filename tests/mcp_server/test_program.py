"""`f5serve mcp` as a program with an agent starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from f5serve.audio.decode import decode
from f5serve.cli.main import run as run_command
from tests.mcp_server.house import make_folder
from tests.service.house import run
from tests.worker.processes import PASSED_ON, ROOT

END_S = 60.0
CLIENT = {"name": "test", "version": "1"}
HELLO: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": CLIENT},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def environ(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": str(home), "F5_DATA_DIR": str(home / "data"), "F5_ENGINE": "standin"}
    return {**kept, **own, "F5_RECOGNISER": "off"}


def test_the_official_client_speaks_through_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    arguments = ["-m", "f5serve", "mcp", "--folder", str(folder)]
    program = StdioServerParameters(
        command=sys.executable, args=arguments, env=environ(tmp_path), cwd=ROOT
    )

    async def story() -> None:
        with (tmp_path / "log").open("w") as log:
            async with (
                stdio_client(program, errlog=log) as (read, write),
                ClientSession(read, write) as session,
            ):
                started = await session.initialize()
                assert started.server_info.name == "f5serve"
                assert "list_voices" in (started.instructions or "")
                listed = await session.list_tools()
                assert len(listed.tools) == 4
                found = await session.call_tool("say", {"text": "Hello there.", "path": "a.wav"})
                assert not found.is_error, found
        assert decode((folder / "a.wav").read_bytes()).duration_s > 0.5

    run(story)
    lines = (tmp_path / "log").read_text().splitlines()
    assert any("f5serve mcp: version" in json.loads(line)["message"] for line in lines)
    assert not any("Traceback" in line or "Error" in line for line in lines)


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "f5serve", "mcp", *arguments],
        env=environ(tmp_path),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def send(program: subprocess.Popen[bytes], messages: Sequence[dict[str, Any]]) -> None:
    assert program.stdin is not None
    program.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in messages))
    program.stdin.flush()


@pytest.mark.parametrize("way", ["closed", "SIGTERM", "SIGINT"])
def test_it_ends_and_prints_nothing_but_the_protocol(tmp_path: Path, way: str) -> None:
    """A server that is not reached is asked, so that no model is needed."""
    folder = make_folder(tmp_path)
    program = start(tmp_path, "--folder", str(folder), "--server", "http://127.0.0.1:9")
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        program.stdin.write(b"this is no JSON\n")
        call = {"name": "list_voices", "arguments": {}}
        asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
        send(program, [*HELLO, asked])
        answers = {}
        while 2 not in answers:
            answer = json.loads(program.stdout.readline())
            answers[answer.get("id")] = answer
        assert answers[2]["result"]["structuredContent"]["code"] == "SERVER_UNREACHABLE"
        if way == "closed":
            program.stdin.close()
        else:
            program.send_signal(signal.Signals[way])
        assert program.wait(END_S) == {"closed": 0, "SIGTERM": 0, "SIGINT": 130}[way]
        assert program.stdout.read() == b""
        assert program.stderr is not None
        assert b"Traceback" not in program.stderr.read()
    finally:
        program.kill()
        with program:  # closes its pipes
            pass


def test_what_is_wrong_is_told_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing")
    assert run_command(["mcp", "--folder", missing, "--server", "http://127.0.0.1:9"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "There is no folder" in told.err
    assert run_command(["mcp", "--folder", str(tmp_path), "--server", "nowhere"]) == 3
    assert "--server is 'nowhere'" in capsys.readouterr().err
